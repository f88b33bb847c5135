"""Fixtures that every test against the fault server shares; a conftest imports them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.server.questions import KEY

from tacos import llm
from tacos.config import LLMSettings
from tacos.llm.client import Client
from tacos.llm.ledger.ledger import Ledger, open_ledger


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key, and no proxy of the machine that runs the tests."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in (
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "OPENAI_BASE_URL",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    with open_ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


@pytest.fixture
def connect(book: Ledger) -> Iterator[Callable[..., Client]]:
    """Clients that are closed after the test; keywords are settings."""
    clients: list[Client] = []

    def make(
        url: str, model: str = "tiny-1", ledger: Ledger = book, **settings: object
    ) -> Client:
        clients.append(
            llm.connect(LLMSettings(base_url=url, **settings), model, ledger)
        )  # type: ignore[arg-type]
        return clients[-1]

    yield make
    for client in clients:
        client.close()
