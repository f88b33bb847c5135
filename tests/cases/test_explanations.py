"""Why was this row dropped? A person asks it of any row, as text and as JSON, and is told one true
reason in numbers: what the row adds against the last row taken, its rank and the cut-off where the
shortlist left it out, or the one limit without which it would have been taken.

The cases are ours: rows of every fate, in runs of every kind.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from tests.server.fault_server import Behaviour, FaultServer
from tests.server.support import environment
from tests.small_world import MODELS, long_response, make_rows, run_command

import tacos

__all__ = ["environment"]
SAMPLE = Path(__file__).parents[2] / "demo" / "sample.jsonl"
NAMED_SUM = (
    r"score (?P<score>[\d.]+)( \+ [\d.]+ for (?P<n>\d+) new tags? \((?P<tags>.+)\) = "
    r"(?P<sum>[\d.]+))?"
)
MARGIN = re.compile(
    rf"dropped: {NAMED_SUM}, less than the (?P<last>[\d.]+) of the last row taken "
    r"\((?P<id>\S+), rank \d+ of 20 by score"
    r"(; score [\d.]+ \+ [\d.]+ for \d+ new tags?)?\)"
)
TAKEN = re.compile(
    r"kept, rank (?P<rank>\d+) of 20 by score, cluster \d+: "
    rf"taken as row (?P<row>\d+) of 20 for {NAMED_SUM}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some rows of the sample, with a duplicate and a row without a response."""
    path = tmp_path_factory.mktemp("explained")
    lines = SAMPLE.read_text("utf-8").splitlines()[:100]
    empty = json.dumps({"instruction": "Say nothing.", "output": ""})
    (path / "data.jsonl").write_text("\n".join([*lines, lines[0], empty]), "utf-8")
    return path


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer(Behaviour()) as found:
        yield found


@pytest.fixture(scope="module")
def plain(folder: Path) -> tacos.Selection:
    return tacos.select(folder / "data.jsonl", 20, run=folder / "plain.run")


def list_ids(done: tacos.Selection) -> list[str]:
    return done.artifacts["samples"].scan().select("id").collect()["id"].to_list()


def tell_dropped(done: tacos.Selection) -> dict[str, str]:
    """Id -> what a dropped row is told."""
    verdicts = {id_: done.explain(id_)["verdict"] for id_ in list_ids(done)}
    return {id_: text for id_, text in verdicts.items() if text.startswith("dropped")}


def check_every_row(run: Path, ids: list[str]) -> None:
    """Each row can be explained as JSON and as text, without the brackets of a program."""
    for id_ in ids:
        code, printed = run_command("explain", run, id_, "--json")
        assert code == 0
        assert json.loads(printed)["row"] == id_
        code, printed = run_command("explain", run, id_)
        assert code == 0
        assert printed.startswith(f"{id_}: ")
        assert not re.search(r"\['|\{\d+:|None|True", printed.split("response")[-1])


# Every kind of row, in every kind of run


def test_rows_of_every_fate_have_an_explanation(
    folder: Path, plain: tacos.Selection
) -> None:
    check_every_row(
        plain.run, [*list_ids(plain)[::7], "data.jsonl:100", "data.jsonl:101"]
    )


def test_rows_of_the_paper_s_procedure_too(folder: Path) -> None:
    done = tacos.select(
        folder / "data.jsonl", 20, run=folder / "paper.run", preset="paper"
    )
    check_every_row(done.run, list_ids(done)[::7])
    told = tell_dropped(done).values()
    assert any(
        "in the same clusters, has a response at least as long" in text for text in told
    )
    form = r"less than the [\d.]+ of the last row taken of cluster \d+ \("
    assert any(re.search(form, text) for text in told)


def test_a_run_that_was_stopped_early_too(folder: Path) -> None:
    run_command(
        "select",
        folder / "data.jsonl",
        "-o",
        folder / "early.jsonl",
        "--until",
        "cluster",
    )
    run = folder / "early.jsonl.run"
    check_every_row(run, ["data.jsonl:3"])
    assert "not decided" in tacos.load(run).explain("data.jsonl:3")["verdict"]


@pytest.mark.parametrize("strategy", ["mig", "random", "longest", "tacos"])
def test_rows_of_another_selection_too(plain: tacos.Selection, strategy: str) -> None:
    done = tacos.reselect(plain, 15, strategy, match_length=True)  # type: ignore[arg-type]
    told = tell_dropped(done)
    assert len(told) == len(list_ids(done)) - 15
    if strategy == "tacos":
        return
    # Each has one reason: the preference, or the one band that was full at its turn.
    preferred = [
        f"the strategy {strategy} did not take it" in text for text in told.values()
    ]
    passed_by = [
        bool(re.search(r": the band of responses of .* was full .* its turn", text))
        for text in told.values()
    ]
    assert all(a != b for a, b in zip(preferred, passed_by, strict=True))
    assert any(preferred)
    assert any(passed_by)
    kept = [done.explain(id_)["verdict"] for id_ in done.table["id"]]
    assert all(f"the strategy {strategy} took it: it takes" in text for text in kept)


def test_a_band_is_the_reason_only_of_rows_longer_than_the_last_one_taken(
    plain: tacos.Selection,
) -> None:
    """Of the strategy longest it is known which rows come before which."""
    done = tacos.reselect(plain, 15, "longest", match_length=True)
    lengths = done.artifacts["samples"].scan().select("id", "length").collect()
    length_of = dict(lengths.iter_rows())
    shortest = min(length_of[id_] for id_ in done.table["id"])
    for id_, text in tell_dropped(done).items():
        if "was full" in text:
            assert length_of[id_] >= shortest
        else:
            assert length_of[id_] <= shortest


@pytest.mark.parametrize(
    "row", [17, 1.5, True, None, b"data.jsonl:1", ["data.jsonl:1"], pl.lit(1)]
)
def test_a_row_that_is_no_text_is_one_clear_error(
    plain: tacos.Selection, row: object
) -> None:
    with pytest.raises(
        TypeError, match=r"^row must be an id \(data.jsonl:17\) or a content hash"
    ):
        plain.explain(row)  # type: ignore[arg-type]


# Rows that there are not


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("17", "did you mean data.jsonl:17?"),
        ("data.jsonl:102", "its rows are data.jsonl:0 to data.jsonl:101"),
        ("some/where/data.jsonl:3", "did you mean data.jsonl:3?"),
        ("other.jsonl:3", "its rows are data.jsonl:0 to data.jsonl:101"),
        ("999", "its rows are data.jsonl:0 to data.jsonl:101"),
    ],
)
def test_an_id_that_there_is_not_is_told_which_there_are(
    plain: tacos.Selection, row: str, words: str
) -> None:
    code, printed = run_command("explain", plain.run, row)
    assert code == 2
    assert words in printed
    assert ("did you mean" in printed) == ("did you mean" in words)


# The reason, in numbers


def test_a_row_is_told_what_it_adds_and_what_the_last_row_taken_adds(
    plain: tacos.Selection,
) -> None:
    chosen = set(plain.table["id"])
    scores = dict(
        plain.artifacts["scores/0"].scan().select("id", "score").collect().rows()
    )
    told = tell_dropped(plain)
    assert told
    lasts = set()
    for id_, text in told.items():
        found = MARGIN.fullmatch(text)
        assert found, text
        assert float(found["score"]) == pytest.approx(scores[id_], abs=0.006)
        own = float(found["sum"] or found["score"])
        assert own <= float(found["last"])
        lasts.add(found["id"])
    assert len(lasts) == 1
    assert lasts <= chosen


def test_a_kept_row_is_told_the_sum_that_took_it(plain: tacos.Selection) -> None:
    """The sums fall from turn to turn down to that of the last row, which dropped rows are told;
    all tags that are named as new are together all that the selection covers.
    """
    sums = {}
    new_tags: list[str] = []
    for id_, rank in plain.table.select("id", "rank").iter_rows():
        verdict = plain.explain(id_)["verdict"]
        found = TAKEN.fullmatch(verdict)
        assert found, verdict
        assert int(found["rank"]) == rank
        sums[int(found["row"])] = float(found["sum"] or found["score"])
        names = found["tags"].split(", ") if found["tags"] else []
        assert len(names) == int(found["n"] or 0)
        new_tags += names
    assert sorted(sums) == list(range(1, 21))
    in_order = [sums[row] for row in sorted(sums)]
    assert in_order == sorted(in_order, reverse=True)
    assert sorted(new_tags) == sorted(set(plain.table["tags"].explode().drop_nulls()))
    (dropped, *_) = tell_dropped(plain).values()
    last = MARGIN.fullmatch(dropped)
    assert last
    assert float(last["last"]) == in_order[-1]


def test_a_row_that_came_in_for_another_is_told_so(folder: Path) -> None:
    """By score alone: rows that a limit brought in are not said to repeat others."""
    settings = {"select": {"tag_price": 0.0, "match_length": True}}
    done = tacos.select(
        folder / "data.jsonl", 20, run=folder / "price.run", settings=settings
    )
    came_in = done.table.filter(pl.col("rule") == "remainder")["id"].to_list()
    assert came_in
    for id_ in came_in:
        verdict = done.explain(id_)["verdict"]
        assert verdict.endswith("in the place of a row that a limit left out")
    others = done.table.filter(pl.col("rule") == "gain")["id"].to_list()
    assert re.search(r": taken for score [\d.]+$", done.explain(others[0])["verdict"])


def test_a_row_on_a_list_is_told_of_the_list(
    folder: Path, plain: tacos.Selection
) -> None:
    listed = next(iter(tell_dropped(plain)))
    done = tacos.select(
        folder / "data.jsonl",
        20,
        run=folder / "keep.run",
        settings={"select": {"keep": [listed]}},
    )
    assert "it is on the must-keep list" in done.explain(listed)["verdict"]


def test_a_quota_is_the_reason_only_of_rows_that_would_have_been_taken(
    folder: Path,
) -> None:
    free = tacos.select(folder / "data.jsonl", 20, run=folder / "quota.run")
    counts = Counter(tag for tags in free.table["tags"] for tag in tags)
    tag = counts.most_common(1)[0][0]
    bounded = tacos.select(
        folder / "data.jsonl",
        20,
        run=folder / "quota.run",
        settings={"select": {"per_tag": {tag: "<=1"}}},
    )
    told = tell_dropped(bounded)
    full = {
        id_
        for id_, text in told.items()
        if f"the quota of the tag {tag!r} was full" in text
    }
    would = set(free.table["id"]) - set(bounded.table["id"])
    # Who had a place without the quota lost it to the quota, and to nothing else.
    assert would
    assert would <= full
    tagged = bounded.artifacts["canonical_tags"].scan().collect()
    carriers = tagged.filter(pl.col("tags").list.contains(tag))["id"].to_list()
    assert full <= set(carriers)
    assert len(full) < len(carriers) - 1
    for id_ in full:
        assert told[id_].count("full") == 1
        assert re.search(r"less than the [\d.]+ of the last of these rows", told[id_])


def test_exact_quotas_of_both_files_are_not_everybody_s_reason(tmp_path: Path) -> None:
    rows = make_rows(80, long_response)
    for name, part in (("a.jsonl", rows[:40]), ("b.jsonl", rows[40:])):
        (tmp_path / name).write_text("\n".join(map(json.dumps, part)))
    settings = {"select": {"per_source": {"a": 0.5, "b": 0.5}, "match_length": True}}
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    done = tacos.select(files, 20, run=tmp_path / "run", settings=settings, **MODELS)
    told = tell_dropped(done).values()
    assert any(text.startswith("dropped: score") for text in told)
    assert any("the band of responses" in text for text in told)


# Rows that the shortlist left out


def test_a_row_left_out_is_told_its_rank_the_cut_off_and_why(
    folder: Path, server: FaultServer
) -> None:
    done = tacos.select(
        folder / "data.jsonl",
        5,
        run=folder / "llm.run",
        ledger=folder / "ledger.sqlite",
        settings={
            "llm": {"base_url": server.url, "model": "tiny-1"},
            "tag": {"model": "llm"},
            "judge": {"model": "llm"},
        },
    )
    left_out = [
        text for text in tell_dropped(done).values() if "not shortlisted" in text
    ]
    assert len(left_out) > 60
    form = re.compile(
        r"dropped: not shortlisted, so never compared \(rule stratified\): the embedded judge "
        r"grades it (?P<grade>[\d.]+) \(82% value, 18% correctness\), rank \d+ of the \d+ rows "
        r"of cluster \d+, of which \d+ were shortlisted; every row graded above "
        r"(?P<cut>[\d.]+) was, below that only the best of each cluster and class of lengths; "
        r"(no fault is likely|likely faults, with their probabilities: .*)"
    )
    for text in left_out:
        found = form.fullmatch(text)
        assert found, text
        assert float(found["grade"]) <= float(found["cut"])
    check_every_row(done.run, list_ids(done)[::11])


@pytest.mark.parametrize("rule", ["random", "embedded-judge"])
def test_every_rule_of_the_shortlist_says_what_it_asks_for(
    folder: Path, rule: str
) -> None:
    settings = {
        "shortlist": {"rule": rule, "cap": 6, "factor": 2.0},
        "judge": {"mode": "comparative"},
    }
    done = tacos.select(
        folder / "data.jsonl", 10, run=folder / "rules.run", settings=settings
    )
    words = {
        "random": "chance drew others",
        "embedded-judge": "below that only some, drawn by chance",
        "cap": "a cluster has at most 6 (shortlist.cap)",
    }
    left_out = [
        text for text in tell_dropped(done).values() if "not shortlisted" in text
    ]
    assert left_out
    for text in left_out:
        named = "cap" if "(rule cap)" in text else rule
        assert words[named] in text or "were shortlisted" in text
    assert any(words[rule] in text for text in left_out)
