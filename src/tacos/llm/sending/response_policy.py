"""What the client does about each result of an exchange: keep the reply, retry, give up, or stop.

`error_statuses` says what an error status means; here it takes effect on the request, on the pace
and on the whole client. `form_search` changes the form of the requests where the server refuses a
part of it. The policy sends nothing itself: `Sender.ask` acts on its decisions.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tacos.config import LLMSettings
from tacos.errors import LLMError
from tacos.llm.chat import envelope
from tacos.llm.chat.body_json import EnvelopeError, ForeignReplyError
from tacos.llm.chat.error_body import read_error_message
from tacos.llm.chat.request_form import RequestForm
from tacos.llm.cost.budget import NOTHING, Cost, compute_cost
from tacos.llm.cost.prices import ModelPrice
from tacos.llm.ledger.schema import LedgerEntry
from tacos.llm.sending import error_statuses, pacing, remedies, server_waits
from tacos.llm.sending.announcements import WaitAnnouncer
from tacos.llm.sending.decisions import (
    ClientTally,
    Decision,
    GiveUp,
    Keep,
    Retry,
)
from tacos.llm.sending.form_search import FormSearch
from tacos.llm.sending.requests_in_flight import InFlightRequest
from tacos.llm.transport.endpoint import Endpoint
from tacos.llm.transport.protocol import HttpResponse, TransportError

MIN_REFUSALS = 3
"""Refusals in a row after which a Retry-After holds for every request."""
MAX_FAILURES = 16
"""Exchanges that fail in a row before one request at a time tries if the server still answers."""
MAX_WAITS = 60
"""Refusals of one request for lack of room before it is given up."""
MAX_WITHOUT_CHOICE = 2
"""Answers to one request without any choice before it is given up."""
MARGIN = 0.005
"""Seconds added to a Retry-After, since timers may go off a little early."""


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
        on_form: Callable[[RequestForm], None],
    ) -> None:
        self.endpoint = endpoint
        self.settings = settings
        self.pace = pace
        self.price = price
        self.format = api_format
        self.forms = FormSearch(settings, on_form)
        self.waits = WaitAnnouncer()
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
            # Before anything is read or cut off: part of a key is still a key.
            hidden = result._replace(body=self.endpoint.redact_bytes(result.body))
            decision = self._decide_on_response(request, hidden, now)
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
            quota = server_waits.read_quota_wait(response.decode_headers(), time.time())
            pause = min(quota.seconds, self.settings.max_wait)
            if pause:
                self.pace.pause(now + pause)
                reason = f"the server's limit of {quota.kind}"
                self.waits.announce(pause, now, reason)
        # Some gateways answer 201, which is as good.
        if not 200 <= response.status < 300:
            return self._handle_error_status(request, response, now)
        try:
            answer = self.format.read(response.body, request.question)
        except envelope.UpstreamError as error:
            return self._handle_upstream_error(request, response, error, now)
        except EnvelopeError as error:
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
        self.forms.confirm(request)
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
            body.decode("utf-8", "replace"),
            self.endpoint.name,
            question.follows,
        )
        return Keep(entry, cost)

    # an answer of no use

    def _handle_unreadable(
        self,
        request: InFlightRequest,
        response: HttpResponse,
        error: EnvelopeError,
        now: float,
    ) -> Decision:
        """Retry; stop where nearly all replies so far look like those of another kind of server."""
        if isinstance(error, envelope.NoChoicesError):
            return self._handle_no_choices(request, response, error)
        reason = remedies.explain_unreadable(response, error)
        self._n_foreign += isinstance(error, ForeignReplyError)
        is_new = self.tally.n_answered == 0 and request.n_tries >= 2
        if is_new and self._n_foreign > self.tally.n_sent / 2:
            return self._stop(f"{reason}; {self._suggest_fix(response.status)}")
        return self._retry(request, reason, response.body, now)

    def _handle_no_choices(
        self, request: InFlightRequest, response: HttpResponse, error: EnvelopeError
    ) -> Decision:
        """Ask a second time, and not again: a filter takes the same answer away each time."""
        request.n_without_choice += 1
        if request.n_without_choice >= MAX_WITHOUT_CHOICE:
            return GiveUp(str(error), _decode(response.body))
        self.tally.n_retried += 1
        return Retry(pacing.backoff_seconds(1))

    def _handle_upstream_error(
        self,
        request: InFlightRequest,
        response: HttpResponse,
        error: envelope.UpstreamError,
        now: float,
    ) -> Decision:
        """Do what the error asks for, as if its status were the response's."""
        fields = request.question.sampling
        status = error_statuses.infer_status(error.body, fields)
        if status:
            hidden = response._replace(status=status, body=error.body)
            return self._handle_error_status(request, hidden, now)
        is_wrong_path = error_statuses.NO_SUCH_PATH.search(str(error)) is not None
        if is_wrong_path and not self.tally.n_answered:
            return self._stop(f"{error}; {self._suggest_fix(response.status)}")
        return self._retry(request, str(error), response.body, now)

    def _handle_error_status(
        self, request: InFlightRequest, response: HttpResponse, now: float
    ) -> Decision:
        """Do what the status and the body ask for."""
        wait = self._read_wait(response)
        action = error_statuses.classify_error_reply(
            response.status,
            response.body,
            self.tally.n_answered > 0,
            request.question.sampling,
            names_wait=wait is not None,
            is_proven=self.forms.is_proven(request),
        )
        if action.kind == "wait":
            return self._wait(request, action.reason, response, wait, now)
        if action.kind == "retry":
            reason = action.reason
            if self._may_mean_format(response.status):
                reason = f"{reason}; {remedies.PERHAPS_FORMAT}"
            return self._retry(request, reason, response.body, now)
        if action.kind in ("stop", "no-credit"):
            target = self._read_redirect_target(response)
            fix = self._suggest_fix(response.status)
            if action.kind == "no-credit":
                fix = remedies.NO_CREDIT
            return self._stop(f"{action.reason}{target}; {fix}")
        wrong_values = self._suggest_values(request, action)
        if wrong_values:
            return self._stop(f"{action.reason}; {wrong_values}")
        if self._ask_otherwise(request, action):
            return Retry()
        reason = remedies.explain_row(request.question, action, self.settings)
        return GiveUp(reason, _decode(response.body))

    def _suggest_values(
        self, request: InFlightRequest, action: error_statuses.ErrorAction
    ) -> str:
        """The settings to change where the server does not take their values; "" where that is not
        what is wrong. Without its field, a request would be answered by another setting.
        """
        part = action.part
        if part is None or not part.is_value or not self.format.answers:
            return ""
        return remedies.suggest_values(request.question, part.names, self.settings)

    def _ask_otherwise(
        self, request: InFlightRequest, action: error_statuses.ErrorAction
    ) -> bool:
        """Whether the request is worth sending again in another form, which is prepared."""
        if not self.format.answers:
            return False
        reason = self.endpoint.redact(action.reason)
        if action.part is not None:
            return self.forms.adapt(request, action.part, reason)
        if action.kind == "unclear":
            return self.forms.try_without_format(request, reason)
        return False

    def _may_mean_format(self, status: int) -> bool:
        """Whether a server that has answered nothing yet may fail at the format it is asked for."""
        asks_for_format = self.format.answers and self.settings.structured != "none"
        return status == 500 and asks_for_format and self.tally.n_answered == 0

    def _handle_no_answer(
        self, request: InFlightRequest, error: TransportError, now: float
    ) -> Decision:
        """Retry; stop where the server has never been reached."""
        if error.stage == "timeout":
            self.pace.record_complaint(now, request.sent_at)
        is_never_reached = error.stage == "connect" and self.tally.n_answered == 0
        if is_never_reached and max(request.n_tries, self._n_probes) >= 2:
            return self._stop(
                f"cannot be reached ({error}); check the network, a proxy (llm.proxy) and "
                f"{remedies.name_address_setting(is_chat=self.format.answers)}"
            )
        return self._retry(request, f"{error.stage}: {error}", b"", now)

    # what to do then

    def _read_wait(self, response: HttpResponse) -> float | None:
        """Seconds that the server asks to wait, in its headers or its words; None for none."""
        headers = response.decode_headers()
        seconds = server_waits.read_retry_after(headers, time.time())
        if seconds is None:
            seconds = server_waits.read_named_wait(response.body, time.time())
        return seconds

    def _wait(
        self,
        request: InFlightRequest,
        reason: str,
        response: HttpResponse,
        retry_after: float | None,
        now: float,
    ) -> Decision:
        """Come back no earlier than the server says, and send fewer at once from now on.

        Once it has refused `MIN_REFUSALS` in a row, every request waits as long as it says. A 429
        costs a request none of its tries, nor does a 503 that says when to come back.
        """
        self.pace.record_complaint(now, request.sent_at)
        self._n_refused += 1
        self._waiting_since = self._waiting_since or now
        max_wait = self.settings.max_wait
        if retry_after and retry_after > max_wait:
            asked = f"the server asks to wait {retry_after:.0f} s"
            return self._stop(f"{reason}; {asked}, llm.max_wait is {max_wait:g} s")
        if now - self._waiting_since > max_wait:
            return self._stop(f"{reason}; still refusing requests after {max_wait:g} s")
        is_loading = retry_after or error_statuses.is_loading(response.body)
        request.n_tries += response.status == 503 and not is_loading
        request.n_waits += 1
        if request.n_tries > self.settings.retries or request.n_waits > MAX_WAITS:
            return GiveUp(f"{reason} ({request.n_waits} tries)", _decode(response.body))
        self.tally.n_retried += 1
        if not retry_after:  # "Retry-After: 0" names no time either
            return Retry(pacing.backoff_seconds(request.n_waits))
        seconds = retry_after + MARGIN
        self.waits.announce(seconds, now, self.endpoint.redact(reason))
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
            f"the last one: {reason}; all replies are kept: run the same command again once the "
            "server answers well"
        )
        return GiveUp(reason, raw, error)

    def _read_redirect_target(self, response: HttpResponse) -> str:
        """Where a redirect, which is never followed, leads; "" where it does not say."""
        if not 300 <= response.status < 400:
            return ""
        location = self.endpoint.redact(response.decode_headers().get("location", ""))
        return f": {read_error_message(location)}" if location else ""

    def _suggest_fix(self, status: int) -> str:
        return remedies.suggest_fix(status, self.endpoint, is_chat=self.format.answers)


def cost_without_reply(result: HttpResponse | TransportError) -> Cost:
    """What an exchange without a good reply costs: one request, unless the server had no room."""
    if isinstance(result, HttpResponse) and result.status in (429, 503):
        return NOTHING
    return Cost(1)


def _decode(body: bytes) -> str:
    return body.decode("utf-8", "replace")
