"""What progress says of a language model's questions is what the server counted."""

from pathlib import Path
from typing import Any

from tests.server.fault_server import Behaviour, FaultServer
from tests.small_world import make_rows

from tacos import config
from tacos.pipeline.request_meter import RequestFigures, RequestMeter
from tacos.workflows.select import run_selection
from tacos.workflows.selection import OutputTargets

ROWS = make_rows(80)


class RecordedProgress:
    """Reads the meter of each stage when it starts and when it ends."""

    def __init__(self) -> None:
        self.first: dict[str, RequestFigures] = {}
        self.last: dict[str, RequestFigures] = {}
        self._meters: dict[str, RequestMeter] = {}

    def announce(self, text: str) -> None: ...

    def start(self, name: str, total: int | None) -> None: ...

    def advance(self, name: str, n_rows: int) -> None: ...

    def follow(self, name: str, meter: RequestMeter) -> None:
        self._meters[name] = meter
        self.first[name] = meter.read()

    def finish(self, name: str, n_rows: int, *, skipped: bool) -> None:
        if name in self._meters:
            self.last[name] = self._meters.pop(name).read()


def run_with(
    server: FaultServer, folder: Path, ledger: Path, **settings: Any
) -> RecordedProgress:
    """A run that the server tags and judges, and what its progress said."""
    told = RecordedProgress()
    llm = {
        "base_url": server.url,
        "model": "tiny-1",
        "price_in": 1.0,
        "price_out": 2.0,
        **settings.pop("llm", {}),
    }
    chosen = config.load_settings(
        "robust",
        tag={"model": "llm", **settings.pop("tag", {})},
        judge={"model": "llm", **settings.pop("judge", {})},
        select={"n": 10},
        llm=llm,
    )
    run_selection(
        ROWS,
        chosen,
        OutputTargets(run=folder),
        ledger=ledger,
        progress=told,
    )
    return told


def sum_dollars(told: RecordedProgress) -> float:
    """What all stages cost."""
    return sum(figures.usd or 0 for figures in told.last.values())


def test_questions_and_dollars_are_those_of_the_server(tmp_path: Path) -> None:
    with FaultServer(Behaviour(faults={"500": 0.1, "invalid-json": 0.1})) as server:
        told = run_with(server, tmp_path / "a", tmp_path / "ledger.sqlite")
        n_answered = server.answered.total()
    tags = told.last["tags"]
    assert tags.n_done == tags.n_expected == 80
    assert told.first["tags"].n_done == 0
    verdicts = [
        figures for name, figures in told.last.items() if name.startswith("verdicts/")
    ]
    assert len(verdicts) == 4
    assert all(figures.n_done == figures.n_expected for figures in verdicts)
    # Unusable replies are paid for, too.
    paid = sum(figures.n_paid for figures in told.last.values())
    assert paid == n_answered > 80 + sum(figures.n_done or 0 for figures in verdicts)
    assert sum_dollars(told) > 0
    assert all(figures.cached_share == 0 for figures in told.last.values())
    assert tags.expected_usd == tags.usd


def test_replies_of_the_ledger_cost_nothing_and_are_told(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite"
    with FaultServer() as server:
        first = run_with(server, tmp_path / "a", ledger)
        second = run_with(server, tmp_path / "b", ledger)
    assert sum_dollars(first) > 0
    assert sum_dollars(second) == 0
    assert {figures.cached_share for figures in second.last.values()} == {1.0}


def test_a_model_without_a_price_and_one_that_is_not_watched(tmp_path: Path) -> None:
    with FaultServer() as server:
        told = run_with(
            server,
            tmp_path / "a",
            tmp_path / "ledger.sqlite",
            llm={"price_in": None, "price_out": None, "stop_early": False},
        )
    tags = told.last["tags"]
    assert tags.usd is None
    assert tags.n_done is None
    assert tags.n_paid == 80


def test_grouped_questions_and_panels_are_counted(tmp_path: Path) -> None:
    with FaultServer() as server:
        told = run_with(
            server,
            tmp_path / "a",
            tmp_path / "ledger.sqlite",
            tag={"per_request": 8},
            judge={"models": ["tiny-1", "embedded"], "mode": "comparative"},
        )
    tags = told.last["tags"]
    assert tags.n_done == tags.n_expected == 80
    assert tags.n_paid < 80
    verdicts = told.last["verdicts/0"]
    # The embedded member reports nothing: it costs nothing.
    assert 0 < (verdicts.n_done or 0) < (verdicts.n_expected or 0)
