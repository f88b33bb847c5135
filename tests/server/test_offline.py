"""Batch API and exchange files: the same replies as online, each question paid for once."""

import codecs
import json
import random
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from tests.server.batching import BatchBehaviour
from tests.server.fault_server import Behaviour, FaultServer
from tests.server.questions import judge_requests, tag_requests

from tacos.config import LLMSettings
from tacos.errors import BudgetReachedError, ConfigError, InputError, LLMError
from tacos.llm.chat.messages import RenderedRequest, render_request
from tacos.llm.chat.request_form import RequestForm
from tacos.llm.client import Client
from tacos.llm.ledger import ledger
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.ledger.lookup import resolve_questions
from tacos.llm.ledger.reply_rules import ReplyRules, build_reply_rules
from tacos.llm.offline import batch_api, exchange_files
from tacos.llm.offline.ledger_replay import LedgerModel, MissingRepliesError
from tacos.records import Reply, Request

REQUESTS = tag_requests(60) + judge_requests(60)
FAULTS = {"invalid-json": 0.1, "wrong-schema!": 0.1, "fenced": 0.1}
Connect = Callable[..., Client]


def questions(requests: list[Request] = REQUESTS) -> list[RenderedRequest]:
    return [render_request(request, "tiny-1") for request in requests]


def settings(server: FaultServer, **more: object) -> LLMSettings:
    return LLMSettings(base_url=server.url, proxy="none", **more)  # type: ignore[arg-type]


def rules_of(book: Ledger) -> ReplyRules:
    return build_reply_rules(LLMSettings(other_endpoints=True), book.opened_at)


def answers(replies: list[Reply]) -> list[tuple[str | None, str, str]]:
    return [(reply.text, reply.failure, reply.key) for reply in replies]


def from_ledger(book: Ledger) -> list[tuple[str | None, str, str]]:
    everyone = LLMSettings(other_endpoints=True)
    return answers(LedgerModel(everyone, "tiny-1", book).answer(REQUESTS))


@pytest.fixture
def online(connect: Connect, tmp_path: Path) -> list[tuple[str | None, str, str]]:
    """What an online run answers."""
    with (
        FaultServer(Behaviour(FAULTS)) as server,
        ledger.open_ledger(tmp_path / "online.sqlite") as book,
    ):
        client = connect(server.url, ledger=book)
        found = answers(client.answer(REQUESTS))
        assert from_ledger(book) == found
        client.close()
    return found


@pytest.mark.parametrize(
    "behaviour",
    [
        {},
        {"expire": 0.4},
        {"fail": 0.4},
        {"expire": 0.2, "fail": 0.2},
        {"lose_reply": True},
    ],
    ids=["plain", "expired", "errors", "both", "reply lost"],
)
def test_the_batch_api_gives_what_online_gives(
    behaviour: dict[str, float], book: Ledger, online: list[object]
) -> None:
    with FaultServer(Behaviour(FAULTS), BatchBehaviour(**behaviour)) as server:  # type: ignore[arg-type]
        try:
            done = batch_api.fetch_batch_replies(
                questions(), settings(server), book, poll=0.01, max_requests=50
            )
        except (
            LLMError
        ):  # the submission whose reply was lost; the next command finds it
            assert "lose_reply" in behaviour
            done = batch_api.fetch_batch_replies(
                questions(), settings(server), book, poll=0.01, max_requests=50
            )
        assert from_ledger(book) == online
        assert done.failed == {}
        assert max(server.batches.submitted.values()) <= (
            2 if behaviour.keys() & {"expire", "fail"} else 1
        )
        n_submitted = server.batches.submitted.total()
        batch_api.fetch_batch_replies(questions(), settings(server), book, poll=0.01)
        assert server.batches.submitted.total() == n_submitted
    assert {entry.way for entry in book.entries()} == {"batch"}


def test_a_restart_goes_on_with_the_batches_under_way(
    book: Ledger, online: list[object]
) -> None:
    with FaultServer(Behaviour(FAULTS), BatchBehaviour(polls=5)) as server:
        stopped = KeyboardInterrupt("stopped")

        def stop(text: str) -> None:
            if text.startswith("batch-"):
                raise stopped

        with pytest.raises(KeyboardInterrupt):
            batch_api.fetch_batch_replies(
                questions(),
                settings(server),
                book,
                poll=0.01,
                say=stop,
                max_requests=50,
            )
        batch_api.fetch_batch_replies(questions(), settings(server), book, poll=0.01)
        assert max(server.batches.submitted.values()) == 1
        assert from_ledger(book) == online


def test_questions_that_never_get_an_answer_are_given_up_with_a_reason(
    book: Ledger,
) -> None:
    with FaultServer(batches=BatchBehaviour(fail_always=0.2)) as server:
        done = batch_api.fetch_batch_replies(
            questions(), settings(server), book, poll=0.01
        )
        assert 10 <= len(done.failed) <= 40
        assert all("the model fell over" in reason for reason in done.failed.values())
        assert max(server.batches.submitted.values()) == batch_api.MAX_TRIES
        assert still_open(book).keys() == done.failed.keys()


def test_a_refused_batch_is_one_clear_error(book: Ledger) -> None:
    reason = "the file has a line too long"
    with (
        FaultServer(batches=BatchBehaviour(refuse=reason)) as server,
        pytest.raises(LLMError, match=reason),
    ):
        batch_api.fetch_batch_replies(questions(), settings(server), book, poll=0.01)


def test_the_budget_holds_for_batches(book: Ledger) -> None:
    with FaultServer() as server:
        with pytest.raises(BudgetReachedError):
            batch_api.fetch_batch_replies(
                questions(), settings(server, budget="30requests"), book, poll=0.01
            )
        assert server.batches.submitted.total() == 30
        assert book.size().n_replies == 30


def test_the_budget_counts_the_batches_under_way(book: Ledger) -> None:
    with FaultServer(batches=BatchBehaviour(expire=0.4, slow="batch-1")) as server:
        with pytest.raises(BudgetReachedError):
            batch_api.fetch_batch_replies(
                questions(),
                settings(server, budget="100requests"),
                book,
                poll=0.01,
                max_requests=50,
            )
        assert book.size().n_replies <= 100


def test_a_budget_in_dollars_needs_a_price_for_batches_too(book: Ledger) -> None:
    with FaultServer() as server:
        with pytest.raises(ConfigError, match="needs the price of 'tiny-1'"):
            batch_api.fetch_batch_replies(
                questions(), settings(server, budget="1usd"), book, poll=0.01
            )
        assert not server.batches.batches


def stopped_in_batch(
    asked: list[RenderedRequest], server: FaultServer, book: Ledger
) -> None:
    """Submit questions and stop before their batch has ended."""

    def stop(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batch_api.fetch_batch_replies(
            asked, settings(server), book, poll=0.01, say=stop
        )


def test_another_run_leaves_a_batch_to_the_run_that_submitted_it(
    book: Ledger, online: list[object]
) -> None:
    mine, others = questions()[:60], questions()[60:]
    with FaultServer(Behaviour(FAULTS), BatchBehaviour()) as server:
        stopped_in_batch(mine, server, book)
        batch_api.fetch_batch_replies(others, settings(server), book, poll=0.01)
        batch_api.fetch_batch_replies(mine, settings(server), book, poll=0.01)
        assert max(server.batches.submitted.values()) == 1
    assert from_ledger(book) == online


@pytest.mark.parametrize("behaviour", [{}, {"expire": 0.4}], ids=["plain", "expired"])
def test_runs_with_common_questions_share_a_batch(
    behaviour: dict[str, float], book: Ledger, online: list[object]
) -> None:
    asked = questions()
    with FaultServer(Behaviour(FAULTS), BatchBehaviour(**behaviour)) as server:  # type: ignore[arg-type]
        stopped_in_batch(asked[:80], server, book)
        batch_api.fetch_batch_replies(asked[40:], settings(server), book, poll=0.01)
        batch_api.fetch_batch_replies(asked[:80], settings(server), book, poll=0.01)
        assert max(server.batches.submitted.values()) == (2 if behaviour else 1)
    assert from_ledger(book) == online


def test_questions_that_a_batch_is_about_to_answer_are_not_paid_for_online_too(
    book: Ledger, connect: Connect, online: list[object]
) -> None:
    with FaultServer(Behaviour(FAULTS), BatchBehaviour(polls=100)) as server:
        stopped_in_batch(questions()[:60], server, book)
        with pytest.raises(
            LLMError,
            match=r"60 of these questions are part of a batch \(batch-0\).*--abandon",
        ):
            connect(server.url).answer(REQUESTS)
        assert (
            not {json.dumps(each.messages, sort_keys=True) for each in questions()[:60]}
            & server.asked.keys()
        )
        n_answered = batch_api.cancel_batches(
            questions(), settings(server), book, poll=0.01
        )
        assert (
            20 <= n_answered < 40
        )  # half of the batch was done; unusable answers are still to be asked again
        assert answers(connect(server.url).answer(REQUESTS)) == online
        assert max(server.batches.submitted.values()) == 1


def write_replies(server: FaultServer, requests: Path, replies: Path) -> list[str]:
    """Answer a request file as vLLM's batch runner would; the lines written."""
    lines = []
    for line in requests.read_text().splitlines():
        request = json.loads(line)
        assert (request["method"], request["url"]) == ("POST", exchange_files.URL)
        body = server.answer(request["body"])
        lines.append(
            json.dumps(
                {
                    "custom_id": request["custom_id"],
                    "response": {"status_code": 200, "body": body},
                }
            )
        )
    replies.write_text("\n".join(lines))
    return lines


def still_open(book: Ledger) -> dict[str, RenderedRequest]:
    return {
        each.key: each
        for each in resolve_questions(questions(), book, rules_of(book))
        if isinstance(each, RenderedRequest)
    }


def test_exchange_files_give_what_online_gives(
    book: Ledger, tmp_path: Path, online: list[object]
) -> None:
    server, out, back = (
        FaultServer(Behaviour(FAULTS)),
        tmp_path / "requests.jsonl",
        tmp_path / "replies.jsonl",
    )
    n_files = 0
    while still := still_open(book):
        assert exchange_files.write_request_file(
            still.values(), out, RequestForm()
        ) == len(still)
        write_replies(server, out, back)
        counts = exchange_files.store_replies(
            exchange_files.read_exchange_lines(back), still, book
        )
        assert counts.counts == (len(still), 0, 0, 0, 0)
        n_files += 1
    assert n_files == 2  # the second one holds the re-asks
    assert from_ledger(book) == online


def test_partial_repeated_shuffled_and_foreign_lines_do_no_harm(
    book: Ledger, tmp_path: Path, online: list[object]
) -> None:
    server, out, back = (
        FaultServer(Behaviour(FAULTS)),
        tmp_path / "requests.jsonl",
        tmp_path / "replies.jsonl",
    )
    exchange_files.write_request_file(questions(), out, RequestForm())
    lines = write_replies(server, out, back)
    random.Random(1).shuffle(lines)
    foreign = lines[0].replace(json.loads(lines[0])["custom_id"], "f" * 32)
    failed = json.dumps(
        {
            "custom_id": json.loads(lines[-1])["custom_id"],
            "response": {"status_code": 500, "body": {}},
        }
    )
    back.write_text(
        "\n".join([*lines[:70], foreign, "{broken", "", failed, *lines[:20]])
    )
    counts = exchange_files.store_replies(
        exchange_files.read_exchange_lines(back),
        {each.key: each for each in questions()},
        book,
    )
    assert counts.counts == (70, 20, 1, 1, 1)
    with pytest.raises(MissingRepliesError, match="of 120 requests have no reply yet"):
        from_ledger(book)
    while still := still_open(book):
        exchange_files.write_request_file(still.values(), out, RequestForm())
        write_replies(server, out, back)
        exchange_files.store_replies(
            exchange_files.read_exchange_lines(back), still, book
        )
    assert from_ledger(book) == online


def test_answers_may_be_written_by_hand(book: Ledger) -> None:
    one, two = questions(tag_requests(2))
    tags = {"tags": [{"tag": "poem", "explanation": "it asks for one"}]}
    lines = [
        orjson.dumps({"custom_id": one.key, "content": tags}),
        orjson.dumps({"custom_id": two.key, "content": orjson.dumps(tags).decode()}),
    ]
    assert (
        exchange_files.store_replies(
            lines, {one.key: one, two.key: two}, book
        ).counts.n_new
        == 2
    )
    found = resolve_questions([one, two], book, rules_of(book))
    assert [orjson.loads(reply.text) for reply in found] == [tags, tags]


def test_half_a_character_or_a_mark_at_the_start_of_a_file_lose_no_reply(
    book: Ledger, tmp_path: Path
) -> None:
    one, two, three = questions(tag_requests(3))
    cut = r'{"tags": [{"tag": "poem \ud83d", "explanation": "cut"}]}'
    first = f'{{"custom_id": "{one.key}", "content": {cut}}}'.encode()
    second = orjson.dumps({"custom_id": two.key, "content": {"tags": []}})
    nothing = orjson.dumps({"custom_id": three.key, "content": None})
    path = tmp_path / "replies.jsonl"
    path.write_bytes(codecs.BOM_UTF8 + b"\r\n".join([first, second, nothing]))
    counts, _ = exchange_files.store_replies(
        exchange_files.read_exchange_lines(path),
        {each.key: each for each in (one, two, three)},
        book,
    )
    assert (counts.n_new, counts.n_failed, counts.n_unreadable) == (2, 1, 0)
    found = resolve_questions([one, two, three], book, rules_of(book))
    assert orjson.loads(found[0].text)["tags"][0]["tag"] == "poem ?"
    assert found[2] == three


def test_a_reply_file_that_is_not_there_is_one_clear_error(
    book: Ledger, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        exchange_files.store_replies(
            exchange_files.read_exchange_lines(tmp_path / "none.jsonl"), {}, book
        )


def test_an_online_reply_is_not_bought_again_by_other_ways(
    connect: Connect, book: Ledger
) -> None:
    with FaultServer() as server:
        connect(server.url).answer(REQUESTS)
        assert still_open(book) == {}
        batch_api.fetch_batch_replies(questions(), settings(server), book, poll=0.01)
        assert server.batches.submitted.total() == 0
