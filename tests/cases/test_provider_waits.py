"""Refusals for lack of room: the client waits as long as the server says, says so once, and stops
only where waiting cannot help.

Cases llm_429_gemini and llm_429_6m; the wordings are those of OpenAI, Azure, Anthropic, Google,
Groq, Mistral, OpenRouter, Moonshot, Zhipu, Alibaba, SiliconFlow, Scaleway, xAI, LiteLLM, Hugging
Face, llama.cpp and TGI.
"""

import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.server.fault_server import Behaviour, FaultServer, Scripted
from tests.server.questions import tag_requests

from tacos.errors import LLMError
from tacos.llm.client import Client
from tacos.llm.sending import announcements
from tacos.llm.sending.error_statuses import classify_error_reply
from tacos.llm.sending.server_waits import read_named_wait

Body = dict[str, Any]
Connect = Callable[..., Client]


def error(message: str, **more: Any) -> Body:
    return {"error": {"message": message, **more}}


class Refusing:
    """A script that refuses the first `n` requests."""

    def __init__(self, n: int, answer: Scripted) -> None:
        self.n = n
        self.answer = answer

    def __call__(self, body: Body) -> Scripted | None:
        self.n -= 1
        return self.answer if self.n >= 0 else None


GEMINI = [
    {
        "error": {
            "code": 429,
            "message": "Quota of this minute is used up, see your plan and billing. "
            "Retry in 0.4s.",
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.RetryInfo",
                    "retryDelay": "0.4s",
                }
            ],
        }
    }
]
WAITS = {
    "gemini": (429, GEMINI),
    "gemini, only its words": (
        429,
        error("You exceeded your current quota, check billing. Please retry in 0.4s."),
    ),
    "groq": (
        429,
        error(
            "Rate limit reached on tokens per minute (TPM): Limit 6000. Please try again in "
            "400ms. Need more tokens? Upgrade at https://console.groq.com/settings/billing"
        ),
    ),
    "loading": (503, {"error": "Model x is currently loading", "estimated_time": 0.4}),
    "a field": (429, {"detail": {"retry_after": 0.4}}),
    "200 with an error": (200, error("slow down, retry in 0.4s", code=429)),
    "200 with a word for it": (
        200,
        error("retry in 0.4s", code="rate_limit_exceeded"),
    ),
    "bedrock, as 400": (400, error("ThrottlingException: retry in 0.4s")),
    "google, as 403": (403, error("retry in 0.4s", status="rateLimitExceeded")),
    "an old status": (420, error("Too Many Requests, retry in 0.4s")),
}


@pytest.mark.parametrize("case", WAITS)
@pytest.mark.timeout(60)
def test_the_time_in_an_errors_body_is_waited_for(case: str, connect: Connect) -> None:
    """Case llm_429_gemini: it waits as long as the body says, and goes on."""
    script = Refusing(1, Scripted(*WAITS[case]))
    with FaultServer(Behaviour(script=script)) as server:
        started = time.monotonic()
        replies = connect(server.url, retries=0).answer(tag_requests(1))
        waited = time.monotonic() - started
        assert server.asked.total() == 2
    assert replies[0].text
    assert waited > 0.4


def test_the_message_of_a_list_is_shown(connect: Connect) -> None:
    """Case llm_429_gemini: the words out of the list, not the list."""
    script = Refusing(10**6, Scripted(429, GEMINI))
    with (
        FaultServer(Behaviour(script=script)) as server,
        pytest.raises(LLMError) as told,
    ):
        connect(server.url, max_wait=0.1).answer(tag_requests(1))
    assert "HTTP 429: Quota of this minute is used up" in str(told.value)
    assert "no credit" not in str(told.value)
    assert "[{" not in str(told.value)


PASSING = {
    "openai": error(
        "Rate limit reached for gpt-4 on requests per min. Limit: 3 / min. You can increase "
        "your rate limit by adding a payment method at https://platform.openai.com/billing."
    ),
    "azure": error(
        "Requests have exceeded token rate limit of your current pricing tier. For Free "
        "Account customers, upgrade to Pay as you Go here"
    ),
    "anthropic": error(
        "This request would exceed your organization's rate limit of 50 requests per minute"
    ),
    "mistral": {"message": "Service tier capacity exceeded for this model."},
    "openrouter": error(
        "Provider returned error",
        code=429,
        metadata={
            "raw": "x is temporarily rate-limited upstream, add your own key to billing"
        },
    ),
    "moonshot": error(
        "Your account reached max request, please try again after 1 seconds",
        type="rate_limit_reached_error",
    ),
    "scaleway": {
        "error": "INSUFFICIENT QUOTA",
        "message": "You exceeded your current limit of concurrent requests.",
    },
    "gemini without a time": [
        error(
            "You exceeded your current quota, please check your plan and billing details.",
            status="RESOURCE_EXHAUSTED",
        )
    ],
    "tgi": {"error": "Model is overloaded", "error_type": "overloaded"},
    "no words": {},
}


@pytest.mark.parametrize("case", PASSING)
def test_a_refusal_of_this_minute_is_waited_for(case: str) -> None:
    """Case llm_429_gemini: a word such as billing says nothing where the limit is one of time."""
    body = json.dumps(PASSING[case]).encode()
    wait = read_named_wait(body, now=0.0)
    action = classify_error_reply(429, body, True, names_wait=wait is not None)
    assert action.kind == "wait"


NO_CREDIT = {
    "openai": (
        429,
        error(
            "You exceeded your current quota, please check your plan and billing details.",
            code="insufficient_quota",
        ),
    ),
    "openai, without its code": (
        429,
        error("You exceeded your current quota, please check your plan and billing."),
    ),
    "litellm": (429, error("x", code="terminal_quota_exhausted")),
    "litellm budget": (
        400,
        error("Budget has been exceeded! Current cost: 5, Max budget: 5"),
    ),
    "a hard limit": (429, error("x", code="billing_hard_limit_reached")),
    "anthropic": (
        400,
        error(
            "Your credit balance is too low to access the API. Go to Plans & Billing."
        ),
    ),
    "deepseek": (402, error("Insufficient Balance")),
    "openrouter": (
        402,
        error("This request requires more credits, or fewer max_tokens."),
    ),
    "hugging face": (402, {"error": "You have exceeded your monthly included credits"}),
    "xai": (403, {"error": "Your team has used all available credits"}),
    "fireworks": (412, error("Account is suspended, monthly spending limit reached")),
    "siliconflow": (
        403,
        {"code": 30001, "message": "Sorry, your account balance is insufficient"},
    ),
    "alibaba": (
        400,
        error("Access denied, is your account in good standing?", code="Arrearage"),
    ),
    "moonshot": (
        429,
        error(
            "Your account is suspended due to insufficient balance, please recharge",
            type="exceeded_current_quota_error",
        ),
    ),
    "zhipu": (429, {"error": {"code": "1113", "message": "余额不足或无可用资源包"}}),
    "gemini": (
        429,
        [error("Your prepayment credits are depleted.", status="RESOURCE_EXHAUSTED")],
    ),
}


@pytest.mark.parametrize("case", NO_CREDIT)
@pytest.mark.timeout(60)
def test_an_account_without_credit_stops_at_once(case: str, connect: Connect) -> None:
    """The other side of llm_429_gemini: what no wait can mend still stops."""
    script = Refusing(10**6, Scripted(*NO_CREDIT[case]))
    with FaultServer(Behaviour(script=script)) as server:
        with pytest.raises(LLMError, match="the account has no credit left"):
            connect(server.url, concurrency=2).answer(tag_requests(50))
        assert server.asked.total() <= 2


@pytest.mark.timeout(60)
def test_a_long_wait_is_announced_once(
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Case llm_429_6m, with 2 seconds instead of 6 minutes."""
    monkeypatch.setattr(announcements, "LONG_WAIT", 1.0)
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "0m2s",
    }
    refused = Scripted(429, error("slow down", code="rate_limit_exceeded"), headers)
    with FaultServer(Behaviour(script=Refusing(8, refused), latency=0.1)) as server:
        replies = connect(server.url, concurrency=20).answer(tag_requests(36))
    assert all(reply.text for reply in replies)
    assert caplog.messages == ["waiting 2 s: the server's limit of requests"]


@pytest.mark.parametrize(
    ("headers", "body", "line"),
    [
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "6m0s",
            },
            error("slow down"),
            "waiting 360 s: the server's limit of requests",
        ),
        (
            {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "40"},
            error("slow down"),
            "waiting 40 s: the server's limit of tokens",
        ),
        ({"Retry-After": "360"}, error("busy"), "waiting 360 s: HTTP 429: busy"),
        (
            {},
            error("please try again in 6m0s"),
            "waiting 360 s: HTTP 429: please try again in 6m0s",
        ),
    ],
)
@pytest.mark.timeout(60)
def test_a_wait_of_minutes_is_told_when_it_begins(
    headers: dict[str, str],
    body: Body,
    line: str,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Case llm_429_6m: one line, with the seconds and whose limit it is."""
    refusing = Refusing(10**6, Scripted(429, body, headers))
    with FaultServer(Behaviour(script=refusing)) as server:
        client = connect(server.url)
        ended = threading.Event()

        def ask() -> None:
            with pytest.raises(LLMError):
                client.answer(tag_requests(8))
            ended.set()

        thread = threading.Thread(target=ask)
        thread.start()
        deadline = time.monotonic() + 20
        while not caplog.messages and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
        client.close(grace=0.0)
        thread.join(20)
    assert ended.is_set()
    assert caplog.messages == [line]


def test_a_wait_longer_than_the_settings_allow_stops_with_both_times(
    connect: Connect,
) -> None:
    """A brother of llm_429_6m: a day's quota."""
    refused = Scripted(429, error("daily quota, try again in 5h"), {})
    with (
        FaultServer(Behaviour(script=Refusing(99, refused))) as server,
        pytest.raises(LLMError, match=r"asks to wait 18000 s, llm\.max_wait is 900 s"),
    ):
        connect(server.url).answer(tag_requests(1))


def test_a_model_that_loads_costs_no_tries(connect: Connect) -> None:
    """llama.cpp while it loads: more refusals than there are tries."""
    loading = Scripted(503, error("Loading model", type="unavailable_error", code=503))
    with FaultServer(Behaviour(script=Refusing(3, loading))) as server:
        replies = connect(server.url, retries=1).answer(tag_requests(1))
    assert replies[0].text


@pytest.mark.timeout(60)
def test_a_proxy_that_cannot_be_reached_in_time_is_no_timeout_of_the_server(
    connect: Connect,
) -> None:
    """aiohttp counts it as a time-out; the client must not slow down, but say that nobody is there."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        # two connections fill the queue of a socket that accepts nobody
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        client = connect(
            "http://api.invalid/v1",
            proxy=f"http://127.0.0.1:{address[1]}",
            connect_timeout=0.3,
        )
        with pytest.raises(
            LLMError, match=r"^http://api\.invalid/v1: cannot be reached"
        ):
            client.answer(tag_requests(2))
        for each in waiting:
            each.close()
