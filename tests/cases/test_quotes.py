"""What a quote says about answers that cannot be used, and about budgets: issue 13, A2 and A5.

Case `llm_quote_unusable`: every reply of the pilot has the answer outside of `content`. Before: a
table of 4,100 requests, exit 0. After: the share that could be used and why, no forecast, exit 2.
"""

import json
from pathlib import Path

import pytest
from tests.cases.test_early_stopping import content
from tests.server.fault_server import Behaviour, FaultServer
from tests.server.support import environment
from typer.testing import CliRunner

from tacos.amounts import parse_budget
from tacos.cli import app
from tacos.errors import ConfigError, FailureRateError, TacosError
from tacos.llm.cost.forecast import is_above_limit

__all__ = ["environment"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Some rows, all different."""
    path = tmp_path / "rows.jsonl"
    rows = [
        {"instruction": f"Name {n} seas of land {n}.", "output": f"Sea {n}."}
        for n in range(200)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def quote(
    data: Path, server: FaultServer, *more: object
) -> tuple[str, TacosError | None]:
    """What `tacos quote` printed, and the error it ended with."""
    words = (
        *("quote", data, "-n", 5, "--llm", server.url, "--model", "tiny-1"),
        *("--ledger", data.parent / "ledger", *more),
    )
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, TacosError):
        raise done.exception
    return done.output, done.exception


@pytest.mark.parametrize("per_request", [1, 4])
def test_case_llm_quote_unusable(data: Path, per_request: int) -> None:
    change = content("") if per_request == 1 else content("OK")
    with FaultServer(Behaviour(change=change)) as server:
        printed, error = quote(
            data, server, "--set", f"tag.per_request={per_request}", "--pilot", 20
        )
    assert isinstance(error, FailureRateError)
    assert error.exit_code == 2
    assert "requests" not in printed
    if per_request == 1:
        assert "0 of 20 answers to tag by tiny-1 could be used: 20 x it is empty" in (
            str(error)
        )
    assert "\n" not in str(error)


def test_half_of_the_answers_is_no_basis_for_a_forecast(data: Path) -> None:
    with FaultServer(Behaviour({"invalid-json!": 0.5})) as server:
        _, error = quote(data, server)
    assert isinstance(error, FailureRateError)
    assert "so there is no forecast" in str(error)
    assert "tag.max_failure_rate" in str(error)


def test_judges_are_checked_like_taggers(data: Path) -> None:
    spoil = content("A is better")
    with FaultServer() as server:
        server.behaviour.change = lambda body: (
            spoil(body) if "analysis" in body else body
        )
        _, error = quote(data, server)
    assert "0 of 20 answers to judge by tiny-1" in str(error)
    assert "judge.max_failure_rate" in str(error)


def test_a_quote_says_how_many_answers_could_be_used(data: Path) -> None:
    with FaultServer() as server:
        printed, error = quote(data, server)
        assert error is None
        assert "usable in pilot" in printed
        assert "20 of 20" in printed
        plain, _ = quote(data, server, "--json")
    stages = json.loads(plain)
    assert [(stage["n_usable"], stage["n_asked"]) for stage in stages] == [(20, 20)] * 2


def test_a_gate_that_allows_it_forecasts_all_the_same(data: Path) -> None:
    with FaultServer(Behaviour({"invalid-json!": 0.3})) as server:
        printed, error = quote(
            data,
            server,
            *("--set", "tag.max_failure_rate=0.6"),
            *("--set", "judge.max_failure_rate=0.6"),
        )
    assert error is None
    assert "20 of 20" not in printed


def test_one_unusable_answer_of_twenty_may_be_chance() -> None:
    assert not is_above_limit(1, 20, 0.02)
    assert is_above_limit(2, 20, 0.02)
    assert is_above_limit(1, 20, 0.0)
    assert not is_above_limit(20, 20, 1.0)


@pytest.mark.parametrize("words", [("--budget", "5eur"), ("--set", "llm.budget=5eur")])
def test_a_budget_that_is_none_is_refused_without_a_model_too(
    words: tuple[str, str], data: Path, tmp_path: Path
) -> None:
    """Before: the run went on, as if there were no budget."""
    done = CliRunner().invoke(
        app, ["select", str(data), "-n", "5", "-o", str(tmp_path / "out.jsonl"), *words]
    )
    assert isinstance(done.exception, ConfigError)
    assert "'5eur' is not of the form 5usd" in str(done.exception)
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    "text, shown",
    [
        ("2Mtokens", "2000000tokens"),
        ("$0.50", "0.5usd"),
        ("1,000 requests", "1000requests"),
    ],
)
def test_a_cap_is_shown_as_it_can_be_typed(text: str, shown: str) -> None:
    assert str(parse_budget(text)) == shown
    assert parse_budget(shown) == parse_budget(text)
