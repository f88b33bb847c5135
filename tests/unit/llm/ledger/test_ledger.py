"""The ledger: what is put is there, once, and leases keep two processes off one question."""

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from tacos.errors import OutputError
from tacos.llm.ledger import lease_holders, ledger
from tacos.llm.ledger.ledger import Ledger, LedgerEntry


def entry(
    key: str, raw: str = "{}", model: str = "m", at: float = 1.8e9
) -> LedgerEntry:
    return LedgerEntry(
        key, model, f"{model}-1", "tag", "stop", 10, 5, 0.2, at, "online", raw
    )


@pytest.fixture
def book(tmp_path: Path):
    with ledger.open_ledger(tmp_path / "deep" / "ledger.sqlite") as opened:
        yield opened


def test_what_is_put_is_there_when_its_receiver_is_told(book: Ledger) -> None:
    told, done = [], threading.Event()

    def receiver(entries: list[LedgerEntry], failure: Exception | None) -> None:
        other = sqlite3.connect(book.path)
        told.append(
            (
                entries,
                failure,
                other.execute("SELECT count(*) FROM replies").fetchone()[0],
            )
        )
        other.close()
        done.set()

    book.put(entry("a"), receiver)
    assert done.wait(5)
    assert told == [([entry("a")], None, 1)]
    assert book.get(["a", "b"]) == {"a": entry("a")}


def test_replies_are_committed_in_groups(book: Ledger) -> None:
    groups: list[int] = []
    for number in range(2000):
        book.put(
            entry(str(number)), lambda entries, failure: groups.append(len(entries))
        )
    book.flush()
    assert sum(groups) == 2000
    assert len(book.get([str(number) for number in range(2000)])) == 2000


def test_the_first_reply_stays(book: Ledger) -> None:
    assert book.put_all([entry("a", "first"), entry("b")]) == 2
    assert book.put_all([entry("a", "second"), entry("c")]) == 1
    assert book.get(["a"])["a"].raw == "first"


def test_a_lease_keeps_others_off_until_it_is_given_up(book: Ledger) -> None:
    with ledger.open_ledger(book.path) as other:
        assert book.take(["a", "b"]).ours == {"a", "b"}
        assert other.take(["b", "c"]) == ({}, {"c"}, {"b"})
        book.release(["b"])
        assert other.take(["b"]).ours == {"b"}
        book.put_all([entry("a")])
        assert other.take(["a"]).known == {"a": entry("a")}


def test_leases_end_with_their_ledger(book: Ledger) -> None:
    with ledger.open_ledger(book.path) as other:
        other.take(["a"])
        assert book.take(["a"]).theirs == {"a"}
    assert book.take(["a"]).ours == {"a"}


def test_leases_of_a_dead_process_are_void_at_once(book: Ledger) -> None:
    code = f"""
import os, signal
from tacos.llm.ledger.ledger import open_ledger
assert open_ledger({str(book.path)!r}).take(["a"]).ours
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert book.take(["a"]).ours == {"a"}


def test_leases_of_another_machine_hold_until_they_end(book: Ledger) -> None:
    book.sql("INSERT INTO owners VALUES ('elsewhere/1/1/x', ?)", time.time() + 100)
    book.sql("INSERT INTO claims VALUES ('a', 'elsewhere/1/1/x')")
    assert book.take(["a"]).theirs == {"a"}
    book.sql(
        "UPDATE owners SET until = ? WHERE owner = 'elsewhere/1/1/x'", time.time() - 0.1
    )
    assert book.take(["a"]).ours == {"a"}


def test_this_process_is_not_gone_and_a_reused_number_is(book: Ledger) -> None:
    machine, process_id, start_time, random = book.holder.rsplit("/", 3)
    assert not lease_holders.is_holder_gone(book.holder)
    if start_time:
        later = int(start_time) + 1
        assert lease_holders.is_holder_gone(f"{machine}/{process_id}/{later}/{random}")
    assert not lease_holders.is_holder_gone(f"elsewhere/{process_id}/1/{random}")


def test_spend_is_told_by_model_and_day(book: Ledger) -> None:
    day = 86_400
    book.put_all(
        [
            entry("a", model="x"),
            entry("b", model="x"),
            entry("c", model="y"),
            entry("d", at=1.8e9 + day),
        ]
    )
    assert [(row.model, row.n_replies, row.prompt_tokens) for row in book.spend()] == [
        ("m", 1, 10),
        ("x", 2, 20),
        ("y", 1, 10),
    ]
    assert book.size().n_replies == 4


def test_export_and_import_give_the_same_ledger(book: Ledger, tmp_path: Path) -> None:
    book.put_all(
        [entry(str(number), raw=f'{{"text": "ü\\n{number}"}}') for number in range(700)]
    )
    assert book.export(tmp_path / "out.jsonl") == 700
    lines = [
        *(tmp_path / "out.jsonl").read_bytes().splitlines(),
        b"",
        b"nonsense",
        b'{"key": "x"}',
    ]
    with ledger.open_ledger(tmp_path / "second.sqlite") as second:
        assert second.restore(lines) == (700, 0, 2)
        assert second.restore(lines) == (0, 700, 2)
        assert list(second.entries()) == list(book.entries())


def test_a_file_that_is_no_ledger_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "x.sqlite").write_text(
        "this is no database, and long enough to be seen as none" * 20
    )
    with pytest.raises(OutputError, match=r"ledger .* cannot be used"):
        ledger.open_ledger(tmp_path / "x.sqlite")


def test_notes_are_forgotten_after_a_while(book: Ledger) -> None:
    book.note("server", "json_object")
    assert book.noted("server", 60) == "json_object"
    assert book.noted("server", 0) == ""
    assert book.noted("other", 60) == ""


def test_a_ledger_of_a_newer_tacos_is_left_alone(tmp_path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger.open_ledger(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(OutputError, match="newer tacos"):
        ledger.open_ledger(path)


def test_lines_of_the_wrong_kinds_are_unreadable(tmp_path) -> None:
    good = {
        "key": "k",
        "asked": "m",
        "model": "m",
        "task": "tag",
        "finish": "stop",
        "prompt_tokens": 1,
        "answer_tokens": 1,
        "latency": 0.5,
        "at": 1.0,
        "way": "online",
        "raw": "{}",
    }
    bad = [
        {"key": None},
        {"raw": {}},
        {"prompt_tokens": 10**30},
        {"prompt_tokens": "many"},
        {"at": "today"},
    ]
    lines = [
        orjson.dumps({**good, **each})
        for each in bad
        if each.get("prompt_tokens") != 10**30
    ]
    lines.append(
        orjson.dumps(good).replace(
            b'"prompt_tokens":1', b'"prompt_tokens":1' + b"0" * 30
        )
    )
    with ledger.open_ledger(tmp_path / "ledger.sqlite") as book:
        assert book.restore([*lines, orjson.dumps(good)]) == (1, 0, 5)


def test_opening_waits_for_another_process_that_is_making_the_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "l.sqlite"
    with closing(
        sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    ) as other:
        other.execute(
            "BEGIN IMMEDIATE"
        )  # SQLite gives up on a new journal at once where a file is locked like this
        timer = threading.Timer(0.3, other.execute, ["COMMIT"])
        timer.start()
        with ledger.open_ledger(path) as book:
            assert book.get(["k"]) == {}
        timer.join()
