"""Answers that no server should give: none of them hangs, is paid for twice, or stops other rows."""

import json
import time
from collections.abc import Callable

import pytest
from tests.server.fault_server import Behaviour, FaultServer
from tests.server.questions import tag_requests

from tacos.errors import ConfigError, LLMError, OutputError
from tacos.llm.ledger.sqlite import database


def in_envelope(change: Callable[[dict], object]) -> Callable[[str], str]:
    """A change of an answer's text made of a change of its value."""

    def changed(text: str) -> str:
        value = json.loads(text)
        change(value)
        return json.dumps(value)

    return changed


def as_tool_call(reply: dict) -> None:
    message = reply["choices"][0]["message"]
    call = {
        "id": "1",
        "type": "function",
        "function": {"name": "answer", "arguments": message["content"]},
    }
    message |= {"content": None, "tool_calls": [call]}


STRANGE = {
    "half a character": in_envelope(lambda reply: reply.update(id="\ud83d")),
    "half a character in the text": lambda text: text.replace(
        "it asks", r"\\ud83d it asks"
    ),
    "a tool is called": in_envelope(as_tool_call),
    "reasoning beside the text": in_envelope(
        lambda reply: reply["choices"][0]["message"].update(
            reasoning_content='It may be {"tags": []}.'
        )
    ),
    "no usage": in_envelope(lambda reply: reply.pop("usage")),
    "negative usage": in_envelope(
        lambda reply: reply["usage"].update(prompt_tokens=-5, completion_tokens=-5)
    ),
    "absurd usage": in_envelope(
        lambda reply: reply["usage"].update(
            prompt_tokens=10**17, completion_tokens=1e300
        )
    ),
}


@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.timeout(120)
def test_each_question_is_asked_once_and_answered(strange, connect, book) -> None:
    with FaultServer(Behaviour(change=STRANGE[strange])) as server:
        replies = connect(server.url).answer(tag_requests(8))
        assert all(reply.text for reply in replies)
        assert max(server.asked.values()) == 1
    assert 100 < book.spend()[0].prompt_tokens < 10_000, (
        "a count that cannot be is replaced by a guess"
    )


@pytest.mark.timeout(120)
def test_headers_that_mean_nothing_are_left_alone(connect) -> None:
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1.2.3s",
    }
    with FaultServer(Behaviour(headers=headers)) as server:
        assert all(reply.text for reply in connect(server.url).answer(tag_requests(4)))


@pytest.mark.timeout(120)
def test_a_retry_after_of_nothing_does_not_use_the_tries_up(connect) -> None:
    with FaultServer(Behaviour({"429": 1.0}, n_times=3, seconds=0)) as server:
        client = connect(server.url)
        assert client.answer(tag_requests(1))[0].text
        assert client.tally.n_retried == 3
        assert sum(server.waits) > 1, "the pauses grow as if it had named no time"


@pytest.mark.timeout(120)
def test_an_address_that_is_no_such_server_is_said_at_once(connect) -> None:
    with FaultServer(Behaviour({"html!": 1.0})) as server:
        started = time.monotonic()
        with pytest.raises(LLMError, match=r"not JSON.*--llm"):
            connect(server.url).answer(tag_requests(8))
        assert time.monotonic() - started < 10


@pytest.mark.timeout(120)
def test_a_reply_that_cannot_be_kept_stops_the_client(
    connect, book, monkeypatch
) -> None:
    with FaultServer() as server:
        client = connect(server.url)

        def broken(*_: object, **__: object) -> int:
            raise OverflowError("too large")

        monkeypatch.setattr(database, "write_entries", broken)
        with pytest.raises(OutputError, match="too large"):
            client.answer(tag_requests(2))
        monkeypatch.undo()


@pytest.mark.timeout(120)
def test_an_answer_larger_than_any_answer_is_cut_off(connect) -> None:
    with FaultServer(Behaviour(change=lambda text: text + " " * 10_000_000)) as server:
        reply = connect(server.url, retries=0).answer(tag_requests(1))[0]
        assert reply.text is None
        assert "more than" in reply.failure


@pytest.mark.parametrize(
    "url", ["http://localhost:99999/v1", "http://[::1/v1", "http://localhost:x/v1"]
)
def test_a_url_that_cannot_be_is_a_clear_message(url, connect) -> None:
    with pytest.raises(ConfigError, match="nor an http"):
        connect(url)


@pytest.mark.parametrize(
    "settings",
    [
        {"headers": {"Authorization": "Bearer sk-1234567"}},
        {"headers": {"x-api-key": "sk-1234567"}},
        {"query": {"key": "sk-1234567"}},
        {"proxy": "http://me:sk-1234567@proxy:80"},
    ],
)
def test_a_key_is_never_a_setting(settings, connect) -> None:
    with pytest.raises(ConfigError, match="into the run") as told:
        connect("http://localhost:9/v1", **settings)
    assert "sk-1234567" not in str(told.value)


def test_a_query_takes_its_key_from_the_environment(connect, monkeypatch) -> None:
    monkeypatch.setenv("MINE", "s3cret key")
    with FaultServer() as server:
        client = connect(server.url, query={"key": "${MINE}", "api-version": "1"})
        assert client.answer(tag_requests(1))[0].text
        assert server.queries == ["key=s3cret key&api-version=1"]
        assert (
            client.endpoint.redact("?key=s3cret+key, s3cret key")
            == "?key=[secret], [secret]"
        )
