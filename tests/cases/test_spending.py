"""What a run has cost, and what the ledger knows of prices: issue 13, A5.

Before: `tacos ledger` said "unknown price" of a model whose prices were set for the run; a quote
gave the online price as the price by batch; neither summary nor report nor `runs show --json` had
requests, tokens or dollars. After: all three have them by stage, from the replies that the stage
rests on, whichever command paid for them.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cases.test_quotes import data, quote
from tests.server.fault_server import Behaviour, FaultServer
from tests.server.support import environment
from typer.testing import CliRunner

from tacos.cli import app
from tacos.errors import FailureRateError
from tacos.llm.ledger.ledger import open_ledger

__all__ = ["data", "environment"]

PRICES = ("--set", "llm.price_in=1", "--set", "llm.price_out=2")


def invoke(*words: object) -> str:
    """What a command prints."""
    done = CliRunner().invoke(
        app, [str(word) for word in words], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return done.output


def select(rows: Path, server: FaultServer, *more: object) -> str:
    """Select at a server; the run and the ledger lie beside the rows."""
    folder = rows.parent
    return invoke(
        *("select", rows, "-n", 5, "-o", folder / "out.jsonl"),
        *("--llm", server.url, "--model", "tiny-1", "--ledger", folder / "ledger"),
        *more,
    )


def show(folder: Path) -> dict[str, Any]:
    """The figures of the run."""
    return json.loads(invoke("runs", "show", folder / "out.jsonl.run", "--json"))


def sum_ledger(folder: Path) -> dict[str, int]:
    """Replies and tokens by task, as the ledger has them."""
    with open_ledger(folder / "ledger") as book:
        entries = list(book.entries())
    sums = {}
    for task in {entry.task for entry in entries}:
        own = [entry for entry in entries if entry.task == task]
        sums[task] = (
            len(own),
            sum(entry.prompt_tokens for entry in own),
            sum(entry.answer_tokens for entry in own),
        )
    return sums


def test_summary_report_and_json_say_what_each_stage_cost(data: Path) -> None:
    """One in ten is asked twice: both replies are paid for, and counted."""
    with FaultServer(Behaviour({"invalid-json": 0.1})) as server:
        printed = select(data, server, *PRICES)
    figures = show(data.parent)["spending"]
    of_ledger = sum_ledger(data.parent)
    assert set(figures) == {"tag", "judge"}
    for stage, (line,) in figures.items():
        counts = (line["requests"], line["prompt_tokens"], line["answer_tokens"])
        assert counts == of_ledger[stage]
        assert (line["model"], line["way"]) == ("tiny-1", "online")
        usd = (line["prompt_tokens"] + 2 * line["answer_tokens"]) / 1e6
        assert line["usd"] == pytest.approx(usd)
        assert f"paid for {stage}" in printed
    assert "paid for in all" in printed
    assert f"{figures['tag'][0]['requests']:,} requests" in printed
    report = (data.parent / "out.jsonl.run" / "report.html").read_text()
    assert '<h2 id="spending-title">Cost and time</h2>' in report
    for stage in ("tag", "judge"):
        n_requests = figures[stage][0]["requests"]
        (row,) = [
            part
            for part in report.split("<tr>")
            if part.startswith(f'<th scope="row">{stage}</th>') and "tiny-1" in part
        ]
        assert f'<td class="n">{n_requests:,}</td>' in row
    n_all = sum(line["requests"] for (line,) in figures.values())
    assert f"{n_all:,} requests" in report


def test_a_question_that_was_asked_anew_counts_with_all_replies(data: Path) -> None:
    """Before: the new reply shares the old one's key, and was not counted."""
    words = ("--until", "tag")
    with FaultServer(Behaviour({"empty!": 1.0})) as server:
        with pytest.raises(FailureRateError):
            select(data, server, *words, "--set", "llm.stop_early=false")
        server.behaviour.faults = {}
        select(data, server, *words)
        n_asked = server.asked.total()
    (line,) = show(data.parent)["spending"]["tag"]
    counts = (line["requests"], line["prompt_tokens"], line["answer_tokens"])
    assert counts == sum_ledger(data.parent)["tag"]
    assert line["requests"] == n_asked


def test_what_an_earlier_command_paid_counts_too(data: Path) -> None:
    """A run that is made again from the ledger costs nothing new, and says what it rests on."""
    with FaultServer() as server:
        select(data, server, *PRICES)
        first = show(data.parent)["spending"]
        n_asked = server.asked.total()
        invoke("runs", "remove", data.parent / "out.jsonl.run", "--yes")
        select(data, server, *PRICES)
        assert server.asked.total() == n_asked
    assert show(data.parent)["spending"] == first


def test_groups_count_requests_not_instructions(data: Path) -> None:
    with FaultServer() as server:
        select(data, server, "--set", "tag.per_request=4", "--until", "tag")
        n_asked = server.asked.total()
    lines = show(data.parent)["spending"]["tag"]
    assert sum(line["requests"] for line in lines) == n_asked
    assert sum(line["prompt_tokens"] for line in lines) == sum(
        prompt for _, prompt, _ in sum_ledger(data.parent).values()
    )


def test_vectors_are_counted_where_they_are_bought(data: Path) -> None:
    with FaultServer() as server:
        printed = select(
            data,
            server,
            *("--set", "normalise.encoder=endpoint:tiny-1"),
            *("--set", "normalise.semantic=distance"),
            *("--set", "embed.price_in=3"),
            *("--until", "normalise"),
        )
    (line,) = show(data.parent)["spending"]["normalise"]
    n_vectors, n_tokens, _ = sum_ledger(data.parent)["embed"]
    assert (line["vectors"], line["prompt_tokens"]) == (n_vectors, n_tokens)
    assert line["usd"] == pytest.approx(3 * n_tokens / 1e6)
    assert f"{n_vectors:,} vectors" in printed


def test_without_a_price_it_says_so(data: Path) -> None:
    with FaultServer() as server:
        printed = select(data, server, "--until", "tag")
    assert "unknown price" in printed
    (line,) = show(data.parent)["spending"]["tag"]
    assert line["usd"] is None


def test_vectors_without_a_price_name_their_own_setting(data: Path) -> None:
    """Before: "set llm.price_in and llm.price_out", which were set, and no dollars in all."""
    vectors = ("--set", "normalise.encoder=endpoint:tiny-1")
    with FaultServer() as server:
        printed = select(data, server, *PRICES, *vectors, "--until", "normalise")
    told = " ".join(printed.split())
    assert "unknown price (set embed.price_in)" in told
    assert "llm.price_in" not in told
    (line,) = show(data.parent)["spending"]["tag"]
    assert f"{line['usd']:.4f} usd and an unknown price" in told


def test_the_ledger_knows_the_prices_that_were_set(data: Path) -> None:
    """Before: "unknown price"."""
    ledger = data.parent / "ledger"
    with FaultServer() as server:
        select(data, server, *PRICES, "--until", "tag")
    (row,) = json.loads(invoke("ledger", "--json", "--ledger", ledger))["spend"]
    usd = (row["prompt_tokens"] + 2 * row["answer_tokens"]) / 1e6
    assert row["usd"] == pytest.approx(usd)
    assert row["price"] == "given"


def test_a_price_by_batch_is_its_own_or_said_to_be_unknown(data: Path) -> None:
    """Before: the online price, without a word."""
    prices = ("--price-in", 1, "--price-out", 2)
    with FaultServer() as server:
        printed, _ = quote(data, server, *prices)
        assert "no batch price of tiny-1 is known" in printed
        plain, _ = quote(data, server, *prices, "--json")
        assert [stage["usd_batch"] for stage in json.loads(plain)] == [None, None]
        halved = ("--set", "llm.price_batch=0.5")
        printed, _ = quote(data, server, *prices, *halved)
        assert "no batch price" not in printed
        plain, _ = quote(data, server, *prices, *halved, "--json")
    for stage in json.loads(plain):
        assert stage["usd_batch"]["mid"] == pytest.approx(stage["usd"]["mid"] / 2)
