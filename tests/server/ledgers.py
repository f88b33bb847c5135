"""Fixtures of ledgers of both kinds; a conftest imports them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.server.postgres_server import (
    INSTALL,
    PostgresServer,
    find_programs,
    run_postgres,
)

from tacos.llm.ledger.ledger import Ledger, open_ledger

BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server that all tests of a process share; its data need not survive."""
    if find_programs() is None:
        pytest.skip(INSTALL)
    with run_postgres(fsync="off") as server:
        yield server


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where tacos keeps files of the user, here and in processes that a test starts."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    return tmp_path / "share" / "tacos"


@pytest.fixture(params=BOTH)
def location(request: pytest.FixtureRequest, tmp_path: Path, data_folder: Path) -> str:
    """The location of a ledger that does not exist yet, as a user writes it."""
    if request.param == "sqlite":
        return str(tmp_path / "deep" / "ledger.sqlite")
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.make_database()


@pytest.fixture
def book(location: str) -> Iterator[Ledger]:
    """An empty ledger."""
    with open_ledger(location) as opened:
        yield opened
