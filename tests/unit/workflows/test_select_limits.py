"""Sizes, quotas, length matching and the near-duplicate limit of a whole run, and what is said of
them.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from tests.small_world import MODELS, long_response, make_rows
from typer.testing import CliRunner

import tacos
from tacos import config
from tacos.cli import app
from tacos.cli.shared import summary
from tacos.errors import ConfigError, InputError, ModelError, TacosError
from tacos.report.facts import summarise_run

ROWS = make_rows()


def judge(instructions: list[str], responses: list[str]) -> list[float]:
    """Likes what is long."""
    return [1 + min(len(text), 900) / 10 for text in responses]


def files(folder: Path) -> list[Path]:
    """The rows in two files, 120 and 40."""
    paths = [folder / "many.jsonl", folder / "few.jsonl"]
    for path, part in zip(paths, (ROWS[:120], ROWS[120:]), strict=True):
        path.write_bytes(b"\n".join(map(orjson.dumps, part)))
    return paths


def run(
    folder: Path,
    n: str | float = 20,
    settings: dict[str, Any] | None = None,
    **changes: Any,
) -> tacos.Selection:
    """A selection of both files with cheap models."""
    # Compared, so that a shortlist decides which rows have a score.
    compared = {"normalise": {"alpha": 1}, "judge": {"mode": "comparative"}}
    more = {**compared, **(settings or {})}
    own: dict[str, Any] = {**MODELS, "judge": judge, **changes}
    return tacos.select(files(folder), n, run=folder / "run", settings=more, **own)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run directory for all: what a test does not change is there already."""
    return tmp_path_factory.mktemp("limits")


def cli(*words: object) -> tuple[int, str]:
    """Exit code and output of a command line; errors as `main` turns them into codes."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, TacosError):
        return result.exception.exit_code, str(result.exception)
    return result.exit_code, result.output


def n_tokens(done: tacos.Selection) -> int:
    chars = (pl.col("instruction") + pl.col("response")).str.len_chars()
    return int(done.table.select((chars / 4).ceil().sum()).item())


@pytest.mark.parametrize(("n", "n_rows"), [("10%", 16), (0.05, 8), ("12", 12)])
def test_n_is_rows_or_a_share(place: Path, n: str | float, n_rows: int) -> None:
    assert run(place, n).table.height == n_rows


def test_a_share_is_the_same_selection_as_so_many_rows(place: Path) -> None:
    share = run(place, "10%").table["id"].to_list()
    assert share == run(place, 16).table["id"].to_list()


def test_a_token_budget_is_kept_and_nearly_used_up(place: Path) -> None:
    done = run(place, "600tokens")
    assert n_tokens(done) <= 600 < n_tokens(run(place, done.table.height + 1))


def test_quotas_of_sources_and_tags_hold_and_are_explained(place: Path) -> None:
    limits = {"per_source": {"few": 0.5}, "per_tag": {"poem": "<=2"}}
    done = run(place, 20, {"select": limits, "shortlist": {"factor": 2.0}})
    assert Counter(one.partition(":")[0] for one in done.table["id"]) == {
        "few.jsonl": 10,
        "many.jsonl": 10,
    }
    assert done.table["tags"].list.contains("poem").sum() <= 2
    assert set(done.table["rule"]) <= {"gain", "remainder"}
    chosen = set(done.table["id"])
    scored = done.artifacts["scores/3"].scan().select("id").collect()["id"].to_list()
    told = {one: done.explain(one)["verdict"] for one in scored if one not in chosen}
    # The quota takes more of the small file than there would be: none is dropped for it.
    few = [text for one, text in told.items() if one.startswith("few")]
    assert few
    last = re.compile(r"less than the [\d.]+ of the last row taken \(few\.jsonl:")
    assert all(last.search(text) for text in few)
    full = "what the quotas leave to other sources was full (10 of 10 rows); its score"
    many = [text for one, text in told.items() if one.startswith("many")]
    assert any(full in text for text in many)
    assert all(full in text or "the last row taken" in text for text in many)


def test_matched_lengths_undo_the_preference_for_long_responses(place: Path) -> None:
    free = run(place, 40).table["length"].median()
    half = {"shortlist": {"factor": 2.0}}
    matched = run(place, 40, {"select": {"match_length": True}, **half})
    pool = (
        matched.artifacts["samples"]
        .scan()
        .select("length")
        .collect()["length"]
        .median()
    )
    assert abs(matched.table["length"].median() - pool) < abs(free - pool) / 3
    assert "reserve" in matched.summary.shortlist["kept"]


def judge_twice(
    instructions: list[str], responses: list[str]
) -> list[tuple[float, float]]:
    """Value by length; correctness by the number in the instruction."""
    return [
        (min(len(response), 100), int(asked.rpartition(" ")[2].strip(".")) % 100 + 1)
        for asked, response in zip(instructions, responses, strict=True)
    ]


def test_rows_below_the_floor_of_correctness_are_rejects_but_kept_ones_stay(
    tmp_path: Path,
) -> None:
    settings = {
        "select": {"min_correctness": 40.0, "keep": ["data:3"], "limit": 1.0},
        "judge": {"mode": "singleton"},
    }
    models = {**MODELS, "judge": judge_twice}
    done = tacos.select(
        make_rows(100, long_response), 20, run=tmp_path, settings=settings, **models
    )
    numbers = {int(id_.partition(":")[2]) for id_ in done.table["id"]}
    assert len(numbers) == 20
    # The correctness of row i is i + 1.
    assert {number for number in numbers if number < 39} == {3}
    rejects = done.artifacts["selection"].rejects()
    assert set(rejects["id"]) == {f"data:{i}" for i in range(39) if i != 3}
    assert rejects["reason"].unique().to_list() == [
        "correctness below select.min_correctness=40"
    ]
    assert not rejects["failure"].any()
    assert (
        "its correctness (31.0) is below the floor (40)"
        in (done.explain("data:30")["verdict"])
    )
    # Another selection has the floor that it is given, whatever its strategy.
    for strategy in ("tacos", "longest", "mig"):
        free = tacos.reselect(done, 60, strategy)
        assert min(int(id_.partition(":")[2]) for id_ in free.table["id"]) < 38
        high = tacos.reselect(done, 20, strategy, min_correctness=70)
        numbers = {int(id_.partition(":")[2]) for id_ in high.table["id"]}
        assert {number for number in numbers if number < 69} == {3}
    with pytest.raises(InputError, match=r"only 32; .*lower select.min_correctness"):
        tacos.reselect(done, 40, min_correctness=70)


def test_a_floor_needs_a_judge_of_correctness(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gives a single score"):
        tacos.select(
            make_rows(100, long_response),
            20,
            run=tmp_path,
            settings={"select": {"min_correctness": 40.0}},
            **MODELS,
        )


def test_a_floor_needs_a_judge_of_correctness_in_other_selections_too(
    tmp_path: Path,
) -> None:
    done = tacos.select(make_rows(100, long_response), 20, run=tmp_path, **MODELS)
    for strategy in ("tacos", "random"):
        with pytest.raises(ConfigError, match="gives a single score"):
            tacos.reselect(done, 10, strategy, min_correctness=40)


def test_a_floor_and_unjudged_rows_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="cannot test: leave out one of them"):
        config.load_settings(select={"min_correctness": 40, "fill": True})


def test_a_judge_gives_single_scores_or_pairs_not_both(tmp_path: Path) -> None:
    def judge_oddly(instructions: list[str], responses: list[str]) -> list[Any]:
        return [(50, 60) if i % 2 else 70 for i in range(len(responses))]

    with pytest.raises(ModelError, match="a single score for sample 0 of a batch"):
        tacos.select(
            make_rows(100, long_response),
            20,
            run=tmp_path,
            **{**MODELS, "judge": judge_oddly},
        )


def test_near_duplicates_are_turned_away_and_explained(place: Path) -> None:
    done = run(place, 8, {"select": {"limit": 0.6}, "shortlist": {"rule": "all"}})
    chosen = set(done.table["id"])
    ids = done.artifacts["samples"].scan().select("id").collect()["id"].to_list()
    told = [
        done.explain(one)["verdict"]
        for one in ids
        if one not in chosen and one.endswith("6")
    ]
    assert any("near-duplicate of" in each for each in told)
    assert set(run(place, 8, {"shortlist": {"rule": "all"}}).table["id"]) != chosen


def test_unjudged_rows_may_fill_what_limits_leave(place: Path) -> None:
    limits = {"fill": True, "per_source": {"few": 35}}
    found = run(
        place, 60, {"select": limits, "shortlist": {"factor": 0.3, "cap": 3}}
    ).table
    assert Counter(one.partition(":")[0] for one in found["id"])["few.jsonl"] == 35
    assert "fill" in found["rule"].to_list()


@pytest.mark.parametrize("preset", ["robust", "paper"])
def test_a_limit_that_binds_nowhere_changes_nothing(place: Path, preset: str) -> None:
    lists = {"keep": ["few.jsonl:0", "many.jsonl:3"], "exclude": ["few.jsonl:16"]}
    free, limited = (
        run(place, 24, {"select": {**lists, **limit}}, preset=preset)
        .table.sort("id")
        .select("id", "rule")
        for limit in ({}, {"per_source": {"few": "<=24"}})
    )
    assert free.equals(limited)


@pytest.mark.parametrize("limit", [{}, {"per_source": {"few": "<=40"}}])
def test_filling_takes_all_but_excluded_rows_where_more_are_asked_for(
    place: Path, limit: dict[str, Any]
) -> None:
    found = run(
        place, 160, {"select": {"fill": True, "exclude": ["few.jsonl:16"], **limit}}
    ).table
    assert found.height == 159


def test_keep_and_exclude_hold_under_limits(place: Path) -> None:
    lists = {
        "keep": ["few.jsonl:0"],
        "exclude": ["few.jsonl:16"],
        "per_source": {"few": 6},
    }
    done = run(place, 12, {"select": lists})
    ids = done.table["id"].to_list()
    assert "few.jsonl:0" in ids
    assert "few.jsonl:16" not in ids
    assert sum(one.startswith("few") for one in ids) == 6
    assert done.summary.shortlist["left out"]["on the exclude list"] == 1
    assert "exclude list" in done.explain("few.jsonl:16")["verdict"]


@pytest.mark.parametrize("limits", [{}, {"match_length": True}])
def test_a_row_excluded_by_its_content_is_explained_as_such_also_in_another_selection(
    place: Path, limits: dict[str, Any]
) -> None:
    samples = run(place, 12).artifacts["samples"].scan().collect()
    [content] = samples.filter(id="few.jsonl:16")["content_hash"]
    done = run(place, 12, {"select": {"exclude": [content]}})
    other = done.reselect(12, "longest", **limits)
    assert (
        done.explain(content)["verdict"]
        == other.explain(content)["verdict"]
        == "dropped: by hand: it is on the exclude list"
    )


def test_reselect_has_the_same_limits_and_says_so(place: Path) -> None:
    done = run(place, settings={"shortlist": {"rule": "all"}})
    again = done.reselect(20, "longest", per_source={"few": "<=3"}, match_length=True)
    assert sum(one.startswith("few") for one in again.table["id"]) == 3
    # Its turn came when the quota was full; the shortest row's turn never came.
    passed_by, never_asked = "few.jsonl:10", "few.jsonl:16"
    assert not {passed_by, never_asked} & {*again.table["id"]}
    assert (
        "the quota of the source few.jsonl was full (3 rows) when its turn came"
        in again.explain(passed_by)["verdict"]
    )
    assert "20 rows came first" in again.explain(never_asked)["verdict"]
    code, printed = cli(
        "reselect",
        done.run,
        "-n",
        20,
        "--quota-source",
        "few=0.25",
        "--quota-tag",
        "poem<=1",
    )
    assert code == 0, printed
    code, printed = cli(
        "compare",
        done.run,
        "-n",
        20,
        "--strategies",
        "mig",
        "--quota-source",
        "few.jsonl<=5%",
    )
    assert code == 0, printed
    assert " 5% " in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--quota-source", "none=0.3"),
            "unknown source 'none'; available: few.jsonl, many.jsonl",
        ),
        (("--quota-source", "few"), "not of the form"),
        (("--quota-source", "few=abc"), "a quota of 'abc'"),
        (("--quota-source", "few=0.3", "--quota-source", "few=0.2"), "two quotas"),
        (("--quota-source", "few=0.7", "--quota-source", "many=0.6"), "sum to 130%"),
        (("-n", "150%"), "a share (up to 100%)"),
        (("-n", "-5"), "not a valid size"),
        (("--limit", "2"), "select.limit"),
    ],
)
def test_what_cannot_be_is_one_clear_line(
    place: Path, words: tuple[str, ...], message: str
) -> None:
    code, printed = cli(
        "select",
        *files(place),
        "-n",
        5,
        "-o",
        place / "out.jsonl",
        "--workers",
        1,
        *words,
    )
    assert code == 2
    assert message in printed
    assert "\n" not in printed.strip()


def test_a_tag_that_no_row_carries_is_named_with_those_near_it(place: Path) -> None:
    with pytest.raises(
        InputError,
        match="no row has the tag 'peom' after normalisation; did you mean: poem",
    ):
        run(place, 5, {"select": {"per_tag": {"peom": 0.3}}})


def test_a_selector_of_ones_own_decides_alone(place: Path) -> None:
    first = lambda pool, n: pool["id"].to_list()[:n]  # noqa: E731 - as a user would write it
    assert run(place, "5%", selector=first).table.height == 8
    with pytest.raises(ConfigError, match="decides alone"):
        run(place, 8, {"select": {"match_length": True}}, selector=first)
    with pytest.raises(ConfigError, match="rows or a share"):
        run(place, "600tokens", selector=first)


@pytest.mark.parametrize("preset", ["robust", "paper"])
def test_clusters_by_embedding(place: Path, preset: str) -> None:
    settings = {
        "cluster": {"by": "embedding", "k": 8, "smallest": 10, "largest": 0.4},
        "shortlist": {"rule": "all"},
    }
    done = run(place, 20, settings, preset=preset)
    clusters = done.summary.clusters
    assert sum(each["n_members"] for each in clusters) == 160
    assert min(each["n_members"] for each in clusters) >= 10
    assert all(each["name"] for each in clusters)
    memberships = done.artifacts["memberships"].scan().collect()
    assert memberships["clusters"].list.len().unique().to_list() == [1]
    assert done.table.height == 20


def test_what_the_report_has_computed_is_not_computed_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_computed = 0

    def count(artifacts: Any, settings: Any) -> Any:
        nonlocal n_computed
        n_computed += 1
        return summarise_run(artifacts, settings)

    monkeypatch.setattr("tacos.report.facts.summarise_run", count)
    done = run(place, output=place / "rows.jsonl")
    assert done.summary.n_selected == done.table.height == 20
    assert n_computed == 1


def test_a_cap_and_its_rows_are_in_summary_and_report(place: Path) -> None:
    done = run(place, 10, {"shortlist": {"rule": "all", "cap": 5}})
    found = done.summary.shortlist
    assert found["kept"]["all"] + found["left out"]["cap"] == 160
    html = (done.run / "report.html").read_text("utf-8")
    assert (
        f'<th scope="row">cap</th><td>left out</td><td class="n">{found["left out"]["cap"]}</td>'
        in html
    )


def test_more_rows_than_there_are(place: Path) -> None:
    with pytest.raises(InputError, match="only 160 usable rows"):
        run(place, 161)


def test_fill_takes_what_there_is_past_near_duplicates_and_says_what_is_missing(
    place: Path,
) -> None:
    done = run(place, 1000, {"select": {"fill": True, "limit": 0.6}})
    n = done.table.height
    assert n < 160
    assert done.summary.n_missing == 1000 - n
    assert (
        dict(summary.format_summary(done.summary))["selected"]
        == f"{n} of 1,000 requested; no more rows can be selected"
    )
    with pytest.raises(InputError, match="not filled: the quota of the source few"):
        run(
            place,
            160,
            {"select": {"fill": True, "limit": 0.6, "per_source": {"few": 0.25}}},
        )
    plain = run(place, 1000, {"select": {"fill": True}})
    assert (plain.table.height, plain.summary.n_missing) == (160, 840)
