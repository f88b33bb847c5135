"""What the client does about each result of an exchange: keep the reply, retry, give up, or stop.

`error_statuses` says what an error status means; here it takes effect on the request, on the pace
and on the whole client. The policy sends nothing itself: `Sender.ask` acts on its decisions.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tacos.config import LLMSettings
from tacos.errors import LLMError
from tacos.llm.chat import envelope
from tacos.llm.cost.budget import NOTHING, Cost, compute_cost
from tacos.llm.cost.prices import ModelPrice
from tacos.llm.ledger.schema import LedgerEntry
from tacos.llm.sending import error_statuses, pacing
from tacos.llm.sending.requests_in_flight import InFlightRequest
from tacos.llm.transport.endpoint import Endpoint
from tacos.llm.transport.protocol import HttpResponse, TransportError

MIN_REFUSALS = 3
"""Refusals in a row after which a Retry-After holds for every request."""
MAX_FAILURES = 16
"""Exchanges that fail in a row before one request at a time tries if the server still answers."""
MAX_WAITS = 60
"""Refusals of one request for lack of room before it is given up."""
MARGIN = 0.005
"""Seconds added to a Retry-After, since timers may go off a little early."""


class Keep(NamedTuple):
    """A good reply: store it, then deliver it."""

    entry: LedgerEntry
    cost: Cost


class Retry(NamedTuple):
    """No reply yet: the request goes to the front of the queue after some seconds.

    With `stop`, nothing is sent any more: the request is not lost, only not answered.
    """

    seconds: float = 0.0
    stop: LLMError | None = None


class GiveUp(NamedTuple):
    """No reply for this request, and why; with `stop`, for no other one either."""

    reason: str
    raw: str
    stop: LLMError | None = None


Decision = Keep | Retry | GiveUp


@dataclass(slots=True)
class ClientTally:
    """What a client has done so far."""

    n_known: int = 0
    """Replies found in the ledger."""
    n_sent: int = 0
    n_answered: int = 0
    n_retried: int = 0
    n_asked_again: int = 0
    """Questions asked again with what is wrong with the reply."""
    n_asked_anew: int = 0
    """Questions asked anew, since the ledger's replies to them cannot be used."""
    n_failed: int = 0
    in_flight: int = 0
    limit: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    usd: float = 0.0


class ResponsePolicy:
    """Decides about the results of one endpoint, and remembers how it has behaved so far.

    `on_form` is told when another form of request turns out to be what the server accepts.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        settings: LLMSettings,
        pace: pacing.Pacer,
        price: ModelPrice | None,
        api_format: envelope.ApiFormat,
        on_form: Callable[[envelope.RequestForm], None],
    ) -> None:
        self.endpoint = endpoint
        self.settings = settings
        self.pace = pace
        self.price = price
        self.format = api_format
        self.on_form = on_form
        self.form = envelope.RequestForm()
        self.tally = ClientTally()
        self.tokens_per_byte = 0.0
        """The most prompt tokens per byte of a request's body so far; 0 before the first reply."""
        # since the last good reply: requests given up, refusals, and when the first of these came
        self._n_given_up = 0
        self._n_refused = 0
        self._waiting_since = 0.0
        # requests that failed in a row at their first try, and, while the server is probed,
        # how many probes failed and since when
        self._n_failed = 0
        self._n_probes = 0
        self._probing_since = 0.0
        # replies that do not look like this API's, since the start
        self._n_foreign = 0

    def decide(
        self,
        request: InFlightRequest,
        result: HttpResponse | TransportError,
        now: float,
        is_stopping: bool,
    ) -> Decision:
        """What to do about the result of an exchange at the loop's time `now`.

        While the client `is_stopping`, no request is given up: what fails then may be no fault of
        the request.
        """
        if isinstance(result, HttpResponse):
            decision = self._decide_on_response(request, result, now)
        elif is_stopping:
            return Retry()
        else:
            decision = self._handle_no_answer(request, result, now)
        if isinstance(decision, GiveUp):
            return Retry() if is_stopping else self._count_given_up(decision)
        return decision

    def _decide_on_response(
        self, request: InFlightRequest, response: HttpResponse, now: float
    ) -> Decision:
        if response.has_quota:
            pause = pacing.read_quota_wait(response.decode_headers(), time.time())
            if pause:
                self.pace.pause(now + min(pause, self.settings.max_wait))
        if response.status != 200:
            return self._handle_error_status(request, response, now)
        try:
            answer = self.format.read(response.body, request.question)
        except envelope.EnvelopeError as error:
            return self._handle_unreadable(request, response, error, now)
        return self._keep(request, answer, response.body, now)

    # a good reply

    def _keep(
        self,
        request: InFlightRequest,
        answer: envelope.ChatReply,
        body: bytes,
        now: float,
    ) -> Keep:
        """Count a good reply; it heals everything that was counted against the server."""
        request.answer = answer
        # where the server does not say: about four bytes a token
        n_prompt = answer.prompt_tokens or request.n_bytes // 4
        n_answer = answer.answer_tokens or len(answer.text) // 4
        if answer.prompt_tokens:
            tokens_per_byte = answer.prompt_tokens / request.n_bytes
            if tokens_per_byte > self.tokens_per_byte:
                self.tokens_per_byte = tokens_per_byte
        self.pace.record_reply(request.expected_tokens, n_prompt + n_answer)
        self._n_given_up = 0
        self._n_refused = 0
        self._waiting_since = 0.0
        self._n_failed = 0
        self._n_probes = 0
        self.pace.is_probing = False
        cost = compute_cost(self.price, n_prompt, n_answer)
        tally = self.tally
        tally.n_answered += 1
        tally.prompt_tokens += n_prompt
        tally.answer_tokens += n_answer
        tally.usd += cost.usd
        question = request.question
        entry = LedgerEntry(
            question.key,
            question.model,
            answer.model,
            question.task,
            answer.finish,
            n_prompt,
            n_answer,
            round(now - request.sent_at, 4),
            time.time(),
            "online",
            self.endpoint.redact(body.decode("utf-8", "replace")),
            self.endpoint.base,
        )
        return Keep(entry, cost)

    # an answer of no use

    def _handle_unreadable(
        self,
        request: InFlightRequest,
        response: HttpResponse,
        error: envelope.EnvelopeError,
        now: float,
    ) -> Decision:
        """Retry; stop where nearly all replies so far look like those of another kind of server."""
        self._n_foreign += isinstance(error, envelope.ForeignReplyError)
        is_new = self.tally.n_answered == 0 and request.n_tries >= 2
        if is_new and self._n_foreign > self.tally.n_sent / 2:
            return self._stop(f"{error}; {self._suggest_fix(response.status)}")
        return self._retry(request, str(error), response.body, now)

    def _handle_error_status(
        self, request: InFlightRequest, response: HttpResponse, now: float
    ) -> Decision:
        """Do what the status and the body ask for."""
        action = error_statuses.classify_error_reply(
            response.status, response.body, self.tally.n_answered > 0
        )
        if action.kind == "wait":
            return self._wait(request, action.reason, response, now)
        if action.kind == "retry":
            return self._retry(request, action.reason, response.body, now)
        if action.kind == "stop":
            target = _read_redirect_target(response)
            return self._stop(
                f"{action.reason}{target}; {self._suggest_fix(response.status)}"
            )
        if action.kind != "row" and self._simplify(request, action.kind):
            return Retry()
        return GiveUp(action.reason, _decode(response.body))

    def _handle_no_answer(
        self, request: InFlightRequest, error: TransportError, now: float
    ) -> Decision:
        """Retry; stop where the server has never been reached."""
        if error.stage == "timeout":
            self.pace.record_complaint(now, request.sent_at)
        is_never_reached = error.stage == "connect" and self.tally.n_answered == 0
        if is_never_reached and request.n_tries >= 2:
            return Retry(stop=LLMError(f"cannot reach {self.endpoint.base}: {error}"))
        return self._retry(request, f"{error.stage}: {error}", b"", now)

    # what to do then

    def _wait(
        self, request: InFlightRequest, reason: str, response: HttpResponse, now: float
    ) -> Decision:
        """Come back no earlier than the server says, and send fewer at once from now on.

        Once it has refused `MIN_REFUSALS` in a row, every request waits as long as it says. A 429
        costs a request none of its tries.
        """
        self.pace.record_complaint(now, request.sent_at)
        self._n_refused += 1
        self._waiting_since = self._waiting_since or now
        max_wait = self.settings.max_wait
        retry_after = pacing.read_retry_after(response.decode_headers(), time.time())
        if (retry_after or 0) > max_wait or now - self._waiting_since > max_wait:
            return self._stop(f"{reason}; still refusing requests after {max_wait:g} s")
        request.n_tries += response.status == 503
        request.n_waits += 1
        if request.n_tries > self.settings.retries or request.n_waits > MAX_WAITS:
            return GiveUp(f"{reason} ({request.n_waits} tries)", _decode(response.body))
        self.tally.n_retried += 1
        if not retry_after:  # "Retry-After: 0" names no time either
            return Retry(pacing.backoff_seconds(request.n_waits))
        seconds = retry_after + MARGIN
        if self._n_refused >= MIN_REFUSALS:
            self.pace.pause(now + seconds)
        return Retry(seconds)

    def _retry(
        self, request: InFlightRequest, reason: str, body: bytes, now: float
    ) -> Decision:
        """Retry after a pause, or give up after too many tries; where nothing is answered any
        more, find out whether the server still answers.
        """
        # At the end only those may be left that the server always fails at: their later tries say
        # nothing about the server.
        is_first_try = request.n_tries == 0 or self.tally.n_answered == 0
        self._n_failed += is_first_try
        is_down = is_first_try and self._n_failed >= MAX_FAILURES
        if self.settings.stop_early and (is_down or self.pace.is_probing):
            return self._probe(request, reason, now)
        request.n_tries += 1
        if request.n_tries > self.settings.retries:
            return GiveUp(f"{reason} ({request.n_tries} tries)", _decode(body))
        self.tally.n_retried += 1
        return Retry(pacing.backoff_seconds(request.n_tries))

    def _probe(self, request: InFlightRequest, reason: str, now: float) -> Retry:
        """Try one request at a time, after pauses that double; stop after as many as one request
        may take. They cost no request any of its own tries: the fault is the server's.
        """
        if not self.pace.is_probing:
            self.pace.is_probing = True
            self._probing_since = now
        elif request.sent_at >= self._probing_since:
            self._n_probes += 1
        if self._n_probes >= self.settings.retries:
            return self._stop(
                f"{self._n_failed} requests in a row failed, the last one: {reason}; "
                "all replies are kept: run the same command again once the server answers"
            )
        self.tally.n_retried += 1
        self.pace.pause(now + pacing.backoff_seconds(self._n_probes + 1))
        return Retry()

    def _stop(self, reason: str) -> Retry:
        """Send nothing more."""
        message = self.endpoint.redact(f"{self.endpoint.base}: {reason}")
        return Retry(stop=LLMError(message))

    def _count_given_up(self, decision: GiveUp) -> GiveUp:
        """Stop as well where giving up has become the rule."""
        self._n_given_up += 1
        reason = self.endpoint.redact(decision.reason)
        raw = self.endpoint.redact(decision.raw)
        n_answered = self.tally.n_answered
        max_given_up = max(20, n_answered // 5) if n_answered else 5
        if self._n_given_up < max_given_up:
            return GiveUp(reason, raw)
        error = LLMError(
            f"{self.endpoint.base}: {self._n_given_up} requests in a row failed, "
            f"the last one: {reason}"
        )
        return GiveUp(reason, raw, error)

    def _simplify(self, request: InFlightRequest, kind: error_statuses.Kind) -> bool:
        """Move on to a form of request that the server may accept; False where none is left."""
        if kind == "tokens-field" and request.tokens_field != self.form.tokens_field:
            return True  # another request has found this out already
        if kind == "tokens-field" and request.tokens_field == "max_tokens":
            self._change_form(self.form._replace(tokens_field="max_completion_tokens"))
            return True
        if request.level != self.form.level:
            return True
        next_level = envelope.LEVELS.index(request.level) + 1
        if self.settings.structured != "auto" or next_level >= len(envelope.LEVELS):
            return False
        self._change_form(self.form._replace(level=envelope.LEVELS[next_level]))
        return True

    def _change_form(self, form: envelope.RequestForm) -> None:
        self.form = form
        self.on_form(form)

    def _suggest_fix(self, status: int) -> str:
        """What a person can do about a refusal."""
        key_env = self.settings.key_env
        if status in (401, 403) and not key_env:
            return (
                "the server needs a key: name the environment variable that holds it in "
                "embed.key_env"
            )
        if status in (401, 403):
            return f"check that the environment variable {key_env} holds the key for this server"
        if status in (402, 429):
            return "the account has no credit left"
        if not self.format.answers:
            return "check embed.base_url (or --llm) and the MODEL in endpoint:MODEL"
        return "check llm.base_url (--llm: the URL up to /v1) and llm.model (--model)"


def cost_without_reply(result: HttpResponse | TransportError) -> Cost:
    """What an exchange without a good reply costs: one request, unless the server had no room."""
    if isinstance(result, HttpResponse) and result.status in (429, 503):
        return NOTHING
    return Cost(1)


def _decode(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def _read_redirect_target(response: HttpResponse) -> str:
    """Where a redirect, which is never followed, leads; "" where it does not say."""
    if not 300 <= response.status < 400:
        return ""
    location = response.decode_headers().get("location", "")
    return f": {envelope.read_error_message(location)}" if location else ""
