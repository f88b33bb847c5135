"""Reply files whose lines hold errors: what `requests import` says about them.

Case `llm_import_errors` of `../shared/cases`, and its brothers: errors of the batch, of a request,
of vLLM and of Anthropic's results, error texts, wrong bodies and lines without anything.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.server.fault_server import FaultServer
from tests.server.questions import tag_requests

from tacos.config import LLMSettings
from tacos.llm.chat.messages import render_request
from tacos.llm.ledger.ledger import Ledger, open_ledger
from tacos.llm.ledger.lookup import resolve_questions
from tacos.llm.ledger.reply_rules import build_reply_rules
from tacos.llm.offline.exchange_files import store_replies
from tacos.llm.offline.reply_lines import FailureCounts, parse_reply_line
from tacos.records import Reply

QUESTIONS = [render_request(request, "tiny-1") for request in tag_requests(6)]
BY_KEY = {question.key: question for question in QUESTIONS}


def failed(status: int | None, body: Any, error: Any = None) -> dict[str, Any]:
    response = None if status is None else {"status_code": status, "body": body}
    return {"response": response, "error": error}


@pytest.mark.parametrize(
    "line, reason",
    [
        (failed(400, {"error": {"message": "bad request"}}), "HTTP 400: bad request"),
        (
            failed(None, None, {"code": "batch_expired", "message": "Out of time."}),
            "batch_expired: Out of time.",
        ),
        (
            failed(
                400,
                {
                    "error": {
                        "message": "No.",
                        "type": "invalid_request_error",
                        "code": None,
                    }
                },
            ),
            "invalid_request_error: No.",
        ),
        (
            failed(
                400,
                {
                    "error": {
                        "message": "Too long.",
                        "type": "invalid_request_error",
                        "code": "context_length_exceeded",
                    }
                },
            ),
            "invalid_request_error, context_length_exceeded: Too long.",
        ),
        (
            failed(
                400,
                {
                    "object": "error",
                    "message": "Bad.",
                    "type": "BadRequestError",
                    "code": 400,
                },
            ),
            "BadRequestError: Bad.",
        ),
        (failed(500, "gateway down"), "HTTP 500: gateway down"),
        (failed(502, {}), "HTTP 502"),
        (failed(None, None, "the worker died"), "the worker died"),
        (failed(None, None), "the line holds no answer and does not say why"),
        (
            {
                "result": {
                    "type": "errored",
                    "error": {"type": "invalid_request", "message": "No."},
                }
            },
            "invalid_request: No.",
        ),
        ({"result": {"type": "expired"}}, "expired"),
        (failed(422, {"detail": [{"msg": "field required"}]}), "HTTP 422: "),
    ],
)
def test_a_line_without_an_answer_says_why(line: dict[str, Any], reason: str) -> None:
    """Case llm_import_errors: before, only how many lines had no answer."""
    read = parse_reply_line(json.dumps({"custom_id": "a", **line}).encode())
    assert read is not None
    assert (read.key, read.body) == ("a", "")
    assert read.failure.startswith(reason)
    assert "\n" not in read.failure


def test_reasons_that_differ_in_numbers_count_as_one() -> None:
    counts = FailureCounts()
    for n in range(3):
        counts.add(f"request {n} was too long")
    counts.add("no credit")
    words = "3 x request 0 was too long; 1 x no credit"
    assert counts.describe() == words
    assert counts.describe(1) == "3 x request 0 was too long; and 1 more reasons"


def good_line(key: str, text: str) -> bytes:
    return json.dumps({"custom_id": key, "content": text}).encode()


@pytest.fixture
def book(tmp_path: Path) -> Any:
    with open_ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def test_a_usable_reply_takes_the_place_of_an_unusable_one(book: Ledger) -> None:
    rules = build_reply_rules(LLMSettings(), book.opened_at)
    first = QUESTIONS[0]
    tags = '{"tags": [{"tag": "poem", "explanation": "it is one"}]}'
    other = tags.replace("poem", "song")
    texts = ("OK", "OK", tags, other, "OK")
    counts = [
        store_replies([good_line(first.key, text)], BY_KEY, book).counts
        for text in texts
    ]
    assert [count.n_new for count in counts] == [1, 0, 1, 0, 0]
    (reply,) = resolve_questions([first], book, rules)
    assert isinstance(reply, Reply)
    assert reply.text == tags
    assert book.size().n_replies == 2  # the unusable one was paid for


def test_within_a_file_the_first_usable_line_counts(book: Ledger) -> None:
    model = FaultServer()
    body = {"messages": QUESTIONS[1].messages, "model": "tiny-1"}
    answer = {"response": {"body": model.answer(body)}, "custom_id": QUESTIONS[1].key}
    lines = [
        good_line(QUESTIONS[1].key, "OK"),
        json.dumps(answer).encode(),
        good_line(QUESTIONS[1].key, "OK"),
    ]
    counts, failures = store_replies(lines, BY_KEY, book)
    assert (counts.n_new, counts.n_known, failures.describe()) == (2, 1, "")
    rules = build_reply_rules(LLMSettings(), book.opened_at)
    (reply,) = resolve_questions([QUESTIONS[1]], book, rules)
    assert isinstance(reply, Reply)
    assert reply.text is not None
