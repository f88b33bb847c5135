"""Unusable replies, and replies of another server, on every other way into the ledger: the batch API,
files, embeddings, groups, panels and the pilot of a quote. Brothers of issue 13, A3.
"""

import json
from pathlib import Path

import pytest
from tests.cases.test_replies import (
    N_ROWS,
    count,
    data,
    environment,
    invoke,
    say_ok,
    unwrap,
)
from tests.server.fault_server import Behaviour, FaultServer

from tacos.errors import (
    BudgetReachedError,
    FailureRateError,
    OtherEndpointError,
    TacosError,
)
from tacos.llm.ledger.ledger import open_ledger

__all__ = ["data", "environment"]

BROKEN = {"invalid-json!": 1.0}


def select(
    data: Path, server: FaultServer, *more: object
) -> tuple[str, TacosError | None]:
    """`tacos select` with a tagger at a server, and the embedded judge."""
    folder = data.parent
    return invoke(
        *("select", data, "-n", 5, "-o", folder / "out.jsonl"),
        *("--ledger", folder / "ledger", "--set", f"llm.base_url={server.url}"),
        *("--set", "tag.model=tiny-1"),
        *more,
    )


def request(data: Path, command: str, *more: object) -> tuple[str, TacosError | None]:
    """A command of `tacos requests` for the run."""
    folder = data.parent
    run = folder / "out.jsonl.run"
    return invoke("requests", command, run, *more, "--ledger", folder / "ledger")


def test_a_batch_asks_anew_what_an_earlier_one_got_no_use_of(data: Path) -> None:
    with FaultServer(Behaviour(BROKEN)) as server:
        select(data, server, "--until", "ingest")
        _, error = request(data, "batch", "--poll", 0.01)
        assert isinstance(error, FailureRateError)
        submitted = server.batches.submitted
        assert submitted.total() == 2 * N_ROWS
        server.behaviour.faults = {}
        printed, error = request(data, "batch", "--poll", 0.01)
        assert error is None
        assert submitted.total() == 3 * N_ROWS
        assert "every request is answered" in printed
        # The run is complete: nothing is asked online.
        assert count(server, lambda: select(data, server)) == 0
    with open_ledger(data.parent / "ledger") as book:
        assert {entry.endpoint for entry in book.entries()} == {server.url}


def test_a_batch_that_may_not_be_sent_leaves_old_replies_alone(data: Path) -> None:
    with FaultServer(Behaviour(BROKEN)) as server:
        select(data, server, "--until", "ingest")
        request(data, "batch", "--poll", 0.01)
        with open_ledger(data.parent / "ledger") as book:
            before = list(book.entries())
        _, error = request(data, "batch", "--poll", 0.01, "--budget", "1tokens")
        assert isinstance(error, BudgetReachedError)
        with open_ledger(data.parent / "ledger") as book:
            assert list(book.entries()) == before


def test_an_old_reply_is_no_answer_of_a_batch_that_asks_anew(data: Path) -> None:
    """A question that is asked anew and gets no answer ends after three tries, as any other."""
    with FaultServer(Behaviour(BROKEN)) as server:
        select(data, server, "--until", "ingest")
        request(data, "batch", "--poll", 0.01)
        before = server.batches.submitted.total()
        server.batches.behaviour.fail_always = 1.0
        printed, error = request(data, "batch", "--poll", 0.01)
        assert error is None
        assert f"{N_ROWS} requests got no answer" in unwrap(printed)
        assert server.batches.submitted.total() - before == 3 * N_ROWS


def answer_file(data: Path, model: FaultServer) -> int:
    """Export the open requests, answer them, import the answers; returns how many there were."""
    folder = data.parent
    printed, _ = request(data, "export", "-o", folder / "requests.jsonl")
    if "no requests left" in printed:
        return 0
    lines = (folder / "requests.jsonl").read_text().splitlines()
    replies = []
    for line in lines:
        question = json.loads(line)
        response = {"status_code": 200, "body": model.answer(question["body"])}
        replies.append({"custom_id": question["custom_id"], "response": response})
    (folder / "replies.jsonl").write_text("\n".join(map(json.dumps, replies)))
    request(data, "import", folder / "replies.jsonl")
    return len(lines)


def test_files_ask_anew_what_earlier_ones_got_no_use_of(data: Path) -> None:
    model = FaultServer(Behaviour(BROKEN))  # answers without a network
    with FaultServer() as server:
        select(data, server, "--until", "ingest")
        assert answer_file(data, model) == N_ROWS
        assert answer_file(data, model) == N_ROWS  # told what is wrong, and no better
        model.behaviour.faults = {}
        assert answer_file(data, model) == N_ROWS
        assert answer_file(data, model) == 0
        assert count(server, lambda: select(data, server)) == 0


def test_a_corrected_file_takes_the_place_of_the_first_one(data: Path) -> None:
    model = FaultServer(Behaviour(BROKEN))
    with FaultServer() as server:
        select(data, server, "--until", "ingest")
        folder = data.parent
        answer_file(data, model)
        model.behaviour.faults = {}
        replies = []
        for line in (folder / "requests.jsonl").read_text().splitlines():
            question = json.loads(line)
            response = {"status_code": 200, "body": model.answer(question["body"])}
            replies.append({"custom_id": question["custom_id"], "response": response})
        (folder / "replies.jsonl").write_text("\n".join(map(json.dumps, replies)))
        printed, error = request(data, "import", folder / "replies.jsonl")
        assert error is None
        assert f"{N_ROWS} new replies" in printed
        assert answer_file(data, model) == 0


@pytest.mark.parametrize("command", [("export", "-o", "x"), ("batch", "--poll", 0.01)])
def test_files_do_not_take_another_servers_replies_for_answers(
    data: Path, command: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data.parent)
    with FaultServer() as first, FaultServer() as second:
        select(data, first, "--until", "tag")
        folder = data.parent
        (folder / "out.jsonl.run").rename(folder / "first.run")
        select(data, second, "--until", "ingest")
        _, error = request(data, *command)
        assert isinstance(error, OtherEndpointError)
        _, error = request(data, *command, "--yes")
        assert error is None
        assert second.asked.total() + second.batches.submitted.total() == 0


def test_vectors_of_another_server_are_used_only_after_asking(data: Path) -> None:
    words = ("--set", "normalise.encoder=endpoint:tiny-1", "--until", "normalise")
    with FaultServer() as first, FaultServer() as second:
        select(data, first, *words)
        (data.parent / "out.jsonl.run").rename(data.parent / "first.run")
        # Its tags, too, are another server's; here they are the same artifact anyway.
        embedding = ("--set", f"embed.base_url={second.url}")
        _, error = select(data, first, *words, *embedding)
        assert isinstance(error, OtherEndpointError)
        assert first.url in str(error)
        printed, error = select(data, first, *words, *embedding, "--yes")
        assert error is None
        assert second.asked.total() == 0
        assert f"by another endpoint: {first.url}" in unwrap(printed)


@pytest.mark.parametrize("per_request", [1, 3])
def test_groups_and_panels_keep_to_the_same_rules(data: Path, per_request: int) -> None:
    words = ("--until", "tag", "--set", f"tag.per_request={per_request}")
    with FaultServer() as first, FaultServer() as second:
        say_ok(first)
        _, error = select(data, first, *words)
        assert isinstance(error, FailureRateError)
        first.behaviour.change = str
        _, error = select(data, first, *words)
        assert error is None
        (data.parent / "out.jsonl.run").rename(data.parent / "first.run")
        _, error = select(data, second, *words)
        assert isinstance(error, OtherEndpointError)
        printed, error = select(data, second, *words, "--yes")
        assert error is None
        assert f"{N_ROWS} from the ledger" in unwrap(printed)
        assert second.asked.total() == 0


def test_the_pilot_of_a_quote_asks_anew(data: Path) -> None:
    words = ("quote", data, "-n", 5, "--ledger", data.parent / "ledger", "--json")
    with FaultServer() as server:
        words = (*words, "--llm", server.url, "--model", "tiny-1")
        say_ok(server)
        invoke(*words)
        n_broken = server.asked.total()
        assert n_broken > 0
        server.behaviour.change = str
        printed, error = invoke(*words)
        assert error is None
        tagging = json.loads(printed)[0]
        assert tagging["requests"]["mid"] == N_ROWS  # no request is asked twice
        n_mended = server.asked.total()
        invoke(*words)
        assert server.asked.total() == n_mended
