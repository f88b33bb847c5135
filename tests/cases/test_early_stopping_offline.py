"""Batches and files stop as soon as the first part shows that it is of no use: issue 13, A1.

Before: every question was asked, then every question again, by batch or by file, and only then the
gate spoke. After: where too many first replies cannot be used, twenty questions are asked again; if
that does not help either, it ends there.
"""

import json
from pathlib import Path

import pytest
from tests.cases.test_quotes import data
from tests.server.fault_server import Behaviour, FaultServer
from tests.server.support import environment

from tacos.config import load_settings
from tacos.errors import FailureRateError
from tacos.llm.chat.request_form import RequestForm
from tacos.llm.ledger.ledger import open_ledger
from tacos.llm.ledger.lookup import list_open_requests
from tacos.llm.offline.exchange_files import ImportCounts, write_request_file
from tacos.workflows import requests as workflow
from tacos.workflows.select import run_selection
from tacos.workflows.selection import OutputTargets

__all__ = ["data", "environment"]

N_ROWS = 200
N_AGAIN = 20


def prepare(rows: Path, server: FaultServer, **llm: object) -> Path:
    """A run that has read its input and asked nothing."""
    run = rows.parent / "run"
    settings = load_settings(
        select={"n": 5},
        tag={"model": "llm"},
        llm={"base_url": server.url, "model": "tiny-1", **llm},
    )
    targets = OutputTargets(run=run)
    run_selection(
        rows, settings, targets, ledger=rows.parent / "ledger", until="ingest"
    )
    return run


def answer(requests: Path, replies: Path, server: FaultServer) -> int:
    """Have the server answer a file; how many lines it had."""
    lines = [json.loads(line) for line in requests.read_text().splitlines()]
    answers = [
        {
            "custom_id": line["custom_id"],
            "response": {"status_code": 200, "body": server.answer(line["body"])},
        }
        for line in lines
    ]
    replies.write_text("\n".join(map(json.dumps, answers)))
    requests.unlink()
    return len(lines)


def test_a_batch_of_no_use_is_followed_by_a_few_questions_only(data: Path) -> None:
    with FaultServer(Behaviour({"empty!": 1.0})) as server:
        run = prepare(data, server)
        with pytest.raises(FailureRateError, match="stage tag: stopped early"):
            workflow.run_batch(run, poll=0.01, ledger=data.parent / "ledger")
        assert server.batches.submitted.total() == N_ROWS + N_AGAIN


def test_a_batch_that_the_second_question_mends_goes_on(data: Path) -> None:
    with FaultServer(Behaviour({"empty": 1.0})) as server:
        run = prepare(data, server)
        done = workflow.run_batch(run, poll=0.01, ledger=data.parent / "ledger")
        assert not done.failed
        assert server.batches.submitted.total() == 2 * N_ROWS


def test_the_setting_turns_it_off_for_batches(data: Path) -> None:
    with FaultServer(Behaviour({"empty!": 1.0})) as server:
        run = prepare(data, server, stop_early=False)
        with pytest.raises(FailureRateError, match="200 of 200 rows failed"):
            workflow.run_batch(run, poll=0.01, ledger=data.parent / "ledger")
        assert server.batches.submitted.total() == 2 * N_ROWS


def test_a_file_of_no_use_is_followed_by_a_few_questions_only(data: Path) -> None:
    folder = data.parent
    ledger = folder / "ledger"
    asked, replies = folder / "asked.jsonl", folder / "replies.jsonl"
    with FaultServer(Behaviour({"empty!": 1.0})) as server:
        run = prepare(data, server)
        counts = []
        for _ in range(2):
            exported = workflow.export_requests(run, asked, ledger=ledger)
            assert exported is not None
            counts.append(answer(asked, replies, server))
            imported = workflow.import_replies(run, replies, ledger=ledger)
            assert imported is not None
        assert counts == [N_ROWS, N_AGAIN]
        with pytest.raises(FailureRateError, match="stage tag: stopped early"):
            workflow.check_import(imported, replies)


def test_more_second_questions_than_were_asked_for_are_taken_in(data: Path) -> None:
    """Before: replies to those beyond the first twenty were "to something else", and lost."""
    folder = data.parent
    ledger = folder / "ledger"
    asked, replies = folder / "asked.jsonl", folder / "replies.jsonl"
    with FaultServer(Behaviour({"empty!": 1.0})) as server:
        run = prepare(data, server)
        workflow.export_requests(run, asked, ledger=ledger)
        answer(asked, replies, server)
        workflow.import_replies(run, replies, ledger=ledger)
        pending = workflow.requests(run, ledger=ledger)
        assert pending is not None
        assert (len(pending.open), pending.n_open) == (N_AGAIN, N_ROWS)
        assert f"{N_ROWS} requests have no reply yet" in pending.describe_open()
        exported = workflow.export_requests(run, folder / "few.jsonl", ledger=ledger)
        assert exported is not None
        assert (exported.n_written, exported.n_open) == (N_AGAIN, N_ROWS)

        server.behaviour.faults = {}
        reasks = list_open_requests(pending.results)
        write_request_file(reasks.values(), asked, RequestForm())
        answer(asked, replies, server)
        imported = workflow.import_replies(run, replies, ledger=ledger)
    assert imported is not None
    assert imported.counts == ImportCounts(n_new=N_ROWS)


def test_the_first_of_several_files_says_enough(data: Path) -> None:
    """A third of the replies, none of them an answer: refusals are not asked about again."""
    folder = data.parent
    ledger = folder / "ledger"
    asked, replies = folder / "asked.jsonl", folder / "replies.jsonl"
    with FaultServer(Behaviour({"refusal!": 1.0})) as server:
        run = prepare(data, server)
        workflow.export_requests(run, asked, ledger=ledger)
        lines = asked.read_text().splitlines()
        asked.write_text("\n".join(lines[: N_ROWS // 3]))
        answer(asked, replies, server)
        imported = workflow.import_replies(run, replies, ledger=ledger)
        assert imported is not None
        with pytest.raises(FailureRateError, match="refused"):
            workflow.check_import(imported, replies)


def prepare_few(data: Path, server: FaultServer, n_bad: int) -> list[str]:
    """Export the questions of a run of which few rows lack tags, and answer `n_bad` with junk."""
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    for row in rows[N_AGAIN:]:
        row["tags"] = ["Rivers"]
    data.write_text("\n".join(map(json.dumps, rows)))
    settings = load_settings(
        select={"n": 5},
        ingest={"tags": "tags"},
        tag={"model": "llm", "max_failure_rate": 0.05},
        llm={"base_url": server.url, "model": "tiny-1", "ask_again": False},
    )
    folder = data.parent
    targets = OutputTargets(run=folder / "run")
    run_selection(data, settings, targets, ledger=folder / "ledger", until="ingest")
    asked, replies = folder / "asked.jsonl", folder / "replies.jsonl"
    exported = workflow.export_requests(folder / "run", asked, ledger=folder / "ledger")
    assert exported is not None
    answer(asked, replies, server)
    lines = replies.read_text().splitlines()
    for number in range(n_bad):
        line = json.loads(lines[number])
        line["response"]["body"]["choices"][0]["message"]["content"] = "?"
        lines[number] = json.dumps(line)
    replies.write_text("\n".join(lines))
    return lines


def test_rows_with_tags_of_their_own_count_too(data: Path) -> None:
    """7 of 20 answers are junk, but of 200 rows: 3.5%, where 5% may fail."""
    folder = data.parent
    with FaultServer() as server:
        assert len(prepare_few(data, server, n_bad=7)) == N_AGAIN
    imported = workflow.import_replies(
        folder / "run", folder / "replies.jsonl", ledger=folder / "ledger"
    )
    assert imported is not None
    workflow.check_import(imported, folder / "replies.jsonl")


def test_a_key_in_a_reply_file_does_not_reach_the_ledger(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers repeat the key that they were sent, in files too."""
    key = 'sk-"hunter2/hunter2'
    monkeypatch.setenv("OPENAI_API_KEY", key)
    folder = data.parent
    with FaultServer() as server:
        prepare_few(data, server, n_bad=0)
    replies = folder / "replies.jsonl"
    lines = replies.read_text().splitlines()
    error = {"message": "x" * 280 + f" bad key {key}"}
    first = json.loads(lines[0])
    first["response"] = {"status_code": 401, "body": {"error": error}}
    second = json.loads(lines[1])
    second["response"]["body"]["model"] = key
    replies.write_text("\n".join(map(json.dumps, [first, second])))
    imported = workflow.import_replies(
        folder / "run", replies, ledger=folder / "ledger"
    )
    assert imported is not None
    assert "hunter2" not in imported.failures.describe()
    with open_ledger(folder / "ledger") as book:
        (entry,) = book.entries()
    assert "hunter2" not in entry.model + entry.raw
