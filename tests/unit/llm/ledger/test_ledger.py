"""A ledger in a SQLite file: files that are none, of a newer version, or just being made; who holds
a lease. What holds of every ledger is in `tests/contracts/test_ledgers.py`."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

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


def test_this_process_is_not_gone_and_a_reused_number_is(book: Ledger) -> None:
    machine, process_id, start_time, random = book.holder.rsplit("/", 3)
    assert not lease_holders.is_holder_gone(book.holder)
    if start_time:
        later = int(start_time) + 1
        assert lease_holders.is_holder_gone(f"{machine}/{process_id}/{later}/{random}")
    assert not lease_holders.is_holder_gone(f"elsewhere/{process_id}/1/{random}")


def test_a_file_that_is_no_ledger_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "x.sqlite").write_text(
        "this is no database, and long enough to be seen as none" * 20
    )
    with pytest.raises(OutputError, match=r"ledger .* cannot be used"):
        ledger.open_ledger(tmp_path / "x.sqlite")


def test_a_ledger_of_a_newer_tacos_is_left_alone(tmp_path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger.open_ledger(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(OutputError, match="newer tacos"):
        ledger.open_ledger(path)


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
