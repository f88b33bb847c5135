"""The append-only file: several writers at once, and processes that are killed while they write."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from tacos.errors import OutputError, RunError
from tacos.store.journal import Journal

SPAWN = multiprocessing.get_context("spawn")


def write_many(path: Path, writer: int, n: int) -> None:
    journal = Journal(path)
    for number in range(n):
        journal.append({"writer": writer, "number": number, "text": "x" * 2_000})


def test_entries_come_back_in_their_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "sub" / "a.jsonl")
    assert journal.read() == []
    entries = [{"n": 1}, {"text": "line\nend \u2028 \U0001f32e"}, {"n": None}]
    for entry in entries:
        journal.append(entry)
    assert journal.read() == entries
    assert len(journal.path.read_text("utf-8").split("\n")) == 4


def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    processes = [SPAWN.Process(target=write_many, args=(path, i, 40)) for i in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    entries = Journal(path).read()
    for writer in range(4):
        own = [entry["number"] for entry in entries if entry["writer"] == writer]
        assert own == list(range(40))


def test_half_a_line_is_passed_over_and_the_next_writer_removes_it(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / "a.jsonl")
    journal.append({"n": 1})
    with journal.path.open("ab") as file:
        file.write(b'{"n": 2, "tex')
    assert journal.read() == [{"n": 1}]
    journal.append({"n": 3})
    assert journal.read() == [{"n": 1}, {"n": 3}]
    assert journal.path.read_bytes() == b'{"n":1}\n{"n":3}\n'


def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    process = SPAWN.Process(target=write_many, args=(path, 0, 100_000))
    process.start()
    deadline = time.monotonic() + 30
    while not path.exists() or path.stat().st_size < 20_000:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    before = Journal(path).read()
    assert [entry["number"] for entry in before] == list(range(len(before)))
    # The lock went with the process.
    Journal(path).append({"after": True})
    assert Journal(path).read() == [*before, {"after": True}]


def test_a_turn_sees_what_others_have_written_and_keeps_them_out(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / "a.jsonl")
    journal.append({"n": 1})
    with journal.turn() as turn:
        assert turn.entries == [{"n": 1}]
        waiting = SPAWN.Process(target=write_many, args=(journal.path, 1, 1))
        waiting.start()
        waiting.join(timeout=1.5)
        assert waiting.is_alive()
        turn.append({"n": 2})
    waiting.join()
    assert [entry.get("n") for entry in journal.read()] == [1, 2, None]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n": 1}\n[2]\n{"n": 3}\n')
    with pytest.raises(RunError, match=r"a\.jsonl, line 2 is damaged"):
        Journal(path).read()
    with Journal(path).turn() as turn, pytest.raises(RunError, match="line 2"):
        _ = turn.entries
    # Writing goes on, and leaves the other lines alone.
    Journal(path).append({"n": 4})
    assert path.read_bytes() == b'{"n": 1}\n[2]\n{"n": 3}\n{"n":4}\n'


def test_a_place_that_cannot_be_written_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        Journal(tmp_path / "file" / "a.jsonl").append({})
