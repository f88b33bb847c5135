"""When each request goes out: the queue, the pace, the budget, and the one event loop on which
every request flies.

Everything that can wait on a disk is left to others: answers go to `Receiver.replied`, which must
return at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import orjson

from tacos.config import LLMSettings
from tacos.errors import LLMError, TacosError
from tacos.llm.chat import envelope
from tacos.llm.cost.budget import BudgetMeter, compute_cost
from tacos.llm.cost.prices import ModelPrice
from tacos.llm.sending import pacing
from tacos.llm.sending.event_loop import EventLoopThread
from tacos.llm.sending.requests_in_flight import InFlightRequest
from tacos.llm.sending.response_policy import ClientTally, ReplyReceiver, ResponsePolicy
from tacos.llm.transport.aiohttp_transport import AiohttpTransport
from tacos.llm.transport.connection_pool import ConnectionPool, HttpTransport
from tacos.llm.transport.endpoint import Endpoint
from tacos.llm.transport.http_connection import HttpResponse, TransportError

TICK = 0.25


class Sender:
    """Sends flights to one endpoint. Unless it says otherwise, a method is called on the loop's
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
        self.format = form
        self.endpoint, self.settings, self.receiver, self.meter, self.price = (
            endpoint,
            settings,
            receiver,
            meter,
            price,
        )
        self.progress: Callable[[ClientTally], None] | None = None
        self.queue: deque[InFlightRequest] = deque()
        self.error: TacosError | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._pausing: dict[InFlightRequest, asyncio.TimerHandle] = {}
        self._flying: set[InFlightRequest] = set()
        self._closing = False
        self.loop = EventLoopThread(self._failed)
        self.pace = pacing.Pacer(settings.concurrency, settings.rpm, settings.tpm, self.loop.time())
        self.reactions = ResponsePolicy(endpoint, settings, receiver, self, self.pace, price, form)
        self.wire: HttpTransport
        self.loop.start(self._open())

    def now(self) -> float:
        """The loop's time, in seconds."""
        return self.loop.time()

    def submit(self, flights: Sequence[InFlightRequest]) -> None:
        """Queue flights."""
        if self.error is not None:
            self.receiver.stopped(self.error, flights)
            return
        self.queue.extend(flights)
        self._pump()

    def land(self, grace: float) -> None:
        """Send nothing more and wait up to `grace` seconds for what is in flight; from any other
        thread.
        """
        self.loop.wait_for(self._finish(grace))

    def stop(self, error: TacosError) -> None:
        """Send nothing more; once what is in flight is back, tell the receiver."""
        if self.error is None:
            self.error = error
            self.loop.spawn(self._report(error))

    async def _report(self, error: TacosError) -> None:
        await self._landed(self.settings.total_timeout if error.exit_code == 3 else 30.0)
        self.receiver.stopped(error, self._empty())

    async def _landed(self, grace: float) -> None:
        """Wait until nothing is in flight, at most `grace` seconds."""
        end = self.loop.time() + grace
        while self.pace.n_flying and self.loop.time() < end:
            await asyncio.sleep(0.01)

    def _empty(self) -> list[InFlightRequest]:
        """Everything that will get no answer; what still comes in is kept in the ledger all the
        same.
        """
        left = [*self.queue, *self._pausing, *self._flying]
        for handle in self._pausing.values():
            handle.cancel()
        self._pausing.clear()
        self.queue.clear()
        return left

    async def _finish(self, grace: float) -> None:
        self._closing = True
        self.error = self.error or LLMError("the client was closed")
        await self._landed(grace)
        await self.wire.close()
        self.receiver.stopped(self.error, self._empty())

    def _failed(self, error: BaseException) -> None:
        """A fault of our own must stop the client, not leave somebody waiting."""
        self.stop(
            error
            if isinstance(error, TacosError)
            else LLMError(f"internal error in the client: {error!r}")
        )

    async def _open(self) -> None:
        road = AiohttpTransport if self.endpoint.proxy else ConnectionPool
        self.wire = road(self.endpoint, self.format.path, self.settings)
        self.loop.asyncio.call_later(TICK, self._tick)

    def _tick(self) -> None:
        self.wire.sweep()
        self._pump()
        if self.progress is not None:
            self.progress(self.tally)
        if not self._closing:
            self.loop.asyncio.call_later(TICK, self._tick)

    @property
    def tally(self) -> ClientTally:
        """What was done so far."""
        found = self.reactions.tally
        found.in_flight, found.limit = self.pace.n_flying, int(self.pace.limit)
        return found

    def _pump(self) -> None:
        """Send as many as may go now."""
        while self.queue and self.error is None:
            wait = self.pace.wait(self.loop.time())
            if wait is None:
                return
            if wait > 0:
                self._wake_in(wait)
                return
            if not self._send(self.queue[0]):
                return
            self.queue.popleft()

    def _wake_in(self, seconds: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self.loop.asyncio.call_later(seconds, self._pump)

    def _send(self, flight: InFlightRequest) -> bool:
        """Let one out, if the budget allows it."""
        body = orjson.dumps(
            self.format.fields(flight.asked, self.reactions.form, self.settings.omit)
        )
        flight.level, flight.tokens_field = self.reactions.form
        flight.n_bytes = len(body)
        most_prompt = len(body) * (
            self.reactions.tokens_per_byte * 1.1 if self.reactions.tokens_per_byte else 1 / 3
        )
        most_answer = (
            float(flight.asked.sampling.get("max_tokens", 1024)) if self.format.answers else 0.0
        )
        flight.most = compute_cost(self.price, most_prompt, most_answer)
        if not self.meter.hold(flight.most):
            if self.meter.held.requests < 0.5:
                self.stop(self.meter.reached())
            return False
        flight.guess = most_prompt + 100
        self.pace.sent(flight.guess)
        self.reactions.tally.n_sent += 1
        flight.sent_at = self.loop.time()
        self._flying.add(flight)
        self.wire.post(body, partial(self._returned, flight))
        return True

    def _returned(self, flight: InFlightRequest, result: HttpResponse | TransportError) -> None:
        """An exchange has ended: act on it, and send the next one at once."""
        self.pace.returned()
        try:
            spent = self.reactions.react(flight, result)
        # the flight stays among those in flight, which are told that there is no answer
        except Exception as error:
            self._failed(error)
            return
        self._flying.discard(flight)
        self.meter.settle(flight.most, spent)
        self._pump()

    def back(self, flight: InFlightRequest) -> None:
        """To the front of the queue."""
        self.queue.appendleft(flight)

    def later(self, flight: InFlightRequest, seconds: float) -> None:
        """Queue a flight after a pause."""
        self._pausing[flight] = self.loop.asyncio.call_later(seconds, self._back, flight)

    def _back(self, flight: InFlightRequest) -> None:
        self._pausing.pop(flight, None)
        self.queue.appendleft(flight)
        self._pump()
