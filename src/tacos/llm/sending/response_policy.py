"""What is done about an answer: keep it, wait, try again, ask more simply, give the row up, or stop
altogether.

`refusing` says what a refusal means; here it has its effect on the row, on the pace and on the
whole client.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tacos.config import LLMSettings
from tacos.errors import LLMError, TacosError
from tacos.llm.chat import envelope
from tacos.llm.cost.budget import Cost, compute_cost
from tacos.llm.cost.prices import ModelPrice
from tacos.llm.ledger.schema import LedgerEntry
from tacos.llm.sending import error_replies, pacing
from tacos.llm.sending.requests_in_flight import InFlightRequest
from tacos.llm.transport.endpoint import Endpoint
from tacos.llm.transport.http_connection import HttpResponse, TransportError

N_ALIKE = 3
"""Refusals in a row after which a Retry-After holds for every request."""
MAX_WAITS = 60
"""Refusals of one request for lack of room before it is given up."""
MARGIN = 0.005
"""Added to a Retry-After, since timers may go off a little early."""


class ReplyReceiver(Protocol):
    """Who is told what became of a flight, on the loop's thread."""

    def replied(self, flight: InFlightRequest, entry: LedgerEntry) -> None: ...
    def failed(self, flight: InFlightRequest, reason: str, raw: str) -> None: ...
    def stopped(self, error: TacosError, left: Sequence[InFlightRequest]) -> None: ...
    def learned(self, form: envelope.RequestForm) -> None: ...


@dataclass(slots=True)
class ClientTally:
    """What a client has done so far."""

    n_known: int = 0
    """Replies found in the ledger."""
    n_sent: int = 0
    n_answered: int = 0
    n_retried: int = 0
    n_asked_again: int = 0
    n_failed: int = 0
    in_flight: int = 0
    limit: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    usd: float = 0.0


class SendingControl(Protocol):
    """The sender, as far as reactions need it."""

    error: TacosError | None

    def now(self) -> float: ...
    def back(self, flight: InFlightRequest) -> None:
        """To the front of the queue."""
        ...

    def later(self, flight: InFlightRequest, seconds: float) -> None: ...
    def stop(self, error: TacosError) -> None: ...


class ResponsePolicy:
    """Reacts to the answers of one endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        settings: LLMSettings,
        receiver: ReplyReceiver,
        traffic: SendingControl,
        pace: pacing.Pacer,
        price: ModelPrice | None,
        form: envelope.ApiFormat,
    ) -> None:
        self.format = form
        self.endpoint, self.settings, self.receiver = endpoint, settings, receiver
        self.traffic, self.pace, self.price = traffic, pace, price
        self.form = envelope.RequestForm()
        self.tally = ClientTally()
        self.n_given_up = self.n_refused = self.n_strange = 0
        self.tokens_per_byte = self.waiting_since = 0.0

    def react(self, flight: InFlightRequest, result: HttpResponse | TransportError) -> Cost:
        """Act on how an exchange ended; what it cost."""
        if isinstance(result, HttpResponse):
            return self.read(flight, result)
        self.no_answer(flight, result)
        return Cost(1)

    def read(self, flight: InFlightRequest, response: HttpResponse) -> Cost:
        """Act on an answer; what it cost."""
        if response.limited:
            pause = pacing.read_quota_wait(response.named(), time.time())
            if pause:
                self.pace.pause(self.traffic.now() + min(pause, self.settings.max_wait))
        if response.status != 200:
            self.refused(flight, response)
            return Cost(1 if response.status not in (429, 503) else 0)
        try:
            said = self.format.read(response.body, flight.asked)
        except envelope.EnvelopeError as error:
            self.n_strange += isinstance(error, envelope.ForeignReplyError)
            if (
                self.tally.n_answered == 0
                and flight.n_tries >= 2
                and self.n_strange > self.tally.n_sent / 2
            ):
                self.stop_at(f"{error}; {self.hint(response.status)}", flight)
            else:
                self.retry(flight, str(error), response.body)
            return Cost(1)
        return self.answered(flight, said, response.body)

    def answered(self, flight: InFlightRequest, said: envelope.ChatReply, body: bytes) -> Cost:
        flight.said = said
        n_prompt = said.prompt_tokens or flight.n_bytes // 4
        n_answer = said.answer_tokens or len(said.text) // 4
        if said.prompt_tokens:
            self.tokens_per_byte = max(self.tokens_per_byte, said.prompt_tokens / flight.n_bytes)
        self.pace.answered(flight.guess, n_prompt + n_answer)
        self.n_given_up, self.n_refused, self.waiting_since = 0, 0, 0.0
        spent = compute_cost(self.price, n_prompt, n_answer)
        self.tally.n_answered += 1
        self.tally.prompt_tokens += n_prompt
        self.tally.answer_tokens += n_answer
        self.tally.usd += spent.usd
        entry = LedgerEntry(
            flight.key,
            flight.asked.model,
            said.model,
            flight.asked.task,
            said.finish,
            n_prompt,
            n_answer,
            round(self.traffic.now() - flight.sent_at, 4),
            time.time(),
            "online",
            self.endpoint.redact(body.decode("utf-8", "replace")),
        )
        self.receiver.replied(flight, entry)
        return spent

    def refused(self, flight: InFlightRequest, response: HttpResponse) -> None:
        """An answer other than 200."""
        kind, reason = error_replies.classify_error_reply(
            response.status, response.body, self.tally.n_answered > 0
        )
        if kind == "wait":
            self.wait(flight, reason, response)
        elif kind == "retry":
            self.retry(flight, reason, response.body)
        elif kind == "stop":
            self.stop_at(
                f"{reason}{_read_redirect_target(response)}; {self.hint(response.status)}", flight
            )
        elif kind == "row" or not self.simplify(flight, kind):
            self.give_up(flight, reason, response.body)
        else:
            self.traffic.back(flight)

    def stop_at(self, reason: str, flight: InFlightRequest) -> None:
        """Send nothing more; this row is not lost, only not answered."""
        self.traffic.stop(LLMError(self.endpoint.redact(f"{self.endpoint.base}: {reason}")))
        self.traffic.back(flight)

    def hint(self, status: int) -> str:
        """What a person can do about a refusal."""
        if status in (401, 403) and not self.settings.key_env:
            return "it wants a key: name the environment variable that holds it in embed.key_env"
        if status in (401, 403):
            return f"is the environment variable {self.settings.key_env} the right key for this server?"
        if status in (402, 429):
            return "the account has no credit left"
        if not self.format.answers:
            return "are embed.base_url (or --llm) and the MODEL in endpoint:MODEL right?"
        return "are --llm (the URL up to /v1) and --model right?"

    def simplify(self, flight: InFlightRequest, kind: str) -> bool:
        """Ask in a form that the server takes; False where there is none left."""
        if kind == "tokens-field" and flight.tokens_field != self.form.tokens_field:
            return True
        if kind == "tokens-field" and flight.tokens_field == "max_tokens":
            return self.learn(self.form._replace(tokens_field="max_completion_tokens"))
        if flight.level != self.form.level:
            return True
        step = envelope.LEVELS.index(flight.level) + 1
        if self.settings.structured != "auto" or step >= len(envelope.LEVELS):
            return False
        return self.learn(self.form._replace(level=envelope.LEVELS[step]))

    def learn(self, form: envelope.RequestForm) -> bool:
        self.form = form
        self.receiver.learned(form)
        return True

    def wait(self, flight: InFlightRequest, reason: str, response: HttpResponse) -> None:
        """The server is pressed: the row comes back no earlier than it says, and fewer go out after
        that.

        Once it has refused `N_ALIKE` in a row, everything waits as long as it says. 429 costs a row
        none of its tries.
        """
        now = self.traffic.now()
        self.pace.complaint(now, flight.sent_at)
        self.n_refused += 1
        self.waiting_since = self.waiting_since or now
        named = pacing.read_retry_after(response.named(), time.time())
        if (
            named or 0
        ) > self.settings.max_wait or now - self.waiting_since > self.settings.max_wait:
            self.stop_at(f"{reason}; it has no room within {self.settings.max_wait:g} s", flight)
            return
        flight.n_tries += response.status == 503
        flight.n_waits += 1
        if flight.n_tries > self.settings.retries or flight.n_waits > MAX_WAITS:
            self.give_up(flight, f"{reason} ({flight.n_waits} tries)", response.body)
            return
        self.tally.n_retried += 1
        seconds = (
            named + MARGIN if named else pacing.backoff_seconds(flight.n_waits)
        )  # "0" names no time
        if named and self.n_refused >= N_ALIKE:
            self.pace.pause(now + seconds)
        self.traffic.later(flight, seconds)

    def no_answer(self, flight: InFlightRequest, error: TransportError) -> None:
        """The connection failed."""
        if self.traffic.error is not None:
            self.traffic.back(flight)
            return
        if error.stage == "timeout":
            self.pace.complaint(self.traffic.now(), flight.sent_at)
        never_reached = error.stage == "connect" and self.tally.n_answered == 0
        if never_reached and flight.n_tries >= 2:
            self.traffic.stop(LLMError(f"cannot reach {self.endpoint.base}: {error}"))
            self.traffic.back(flight)
            return
        self.retry(flight, f"{error.stage}: {error}", b"")

    def retry(self, flight: InFlightRequest, reason: str, body: bytes) -> None:
        """Try again after a pause, or give the row up."""
        flight.n_tries += 1
        if flight.n_tries > self.settings.retries:
            self.give_up(flight, f"{reason} ({flight.n_tries} tries)", body)
            return
        self.tally.n_retried += 1
        self.traffic.later(flight, pacing.backoff_seconds(flight.n_tries))

    def give_up(self, flight: InFlightRequest, reason: str, body: bytes) -> None:
        """No answer for this row; stop where this has become the rule."""
        if (
            self.traffic.error is not None
        ):  # not this row's fault: it is not lost, only not answered
            self.traffic.back(flight)
            return
        self.n_given_up += 1
        reason = self.endpoint.redact(reason)
        self.receiver.failed(flight, reason, self.endpoint.redact(body.decode("utf-8", "replace")))
        enough = max(20, self.tally.n_answered // 5) if self.tally.n_answered else 5
        if self.n_given_up >= enough:
            self.traffic.stop(
                LLMError(
                    f"{self.endpoint.base}: {self.n_given_up} requests in a row failed, the last one: {reason}"
                )
            )


def _read_redirect_target(response: HttpResponse) -> str:
    """Where a redirect, which is never followed, leads."""
    place = response.named().get("location", "") if 300 <= response.status < 400 else ""
    return f": {envelope.read_error_message(place)}" if place else ""
