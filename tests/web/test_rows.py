"""Rows are found by all that the run says of them, in any order, page by page, and as files."""

import csv
import io
import json
from typing import Any

import polars as pl
import pytest
from tests.small_world import WORDS
from tests.web.conftest import Page

import tacos
from tacos.web import downloads

N_ALL = 162
"""160 rows, one without a question and one twice."""


def find(page: Page, **query: Any) -> list[str]:
    """The ids of all rows found, page after page."""
    answer = page.get("/api/rows", **query).json()
    ids = [row["id"] for row in answer["rows"]]
    for number in range(2, answer["n_pages"] + 1):
        more = page.get("/api/rows", **query, page=number).json()
        ids += [row["id"] for row in more["rows"]]
    assert len(ids) == answer["n_found"]
    return ids


@pytest.fixture(scope="session")
def table(finished: tacos.Selection) -> pl.DataFrame:
    """The rows of the run, read without the page."""
    samples = finished.artifacts["samples"].scan().collect()
    scores = finished.artifacts["scores/0"].scan().select("id", "score").collect()
    tags = finished.artifacts["canonical_tags"].scan().collect()
    homes = finished.artifacts["memberships"].scan().select("id", "home").collect()
    return (
        samples.join(scores, on="id", how="left")
        .join(tags, on="id")
        .join(homes, on="id")
    )


def test_all_rows_are_there_rejected_ones_too(page: Page) -> None:
    assert find(page) == [f"data.jsonl:{row}" for row in range(N_ALL)]
    assert find(page, state="rejected") == ["data.jsonl:160", "data.jsonl:161"]


def test_selected_rows_come_by_rank(page: Page, finished: tacos.Selection) -> None:
    by_rank = finished.table["id"].to_list()
    assert find(page, state="selected", sort="rank") == by_rank
    others = find(page, state="not selected")
    assert len(others) == 140
    assert not set(others) & set(by_rank)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("poem", ["poem"]),
        ("POEM River", ["poem", "river"]),
        ('"about poem"', ["about poem"]),
        ("number 7.", ["number", "7."]),
        (".*", [".*"]),
        ("(", ["("]),
        ("\\", ["\\"]),
        ("  ", []),
        ("é", ["é"]),
    ],
)
def test_a_search_finds_all_words_as_they_are(
    page: Page, table: pl.DataFrame, text: str, words: list[str]
) -> None:
    expected = [
        row["id"]
        for row in table.iter_rows(named=True)
        if all(
            word in row["instruction"].lower() or word in row["response"].lower()
            for word in words
        )
    ]
    found = [row for row in find(page, text=text) if row in set(table["id"])]
    assert found == expected


def test_texts_of_rejected_rows_are_searched(page: Page) -> None:
    assert find(page, text="nothing") == ["data.jsonl:160"]


@pytest.mark.parametrize("tag", [*WORDS, "nosuch"])
def test_tags_narrow(page: Page, table: pl.DataFrame, tag: str) -> None:
    canonical = {tag for tags in table["tags"] for tag in tags}
    for name in [name for name in canonical if name.lower() == tag] or [tag]:
        expected = table.filter(pl.col("tags").list.contains(name))["id"].to_list()
        assert find(page, tag=name) == expected


def test_clusters_scores_and_sources_narrow(page: Page, table: pl.DataFrame) -> None:
    home = table["home"][0]
    assert find(page, cluster=home) == table.filter(home=home)["id"].to_list()
    between = table.filter(pl.col("score").is_between(20, 60))["id"].to_list()
    assert find(page, min_score=20, max_score=60) == between
    assert len(find(page, source="data.jsonl")) == N_ALL
    assert find(page, source="nosuch") == []
    both = [row for row in between if row in set(find(page, text="poem"))]
    assert find(page, min_score=20, max_score=60, text="poem") == both


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", ["score", "length"])
def test_rows_without_a_value_come_last(
    page: Page, table: pl.DataFrame, sort: str, descending: bool
) -> None:
    ordered = table.sort(sort, descending=descending, maintain_order=True)[
        "id"
    ].to_list()
    expected = [*ordered, "data.jsonl:160", "data.jsonl:161"]
    given = {"sort": sort, **({"descending": "true"} if descending else {})}
    assert find(page, **given) == expected
    # Narrowing keeps the order.
    kept = set(find(page, text="poem"))
    assert find(page, text="poem", **given) == [row for row in expected if row in kept]


def test_a_page_beyond_the_last_is_the_last(page: Page) -> None:
    answer = page.get("/api/rows", page=999, per_page=100).json()
    assert (answer["page"], answer["n_pages"], len(answer["rows"])) == (2, 2, 62)
    nothing = page.get("/api/rows", text="nosuchword").json()
    assert (nothing["page"], nothing["n_pages"], nothing["n_found"]) == (1, 1, 0)
    assert nothing["rows"] == []


def test_filters_count_what_they_find(page: Page) -> None:
    filters = page.get("/api/filters").json()
    for name in ("state", "source", "tag", "cluster", "reason"):
        assert filters[name], name
        for entry in filters[name]:
            assert len(find(page, **{name: entry["name"]})) == entry["n"]


@pytest.mark.parametrize(
    "query",
    [
        {"page": "x"},
        {"page": 0},
        {"per_page": 201},
        {"sort": "id"},
        {"nosuch": 1},
        {"state": "lost"},
        {"min_score": "a"},
        {"text": "x" * 401},
        {"text": "a b c d e f g h i"},
        {"page": ["1", "2"]},
    ],
)
def test_a_wrong_query_is_an_error_of_one_line(
    page: Page, query: dict[str, Any]
) -> None:
    answer = page.get("/api/rows", **query)
    assert answer.status == 400
    message = answer.json()["error"]
    assert message
    assert "\n" not in message
    assert "Traceback" not in message


# One row


@pytest.mark.parametrize("row", [0, 5, 159, 160, 161])
def test_a_story_says_what_explain_says(
    page: Page, finished: tacos.Selection, row: int
) -> None:
    story = page.get("/api/row", row=f"data.jsonl:{row}").json()
    trace = json.loads(json.dumps(tacos.explain(finished, f"data.jsonl:{row}")))
    assert story["verdict"] == trace.pop("verdict")
    assert story["row"] == trace.pop("row")
    told = {name: value for name, value in trace.items() if name != "clusters"}
    assert {name: story["trace"][name] for name in told} == told
    assert story["raw"]


def test_a_content_hash_stands_for_its_row(
    page: Page, finished: tacos.Selection
) -> None:
    samples = finished.artifacts["samples"].scan().collect()
    story = page.get("/api/row", row=samples["content_hash"][3]).json()
    assert story["row"] == samples["id"][3]
    assert story["turns"][-1]["text"] == samples["response"][3]


@pytest.mark.parametrize("row", ["nosuch", "data.jsonl:9999", "", "../../etc/passwd"])
def test_an_unknown_row_is_an_error_of_one_line(page: Page, row: str) -> None:
    answer = page.get("/api/row", row=row)
    assert answer.status == 400
    assert answer.json()["error"].startswith(
        f"the input of this run has no row {row!r}"
    )


def test_an_error_does_not_send_back_all_that_it_was_sent(page: Page) -> None:
    for answer in (
        page.get("/api/row", row="x" * 20_000),
        page.get(f"/api/{'x' * 20_000}"),
        page.get("/api/rows", **{"y" * 20_000: "1"}),
    ):
        assert answer.status in (400, 404)
        message = answer.json()["error"]
        assert len(message) < 1_200
        assert "\n" not in message


# Files


def test_a_download_has_what_was_found_in_order(
    page: Page, table: pl.DataFrame
) -> None:
    query = {"text": "poem", "sort": "score", "descending": "true"}
    answer = page.get("/api/rows.jsonl", **query)
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert [line["id"] for line in lines] == find(page, **query)
    texts = dict(table.select("id", "response").iter_rows())
    assert all(line["response"] == texts[line["id"]] for line in lines)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="rows.jsonl"'
    rows = list(
        csv.DictReader(io.StringIO(page.get("/api/rows.csv", **query).body.decode()))
    )
    assert [row["id"] for row in rows] == [line["id"] for line in lines]
    assert [row["response"] for row in rows] == [line["response"] for line in lines]


def test_a_download_of_no_row_and_of_all(page: Page) -> None:
    assert page.get("/api/rows.jsonl", text="nosuchword").body == b""
    assert len(page.get("/api/rows.csv", text="nosuchword").body.splitlines()) == 1
    assert len(page.get("/api/rows.jsonl").body.splitlines()) == N_ALL


def test_a_download_of_too_many_rows_says_so(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MAX_ROWS", 100)
    answer = page.get("/api/rows.csv")
    assert answer.status == 400
    assert "162 rows are more than one download takes (100)" in answer.json()["error"]


def test_no_other_ending_is_known(page: Page) -> None:
    assert page.get("/api/rows.xlsx").status == 404


def test_no_cell_of_a_csv_file_is_a_formula(tmp_path: Any) -> None:
    formulas = [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        '=HYPERLINK("http://x")',
    ]
    rows = [
        {"instruction": text, "output": f"{text} is a text", "source": text}
        for text in formulas
    ]
    done = tacos.select(rows, n=3, run=tmp_path / "run", ledger=tmp_path / "ledger")
    search = tacos.ui(done).search
    from tacos.workflows.row_files import write_csv
    from tacos.workflows.row_search import PageQuery

    text = b"".join(write_csv(search.iterate_rows(PageQuery()))).decode()
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert len(cells) == 15 * (len(formulas) + 1)
    assert not [
        cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    ]
    assert sum(cell.startswith("'") for cell in cells) >= len(formulas)
