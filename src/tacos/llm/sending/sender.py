"""The road of every request: reserve, send, read, store, deliver. `Sender.ask` is all of it.

Thousands of requests take it at the same time, each in a coroutine of its own, all on one event
loop. Nothing on it may wait on a disk: a `ReplyReceiver` stores replies in the background.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import orjson

from tacos.config import LLMSettings
from tacos.errors import BudgetReachedError, LLMError, TacosError
from tacos.llm.chat import envelope
from tacos.llm.chat.request_form import RequestForm
from tacos.llm.cost.budget import BudgetMeter, compute_cost
from tacos.llm.cost.prices import ModelPrice
from tacos.llm.ledger.schema import LedgerEntry
from tacos.llm.sending import pacing
from tacos.llm.sending.continuation import Pending, run_coroutine
from tacos.llm.sending.decisions import ClientTally, Decision, Keep, Retry
from tacos.llm.sending.event_loop import EventLoopThread
from tacos.llm.sending.requests_in_flight import InFlightRequest
from tacos.llm.sending.response_policy import ResponsePolicy, cost_without_reply
from tacos.llm.transport.connection_pool import ConnectionPool
from tacos.llm.transport.endpoint import Endpoint
from tacos.llm.transport.protocol import HttpResponse, Transport, TransportError

TICK = 0.25
"""Seconds between looks for what has taken too long, and between calls of `progress`."""
STOP_GRACE = 30.0
"""Seconds that a stop waits for what is in flight, unless the budget is the reason."""


class ReplyReceiver(Protocol):
    """Whoever a sender works for: it stores and delivers. Called on the loop's thread."""

    def admit(self, request: InFlightRequest) -> bool:
        """Whether a request may go now, apart from pace and budget."""
        ...

    def store(self, request: InFlightRequest, entry: LedgerEntry) -> Awaitable[None]:
        """Put a reply into the ledger, at once; what awaits it gets the `TacosError` of a failure.

        It may await nothing but a `Pending`.
        """
        ...

    def deliver(self, request: InFlightRequest, entry: LedgerEntry) -> None:
        """Hand a reply to whoever waits for it."""
        ...

    def failed(self, request: InFlightRequest, reason: str, raw: str) -> None:
        """There will be no reply to this request."""
        ...

    def stopped(self, error: TacosError, left: Sequence[InFlightRequest]) -> None:
        """Nothing more is sent; the requests `left` have no reply."""
        ...

    def learned(self, form: RequestForm) -> None:
        """The server accepts this form of request."""
        ...


class Sender:
    """Sends requests to one endpoint. Unless it says otherwise, a method is called on the loop's
    thread.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        settings: LLMSettings,
        receiver: ReplyReceiver,
        meter: BudgetMeter,
        price: ModelPrice | None,
        form: envelope.ApiFormat = envelope.CHAT,
    ) -> None:
        self.endpoint = endpoint
        self.settings = settings
        self.receiver = receiver
        self.meter = meter
        self.price = price
        self.format = form
        self.error: TacosError | None = None
        """Why nothing more is sent."""
        self.progress: Callable[[ClientTally], None] | None = None
        self.transport: Transport
        self.loop = EventLoopThread(self._stop_at_fault)
        self.pace = pacing.Pacer(
            settings.concurrency, settings.rpm, settings.tpm, self.loop.time()
        )
        self.policy = ResponsePolicy(
            endpoint, settings, self.pace, price, form, receiver.learned
        )
        self.policy.tally.is_priced = price is not None
        # requests without a result, in the order in which they came (a set would have none)
        self._unanswered: dict[InFlightRequest, None] = {}
        self._queue: deque[InFlightRequest] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        self._is_closing = False
        self.loop.start(self._open())

    @property
    def tally(self) -> ClientTally:
        """What has been done so far; from any thread."""
        tally = self.policy.tally
        tally.in_flight = self.pace.n_in_flight
        tally.limit = int(self.pace.limit)
        return tally

    def submit(
        self, requests: Sequence[InFlightRequest], *, first: bool = False
    ) -> None:
        """Start requests down the road; with `first`, before those that are waiting."""
        if self.error is not None:
            self.receiver.stopped(self.error, requests)
            return
        self._unanswered.update(dict.fromkeys(requests))
        if first:
            self._queue.extendleft(reversed(requests))
        else:
            self._queue.extend(requests)
        self._fill_places()

    async def ask(self, request: InFlightRequest, body: bytes) -> None:
        """Take one request down the whole road; `_fill_places` calls it once it has a reservation.

        A retry takes the road again from its beginning.
        """
        try:
            # 1. reserve: a place, the rates and the budget, see `_reserve`
            result = await self._send(body)  # 2.
            decision = self._read(request, result)  # 3.
            if isinstance(decision, Keep):
                self._unanswered.pop(request, None)
                stored = self.receiver.store(request, decision.entry)
                self._fill_places()  # its own place is free now
                await stored  # 4.
                self.receiver.deliver(request, decision.entry)  # 5.
                self._fill_places()  # the next one may have waited for this reply
            elif isinstance(decision, Retry):
                self._requeue(request, decision.seconds)
            else:
                self._unanswered.pop(request, None)
                self.receiver.failed(request, decision.reason, decision.raw)
                self._fill_places()
        except Exception as error:
            self._unanswered.pop(request, None)
            self.receiver.stopped(self._stop_at_fault(error), [request])

    # 1. reserve

    def _fill_places(self) -> None:
        """Send as many requests of the queue down the road as may go now."""
        queue = self._queue
        while queue and self.error is None:
            request = queue[0]
            if not self.receiver.admit(request):
                return
            body = self._reserve(request)
            if body is None:
                return
            queue.popleft()
            run_coroutine(self.ask(request, body))

    def _reserve(self, request: InFlightRequest) -> bytes | None:
        """Reserve a place in flight, a share of the rates and the most that the request can cost.

        Returns the request's body, or None if it may not go yet.
        """
        now = self.loop.time()
        seconds = self.pace.seconds_to_wait(now)
        if seconds is None:
            return None
        if seconds > 0:
            self._wake_in(seconds)
            return None
        body = self._prepare(request)
        if not self.meter.hold(request.max_cost):
            # What is in flight may cost less than is set aside for it: wait for that first.
            if self.meter.held.requests < 0.5:
                self.stop(self.meter.reached())
            return None
        self.pace.take_place(request.expected_tokens)
        self.policy.tally.n_sent += 1
        request.sent_at = now
        return body

    def _prepare(self, request: InFlightRequest) -> bytes:
        """The request's body in the form that the server accepts; notes the most it can cost."""
        policy = self.policy
        form = request.trial or policy.forms.form
        fields = self.format.fields(request.question, form, self.settings.omit)
        body = orjson.dumps(fields)
        n_bytes = len(body)
        request.form = form
        request.n_bytes = n_bytes
        if policy.tokens_per_byte:
            max_prompt = n_bytes * (policy.tokens_per_byte * 1.1)
        else:
            max_prompt = n_bytes * (1 / 3)
        if self.meter.cap is not None:  # else nothing is set aside
            max_answer = 0.0
            if self.format.answers:
                max_answer = float(request.question.sampling.get("max_tokens", 1024))
            request.max_cost = compute_cost(self.price, max_prompt, max_answer)
        # answers are rarely as long as they may be: 100 tokens are expected
        request.expected_tokens = max_prompt + 100
        return body

    def _wake_in(self, seconds: float) -> None:
        """Look at the queue again after some seconds."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self.loop.asyncio.call_later(seconds, self._fill_places)

    # 2. send

    def _send(self, body: bytes) -> Pending[HttpResponse | TransportError]:
        """Post a body; the server's answer, or why there is none."""
        result: Pending[HttpResponse | TransportError] = Pending()
        self.transport.post(body, result.resolve)
        return result

    # 3. read

    def _read(
        self, request: InFlightRequest, result: HttpResponse | TransportError
    ) -> Decision:
        """Decide what to do about a result, free the request's place and settle its cost."""
        self.pace.free_place()
        decision = self.policy.decide(
            request, result, self.loop.time(), self.error is not None
        )
        if isinstance(decision, Keep):
            self.meter.settle(request.max_cost, decision.cost)
            return decision
        if decision.stop is not None:
            self.stop(decision.stop)
        self.meter.settle(request.max_cost, cost_without_reply(result))
        return decision

    def _requeue(self, request: InFlightRequest, seconds: float) -> None:
        """Put a request to the front of the queue, after some seconds."""
        if seconds > 0:
            self.loop.asyncio.call_later(seconds, self._requeue, request, 0.0)
        else:
            self._queue.appendleft(request)
        self._fill_places()

    # stopping and closing

    def stop(self, error: TacosError) -> None:
        """Send nothing more; once nothing is in flight, tell the receiver."""
        if self.error is None:
            self.error = error
            self.loop.spawn(self._report(error))

    def land(self, grace: float) -> None:
        """Send nothing more and wait up to `grace` seconds for what is in flight; call it on any
        other thread.
        """
        self.loop.wait_for(self._close(grace))

    def _stop_at_fault(self, error: BaseException) -> TacosError:
        """Stop at an error that nobody handles, so that nobody waits for ever; why it stopped."""
        if not isinstance(error, TacosError):
            error = LLMError(f"internal error in the client: {error!r}")
        self.stop(error)
        return error

    async def _report(self, error: TacosError) -> None:
        is_at_budget = isinstance(error, BudgetReachedError)
        await self._wait_for_landing(
            self.settings.total_timeout if is_at_budget else STOP_GRACE
        )
        self.receiver.stopped(error, self._abandon())

    async def _wait_for_landing(self, grace: float) -> None:
        """Wait until nothing is in flight, at most `grace` seconds."""
        end = self.loop.time() + grace
        while self.pace.n_in_flight and self.loop.time() < end:
            await asyncio.sleep(0.01)

    def _abandon(self) -> list[InFlightRequest]:
        """All requests without a result. A reply that still arrives is kept in the ledger."""
        left = list(self._unanswered)
        self._unanswered.clear()
        self._queue.clear()
        return left

    async def _open(self) -> None:
        """Open the transport and start the clock."""
        make_transport: Callable[..., Transport] = ConnectionPool
        if self.endpoint.proxy:
            # Few need a proxy, and aiohttp takes long to import.
            from tacos.llm.transport.aiohttp_transport import AiohttpTransport

            make_transport = AiohttpTransport
        self.transport = make_transport(self.endpoint, self.format.path, self.settings)
        self.loop.asyncio.call_later(TICK, self._tick)

    def _tick(self) -> None:
        self.transport.sweep()
        self._fill_places()
        if self.progress is not None:
            self.progress(self.tally)
        if not self._is_closing:
            self.loop.asyncio.call_later(TICK, self._tick)

    async def _close(self, grace: float) -> None:
        self._is_closing = True
        self.error = self.error or LLMError("the client was closed")
        await self._wait_for_landing(grace)
        await self.transport.close()
        self.receiver.stopped(self.error, self._abandon())
