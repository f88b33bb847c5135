"""What the report says of every row is what `tacos explain` says of it."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.small_world import MODELS, judge_by_instruction, make_rows

import tacos
from tacos.report.made_selection import MadeSelection
from tacos.report.row_reasons import RowReasons, collect_reasons
from tacos.report.sections.row_finder import pack_reasons

ROWS = [
    *make_rows(120),
    {"instruction": "Say nothing.", "output": ""},
    make_rows(1)[0],
]
OWN = {**MODELS, "judge": judge_by_instruction}
NORMALISE = {"normalise": {"alpha": 1}}
RUNS: dict[str, dict[str, Any]] = {
    "graded": {},
    "compared": {"judge": {"mode": "comparative"}, "shortlist": {"factor": 2}},
    "compared, by tags": {
        "judge": {"mode": "comparative"},
        "shortlist": {"factor": 4},
        "select": {"tag_price": 4.0, "limit": 1.0},
    },
    "listed": {"select": {"keep": ["data:3"], "exclude": ["data:4", "data:5"]}},
    "exact tag": {"select": {"per_tag": {"poem": "5", "bread": "<=3"}}},
    "few tags": {"select": {"per_tag": {"sum": "<=1", "music": "<=1"}}},
    "quota": {"select": {"quota": "ascending-size"}},
    "no tags": {"select": {"tag_price": 0.0, "limit": 1.0}},
    "lengths": {"select": {"match_length": True}},
}


def shorten(verdict: str) -> str:
    """A verdict as the report has it: it names no new tag of a dropped row."""
    if verdict.startswith("kept"):
        return verdict
    return re.sub(r"( new tags?) \([^()]*\) =", r"\1 =", verdict)


def assert_same(done: tacos.Selection) -> RowReasons:
    """Every row has the reason that it is told when asked about by itself."""
    reasons = collect_reasons(MadeSelection(done.artifacts, done.settings))
    for row in (f"data:{number}" for number in range(len(ROWS))):
        told = reasons.tell(row)
        verdict = shorten(done.explain(row)["verdict"])
        # A rule of ingest also says what it found.
        start = "dropped at ingest"
        if told.startswith(start):
            told = told[: len(verdict)]
        assert told == verdict
        # A row that adds more than the last row taken is dropped for a limit, and that is said.
        assert not re.match(r"dropped: (score|\d+ new tag).*, against ", told)
    assert len(reasons.rows) == len(ROWS)
    return reasons


@pytest.mark.parametrize("name", RUNS)
def test_every_row_is_told_what_explain_tells(name: str, tmp_path: Path) -> None:
    done = tacos.select(
        ROWS, n=15, run=tmp_path / "run", **OWN, settings={**NORMALISE, **RUNS[name]}
    )
    assert_same(done)


def test_a_row_of_another_selection_is_told_why(tmp_path: Path) -> None:
    done = tacos.select(ROWS, n=15, run=tmp_path / "run", **OWN, settings=NORMALISE)
    for strategy in ("tacos", "random", "mig"):
        assert_same(done.reselect(9, strategy))


def test_a_packed_reason_is_the_reason(tmp_path: Path) -> None:
    done = tacos.select(ROWS, n=15, run=tmp_path / "run", **OWN, settings=NORMALISE)
    reasons = collect_reasons(MadeSelection(done.artifacts, done.settings))
    packed = pack_reasons(reasons, {"data:3": (2, 51.26)})
    place = packed["row"].index(3)
    assert packed["files"][packed["file"][place]] == "data"
    assert (packed["cluster"][place], packed["score"][place]) == (2, 51.3)
    number, values = reasons.rows["data:3"]
    assert packed["reason"][place] == number
    assert packed["values"][place] == list(values)
    sizes = {
        len(column)
        for name, column in packed.items()
        if name not in ("files", "sentences", "drawn")
    }
    assert sizes == {len(ROWS)}
