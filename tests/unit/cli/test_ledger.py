"""What `tacos ledger` prints where its tables would be cut: in a pipe, and in a narrow terminal."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tacos.cli import app
from tacos.cli.shared import console
from tacos.llm.ledger.ledger import open_ledger
from tacos.llm.ledger.schema import LedgerEntry

MODEL = "meta-llama/Llama-3.1-70B-Instruct"
URL = "http://gpu-node-17.cluster.example.com:8000/v1"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger with a reply whose model and endpoint have long names."""
    path = tmp_path / "ledger.sqlite"
    entry = LedgerEntry(
        *("key", MODEL, MODEL, "tag", "stop", 10_234_567, 523_456),
        *(0.2, 1.8e9, "online", "{}", URL),
    )
    with open_ledger(path) as book:
        book.put_all([entry])
    return path


def run(monkeypatch: pytest.MonkeyPatch, width: int, *words: object) -> str:
    """What a command prints to so many columns."""
    monkeypatch.setattr(console.out, "width", width)
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("width", [20, 80, 300])
def test_no_cell_is_cut(
    ledger: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """Before: "2027-…", "http:…" and "20,46…" at 80 columns."""
    spend = run(monkeypatch, width, "ledger", "--ledger", ledger)
    removal = run(
        *(monkeypatch, width, "ledger", "remove", "--model", MODEL, "--dry-run"),
        *("--ledger", ledger),
    )
    for printed, whole in (
        (spend, [MODEL, URL, "2027-01-15", "10,234,567", "523,456", "unknown price"]),
        (removal, [MODEL, URL, "2027-01-15", "10,758,023"]),
    ):
        assert "…" not in printed
        told = " ".join(printed.split())
        assert all(cell in told for cell in whole)
        assert ("┃" in printed) == (width == 300)
