"""Files of judged duels: written, read back, and FastChat's."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from tacos.errors import InputError
from tacos.formats.duel_files import read_duels, write_duels
from tacos.methods.evaluating.duel_questions import DUEL_VERDICTS
from tacos.methods.evaluating.duel_summary import JudgedDuel

DUELS = [
    JudgedDuel(
        ("ours", "theirs"),
        "1",
        ("first", "tie"),
        "koala",
        lengths=(20, 30),
        judge="judge-1",
    ),
    JudgedDuel(("ours", "theirs"), "2", (None, "second"), "koala", lengths=(1, 2)),
    JudgedDuel(
        ("ours", "theirs"), "3", ("tie", "tie"), None, lengths=(4, 4), is_identical=True
    ),
]
LINE = {
    "question_id": 141,
    "model_1": "a",
    "model_2": "b",
    "g1_winner": "model_1",
    "g2_winner": "error",
    "judge": ["gpt-4", "pair-v2-multi-turn"],
    "turn": 2,
}


def write_line(tmp_path: Path, *lines: object) -> Path:
    file = tmp_path / "duels.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return file


def test_what_was_written_is_read_back_as_it_was(tmp_path: Path) -> None:
    verdicts = pl.DataFrame(
        [{"number": 0, "order": "ab", "reason": "A is right."}],
        schema_overrides={"number": pl.UInt32},
    )
    file = write_duels(DUELS, verdicts, tmp_path / "duels.jsonl")
    assert read_duels(file) == DUELS
    first = json.loads(file.read_text().splitlines()[0])
    assert first["g1_winner"] == "model_1"
    assert first["g1_judgment"] == "A is right."
    assert first["g2_judgment"] is None
    packed = write_duels(
        DUELS, pl.DataFrame(schema=DUEL_VERDICTS), tmp_path / "d.json.gz"
    )
    assert read_duels(packed) == DUELS


def test_an_error_of_fastchat_is_missing_and_no_tie(tmp_path: Path) -> None:
    (duel,) = read_duels(write_line(tmp_path, LINE))
    assert duel == JudgedDuel(("a", "b"), "141", ("first", None), turn=2, judge="gpt-4")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"g1_winner": "A"}, r"row 0 .* g1_winner is 'A'"),
        ({"model_2": None}, "lacks model_2"),
        ({"turn": "two"}, "turn is no number"),
        ({"turn": True}, "turn is no number"),
        ({"g1_winner": ["model_1"]}, "g1_winner is"),
        ({"lengths": [1]}, "lengths is not two numbers"),
        ({"lengths": [1, -5]}, "lengths is not two numbers"),
        ({"lengths": [1, 2**63]}, "lengths is not two numbers"),
    ],
)
def test_lines_that_are_no_duel(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_duels(write_line(tmp_path, LINE | change))


def test_a_duel_that_stands_twice_in_a_file_is_refused(tmp_path: Path) -> None:
    """FastChat appends to its files, and its show_result.py counts such lines twice."""
    other = LINE | {"turn": 1}
    with pytest.raises(InputError, match="141, turn 2 of a and b is judged twice"):
        read_duels(write_line(tmp_path, LINE, other, LINE))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "empty.jsonl"
    file.write_bytes(b"")
    with pytest.raises(InputError):
        read_duels(file)


def test_the_files_of_the_authors_are_read(shared_data: Path) -> None:
    folder = shared_data / "evaluation" / "mt_bench" / "judgments_pairwise"
    for file in sorted(folder.iterdir()):
        duels = read_duels(file)
        assert len(duels) == len(gzip.decompress(file.read_bytes()).splitlines()) == 160
