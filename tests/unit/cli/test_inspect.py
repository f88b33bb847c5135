"""`tacos inspect`: what is said of a data set is what a run then does with it."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
import zstandard
from tests.small_world import make_rows
from typer.testing import CliRunner

import tacos
from tacos.cli import app
from tacos.errors import FailureRateError, InputError

GOOD = [
    {"instruction": f"Name {i} rivers of Europe.", "output": f"Here are {i} rivers."}
    for i in range(2, 120)
]
LINES = [
    *map(orjson.dumps, GOOD),
    orjson.dumps(GOOD[0]),
    orjson.dumps(GOOD[1] | {"output": "The Rhine and the Elbe."}),
    orjson.dumps({"instruction": "Say nothing.", "output": " "}),
    b'{"instruction": "Broken", "output": ',
    orjson.dumps({"instruction": "Decode caf\ufffd.", "output": "coffee"}),
    orjson.dumps({"instruction": "Wie koche ich ein weiches Ei?", "output": "Kurz."}),
    orjson.dumps({"instruction": "头痛怎么办？", "output": "多喝水。"}),
]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    path = tmp_path / "mixed.jsonl"
    path.write_bytes(b"\n".join(LINES))
    return path


def inspect_json(*words: str) -> dict[str, Any]:
    shown = CliRunner().invoke(
        app, ["inspect", *words, "--json"], catch_exceptions=False
    )
    assert shown.exit_code == 0
    return dict(orjson.loads(shown.stdout))


def test_it_counts_what_is_there(mixed: Path) -> None:
    found = inspect_json(str(mixed))
    assert found["n_rows"] == len(LINES)
    assert found["n_samples"] == len(LINES) - 3
    (file,) = found["files"]
    assert file["format"] == "JSON Lines"
    assert file["n_rows"] == found["n_rows"]
    assert file["read_as"]["columns"] == {"instruction -> output": len(LINES) - 2}
    assert found["roles"] == {"assistant": 122, "user": 122}
    assert found["questions_per_row"]["max"] == 1
    assert found["answer_length"]["min"] == len("多喝水。")
    assert found["languages"] == {
        "English, or too short to tell": 120,
        "Chinese": 1,
        "other language in Latin letters": 1,
    }
    (first, *_) = found["examples"]
    assert len(found["examples"]) == 3
    assert first == {
        "id": "mixed.jsonl:0",
        "turns": [
            {"role": "user", "text": "Name 2 rivers of Europe."},
            {"role": "assistant", "text": "Here are 2 rivers."},
        ],
    }


def test_it_says_what_would_be_rejected_and_why(mixed: Path) -> None:
    found = inspect_json(str(mixed))
    rejects = found["rejects"]
    assert {reason: rows["n_rows"] for reason, rows in rejects.items()} == {
        "duplicate": 1,
        "empty response": 1,
        "malformed JSON: unexpected end of data": 1,
    }
    (malformed,) = rejects["malformed JSON: unexpected end of data"]["examples"]
    assert malformed["id"] == "mixed.jsonl:121"
    assert malformed["text"].startswith("line 122: ")
    assert found["n_failures"] == 1
    assert not found["would_stop"]


def test_it_names_odd_rows(mixed: Path) -> None:
    odd = inspect_json(str(mixed))["odd"]
    replaced = "replacement characters (U+FFFD), a sign of a broken encoding"
    repeated = "the question of an earlier row, with another answer"
    assert odd == {
        replaced: {"n_rows": 1, "ids": ["mixed.jsonl:122"]},
        repeated: {"n_rows": 1, "ids": ["mixed.jsonl:119"]},
    }


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a\x00b", "control characters"),
        ("it isnâ€™t", "letters of a wrong encoding (such as â€™ or Ã©)"),
        ("7", "an answer of one character"),
        ("What is it? ", "an answer that only repeats the question"),
        ("x" * 40_000, "longer than 32,000 characters"),
    ],
)
def test_every_kind_of_odd_rows_is_found(text: str, kind: str) -> None:
    rows = [{"question": "What is it?", "answer": text}, *make_rows()]
    found = tacos.inspect(rows)
    assert found.profile.odd[kind].ids == ["data:0"]
    assert list(tacos.inspect(make_rows()).profile.odd) == []


@pytest.mark.parametrize(
    ("pack", "suffix", "name"),
    [
        (gzip.compress, ".gz", "gzip"),
        (zstandard.compress, ".zst", "zstd"),
        (bz2.compress, ".bz2", "bzip2"),
        (lzma.compress, ".xz", "xz"),
    ],
)
def test_compressed_files_and_standard_input(
    mixed: Path, pack: Callable[[bytes], bytes], suffix: str, name: str
) -> None:
    packed = mixed.with_name(f"mixed.jsonl{suffix}")
    packed.write_bytes(pack(mixed.read_bytes()))
    found = inspect_json(str(packed))
    assert found["files"][0]["format"] == f"JSON Lines, {name}"
    plain = inspect_json(str(mixed))
    # The names of files are in the ids of rows.
    assert found["rejects"].keys() == plain["rejects"].keys()
    assert found["question_length"] == plain["question_length"]
    piped = CliRunner().invoke(
        app, ["inspect", "-", "--json"], input=packed.read_bytes()
    )
    assert orjson.loads(piped.stdout)["n_rows"] == found["n_rows"]


def test_conversations_show_their_speakers(tmp_path: Path) -> None:
    turns = [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "Hello?"},
        {"from": "gpt", "value": "Hello."},
        {"from": "human", "value": "And?"},
        {"from": "gpt", "value": "Goodbye."},
    ]
    path = tmp_path / "talk.json"
    path.write_bytes(orjson.dumps([{"conversations": turns}]))
    found = tacos.inspect(path)
    assert found.as_dict()["roles"] == {"assistant": 2, "user": 2, "system": 1}
    assert found.profile.n_questions == {2: 1}
    assert found.files[0].format == "JSON (a list of rows)"
    assert "gpt as assistant" in found.files[0].read_as["roles"]


def test_several_files_count_together(mixed: Path, tmp_path: Path) -> None:
    table = tmp_path / "more.parquet"
    pl.DataFrame(GOOD[:5]).write_parquet(table)
    found = tacos.inspect([mixed, table])
    assert [file.n_rows for file in found.files] == [len(LINES), 5]
    # All of its rows are in the first file, too.
    assert [file.n_samples for file in found.files] == [len(LINES) - 3, 0]
    assert found.rejects["duplicate"].n_rows == 6
    assert found.files[1].format == "Parquet"


def test_what_it_says_is_what_a_run_does(mixed: Path, tmp_path: Path) -> None:
    found = tacos.inspect(mixed)
    done = tacos.select(mixed, 5, run=tmp_path / "run")
    assert found.n_rows == done.summary.n_read
    counts = {reason: rows.n_rows for reason, rows in found.rejects.items()}
    assert counts == done.summary.rejects["samples"]


def test_a_file_that_would_stop_a_run_says_so(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b"\n".join([*map(orjson.dumps, GOOD[:20]), b"{", b"{"]))
    shown = CliRunner().invoke(app, ["inspect", str(path)], catch_exceptions=False)
    text = " ".join(shown.stdout.split())
    assert "would stop: 2 rows (9.1%) are unreadable, the limit is 2.0%" in text
    with pytest.raises(FailureRateError):
        tacos.select(path, 5, run=tmp_path / "run")


def test_the_terminal_shows_files_rows_and_the_verdict(mixed: Path) -> None:
    shown = CliRunner().invoke(app, ["inspect", str(mixed)], catch_exceptions=False)
    for part in ("JSON Lines; 125 rows, 122 usable", "Name 2 rivers", "always 1"):
        assert part in shown.stdout
    assert "tacos select would use 122 rows" in " ".join(shown.stdout.split())
    # Nothing is left behind.
    assert list(mixed.parent.iterdir()) == [mixed]


def test_what_is_no_data_set_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "words.jsonl"
    path.write_bytes(b'{"left": 1, "right": 2}\n' * 3)
    with pytest.raises(InputError, match="columns: left, right"):
        tacos.inspect(path)
