"""Rows that a second attack read wrong: names of preferences and answers that no list foresees.

What a guess leaves out is named, so that a wrong one is seen; what cannot be told is refused in one
line that names the way out.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import tacos
from tacos.cli import app
from tacos.config import IngestSettings
from tacos.methods.samples.sample_parsing import parse_sample
from tacos.records import Reject, Sample

Q = "What is three plus four?"
GOOD = "It is seven."
BAD = "It is nine."
OLD = "I do not know."
USER = {"role": "user", "content": Q}


def parse(row: dict[str, Any], **settings: Any) -> Sample | Reject:
    return parse_sample(row, "x:0", IngestSettings(**settings))


def read(row: dict[str, Any], **settings: Any) -> str:
    """The answer that is judged."""
    sample = parse(row, **settings)
    assert isinstance(sample, Sample), sample.reason
    assert sample.turns[-1].role == "assistant"
    return sample.turns[-1].text


def refuse(row: dict[str, Any], **settings: Any) -> str:
    """Why a row is refused."""
    reject = parse(row, **settings)
    assert isinstance(reject, Reject), reject.turns
    return reject.reason


def list_unread(row: dict[str, Any]) -> list[str]:
    """The columns that are told as not read."""
    taken: Counter[str] = Counter()
    parse_sample(row, "x:0", IngestSettings(), taken)
    start = "not read: "
    return [note.removeprefix(start) for note in taken if note.startswith(start)]


# What was not read


@pytest.mark.parametrize(
    "column",
    ["rejected_answer", "labels", "explanation", "isCorrect", "Option 1", "weight", "comment"],
)  # fmt: skip
def test_a_column_that_may_matter_is_told(column: str) -> None:
    """A wrong guess is seen at once, whatever the column is called."""
    row = {"question": Q, "answer": GOOD, column: "A text that nobody reads."}
    assert list_unread(row) == [column]
    assert list_unread({**row, column: None}) == []


@pytest.mark.parametrize(
    "row",
    [
        {"id": "a long id of this row, really", "source": "some dump of the web, 2024"},
        {"category": "open question answering", "language": "English (American)"},
        {"num_tokens": 12, "answer_length": 90, "answer_id": 7, "meta": {"a": 1}},
        {"place": "Rome", "year": 1999, "system": "", "labels": []},
    ],
    ids=str,
)
def test_what_is_said_about_a_row_is_not_told(row: dict) -> None:
    """Ids, sources, languages, categories and plain numbers would hide what matters."""
    assert list_unread({"question": Q, "answer": GOOD, **row}) == []


def test_what_is_read_is_not_told_as_unread() -> None:
    """The other side of a preference, and scores that decide, are no oversight."""
    row = {"prompt": Q, "chosen": GOOD, "rejected": BAD}
    assert list_unread(row) == []
    row = {"question": Q, "answers": [BAD, GOOD], "scores": [1, 2]}
    assert list_unread(row) == []
    row = {"messages": [USER, {"role": "assistant", "content": GOOD}], "quality": 3}
    assert list_unread(row) == ["quality"]


def test_inspect_and_the_summary_name_columns_that_were_not_read(
    tmp_path: Path,
) -> None:
    """One line each; at most eight names."""
    path = tmp_path / "x.jsonl"
    more = {f"hint_{letter}": "See above." for letter in "abcdefghi"}
    rows = [
        {"question": f"{Q} {number}", "answer": GOOD, "note": "Checked by two people.", **more}
        for number in range(3)
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)))
    shown = CliRunner().invoke(app, ["inspect", str(path)], catch_exceptions=False)
    words = " ".join(shown.output.split())
    assert "not read: hint_a, hint_b, hint_c" in words
    assert "hint_h and 2 more" in words
    found = tacos.inspect(path)
    assert found.files[0].read_as["not_read"]["note"] == 3
