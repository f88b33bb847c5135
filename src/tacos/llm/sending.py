"""The one event loop on which every request flies: when each goes out, what its answer means, and when it goes out
again.

It runs in a thread of its own (uvloop where there is one). Everything that can wait on a disk is left to others:
answers go to `Receiver.replied`, which must return at once.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import orjson

from tacos.config import LLM
from tacos.errors import LLMError, TacosError
from tacos.llm import envelope, pacing, refusing
from tacos.llm.budget import Cost, Meter, cost
from tacos.llm.endpoint import Endpoint
from tacos.llm.flights import Flight
from tacos.llm.ledger import Entry
from tacos.llm.prices import Price
from tacos.llm.proxied import ProxiedWire
from tacos.llm.wire import DirectWire, Response, Wire, WireError

TICK = 0.25
N_ALIKE = 3
"""Refusals in a row after which a Retry-After holds for every request."""
MAX_WAITS = 60
"""Refusals of one request for lack of room before it is given up."""
MARGIN = 0.005
"""Added to a Retry-After, since timers may go off a little early."""
PATH = "/chat/completions"


class Receiver(Protocol):
    """Who is told what became of a flight, on the loop's thread."""

    def replied(self, flight: Flight, entry: Entry) -> None: ...
    def failed(self, flight: Flight, reason: str, raw: str) -> None: ...
    def stopped(self, error: TacosError, left: Sequence[Flight]) -> None: ...
    def learned(self, form: envelope.Form) -> None: ...


@dataclass(slots=True)
class Tally:
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


class Sender:
    """Sends flights to one endpoint."""

    def __init__(
        self, endpoint: Endpoint, settings: LLM, receiver: Receiver, meter: Meter, price: Price | None
    ) -> None:
        self.endpoint, self.settings, self.receiver = endpoint, settings, receiver
        self.meter, self.price = meter, price
        self.form = envelope.Form()
        self.tally = Tally()
        self.progress: Callable[[Tally], None] | None = None
        self.queue: deque[Flight] = deque()
        self.error: TacosError | None = None
        self.n_given_up = 0
        self.tokens_per_byte = 0.0
        self.waiting_since = 0.0
        self.n_refused = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._pausing: dict[Flight, asyncio.TimerHandle] = {}
        self._flying: set[Flight] = set()
        self._closing = False
        self.loop = new_loop()
        self.wire: Wire
        self.pace = pacing.Pace(settings.concurrency, settings.rpm, settings.tpm, self.loop.time())
        self._thread = threading.Thread(target=self._run, name="tacos-llm", daemon=True)
        self._thread.start()

    def submit(self, flights: Sequence[Flight]) -> None:
        """Queue flights. On the loop's thread."""
        if self.error is not None:
            self.receiver.stopped(self.error, flights)
            return
        self.queue.extend(flights)
        self._pump()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine on the loop, from its own thread."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def spawn_soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine on the loop, from any thread."""
        self.loop.call_soon_threadsafe(self.spawn, work)

    def land(self, grace: float) -> None:
        """Send nothing more and wait up to `grace` seconds for what is in flight; from any other thread."""
        asyncio.run_coroutine_threadsafe(self._finish(grace), self.loop).result()

    def close(self) -> None:
        """End the thread; from any other thread."""
        asyncio.run_coroutine_threadsafe(self._quit(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def stop(self, error: TacosError) -> None:
        """Send nothing more; once what is in flight is back, tell the receiver. On the loop's thread."""
        if self.error is None:
            self.error = error
            self.spawn(self._report(error))

    async def _report(self, error: TacosError) -> None:
        await self._landed(self.settings.total_timeout if error.exit_code == 3 else 30.0)
        self.receiver.stopped(error, self._empty())

    async def _landed(self, grace: float) -> None:
        """Wait until nothing is in flight, at most `grace` seconds."""
        end = self.loop.time() + grace
        while self.pace.n_flying and self.loop.time() < end:
            await asyncio.sleep(0.01)

    def _empty(self) -> list[Flight]:
        """Everything that will get no answer; what still comes in is kept in the ledger all the same."""
        left = [*self.queue, *self._pausing, *self._flying]
        for handle in self._pausing.values():
            handle.cancel()
        self._pausing.clear()
        self.queue.clear()
        return left

    async def _finish(self, grace: float) -> None:
        self.error = self.error or LLMError("the client was closed")
        await self._landed(grace)
        await self.wire.close()
        self.receiver.stopped(self.error, self._empty())

    async def _quit(self) -> None:
        """Let what is left to do end, at most a few seconds; then cancel it."""
        self._closing = True
        others = [task for task in self._tasks if task is not asyncio.current_task()]
        if others:
            _, late = await asyncio.wait(others, timeout=5)
            for task in late:
                task.cancel()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._open())
        self.loop.run_forever()

    async def _open(self) -> None:
        road = ProxiedWire if self.endpoint.proxy else DirectWire
        self.wire = road(self.endpoint, PATH, self.settings)
        self.loop.call_later(TICK, self._tick)

    def _tick(self) -> None:
        self.wire.sweep()
        self._pump()
        if self.progress is not None:
            self.progress(self.snapshot())
        if not self._closing:
            self.loop.call_later(TICK, self._tick)

    def snapshot(self) -> Tally:
        """The tally as it stands."""
        self.tally.in_flight, self.tally.limit = self.pace.n_flying, int(self.pace.limit)
        return self.tally

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
        self._alarm = self.loop.call_later(seconds, self._pump)

    def _send(self, flight: Flight) -> bool:
        """Let one out, if the budget allows it."""
        body = orjson.dumps(envelope.fields(flight.asked, self.form, self.settings.omit))
        flight.level, flight.tokens_field = self.form
        flight.n_bytes = len(body)
        most_prompt = len(body) * (self.tokens_per_byte * 1.1 if self.tokens_per_byte else 1 / 3)
        flight.most = cost(self.price, most_prompt, float(flight.asked.sampling.get("max_tokens", 1024)))
        if not self.meter.hold(flight.most):
            if self.meter.held.requests < 0.5:
                self.stop(self.meter.reached())
            return False
        flight.guess = most_prompt + 100
        self.pace.sent(flight.guess)
        self.tally.n_sent += 1
        flight.sent_at = self.loop.time()
        self._flying.add(flight)
        self.wire.post(body, partial(self._returned, flight))
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A fault of our own must stop the client, not leave somebody waiting."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.stop(error if isinstance(error, TacosError) else LLMError(f"internal error in the client: {error!r}"))

    def _returned(self, flight: Flight, result: Response | WireError) -> None:
        """An exchange has ended: act on it, and send the next one at once."""
        self._flying.discard(flight)
        self.pace.returned()
        if isinstance(result, Response):
            spent = self._read(flight, result)
        else:
            spent = Cost(1)
            self._no_answer(flight, result)
        self.meter.settle(flight.most, spent)
        self._pump()

    def _read(self, flight: Flight, response: Response) -> Cost:
        """Act on an answer; what it cost."""
        if response.limited:
            pause = pacing.exhausted_for(response.named(), time.time())
            if pause:
                self.pace.pause(self.loop.time() + min(pause, self.settings.max_wait))
        if response.status != 200:
            self._refused(flight, response)
            return Cost(1 if response.status not in (429, 503) else 0)
        try:
            said = envelope.read(response.body)
        except envelope.BadEnvelope as error:
            self._retry(flight, str(error), response.body)
            return Cost(1)
        return self._answered(flight, said, response.body)

    def _answered(self, flight: Flight, said: envelope.Said, body: bytes) -> Cost:
        flight.said = said
        n_prompt = said.prompt_tokens or flight.n_bytes // 4
        n_answer = said.answer_tokens or len(said.text) // 4
        if said.prompt_tokens:
            self.tokens_per_byte = max(self.tokens_per_byte, said.prompt_tokens / flight.n_bytes)
        self.pace.answered(flight.guess, n_prompt + n_answer)
        self.n_given_up, self.n_refused, self.waiting_since = 0, 0, 0.0
        spent = cost(self.price, n_prompt, n_answer)
        self.tally.n_answered += 1
        self.tally.prompt_tokens += n_prompt
        self.tally.answer_tokens += n_answer
        self.tally.usd += spent.usd
        entry = Entry(
            flight.key, flight.asked.model, said.model, flight.asked.task, said.finish, n_prompt, n_answer,
            round(self.loop.time() - flight.sent_at, 4), time.time(), "online",
            self.endpoint.redact(body.decode("utf-8", "replace")),
        )  # fmt: skip
        self.receiver.replied(flight, entry)
        return spent

    def _refused(self, flight: Flight, response: Response) -> None:
        """An answer other than 200."""
        kind, reason = refusing.meaning(response.status, response.body, self.tally.n_answered > 0)
        if kind == "wait":
            self._wait(flight, reason, response)
        elif kind == "retry":
            self._retry(flight, reason, response.body)
        elif kind == "stop":
            self.stop(LLMError(self.endpoint.redact(f"{self.endpoint.base}: {reason}; {self._hint(response.status)}")))
            self.queue.appendleft(flight)
        elif kind == "row" or not self._simplify(flight, kind):
            self._give_up(flight, reason, response.body)
        else:
            self.queue.appendleft(flight)

    def _hint(self, status: int) -> str:
        """What a person can do about a refusal."""
        if status in (401, 403):
            return f"is the environment variable {self.settings.key_env} the right key for this server?"
        if status in (402, 429):
            return "the account has no credit left"
        return "are --llm (the URL up to /v1) and --model right?"

    def _simplify(self, flight: Flight, kind: str) -> bool:
        """Ask in a form that the server takes; False where there is none left."""
        if kind == "tokens-field" and flight.tokens_field != self.form.tokens_field:
            return True
        if kind == "tokens-field" and flight.tokens_field == "max_tokens":
            return self._learn(self.form._replace(tokens_field="max_completion_tokens"))
        if flight.level != self.form.level:
            return True
        step = envelope.LEVELS.index(flight.level) + 1
        if self.settings.structured != "auto" or step >= len(envelope.LEVELS):
            return False
        return self._learn(self.form._replace(level=envelope.LEVELS[step]))

    def _learn(self, form: envelope.Form) -> bool:
        self.form = form
        self.receiver.learned(form)
        return True

    def _wait(self, flight: Flight, reason: str, response: Response) -> None:
        """The server is pressed: the row comes back no earlier than it says, and fewer go out after that.

        Once it has refused `N_ALIKE` in a row, everything waits as long as it says. 429 costs a row none of its tries.
        """
        now = self.loop.time()
        self.pace.complaint(now, flight.sent_at)
        self.n_refused += 1
        self.waiting_since = self.waiting_since or now
        named = pacing.retry_after(response.named(), time.time())
        if (named or 0) > self.settings.max_wait or now - self.waiting_since > self.settings.max_wait:
            text = f"{self.endpoint.base}: {reason}; it has no room within {self.settings.max_wait:g} s"
            self.stop(LLMError(self.endpoint.redact(text)))
            self.queue.appendleft(flight)
            return
        flight.n_tries += response.status == 503
        flight.n_waits += 1
        if flight.n_tries > self.settings.retries or flight.n_waits > MAX_WAITS:
            self._give_up(flight, f"{reason} ({flight.n_waits} tries)", response.body)
            return
        self.tally.n_retried += 1
        seconds = pacing.backoff(flight.n_waits) if named is None else named + MARGIN
        if named is not None and self.n_refused >= N_ALIKE:
            self.pace.pause(now + seconds)
        self._later(flight, seconds)

    def _no_answer(self, flight: Flight, error: WireError) -> None:
        """The connection failed."""
        if self.error is not None:
            self.queue.append(flight)
            return
        if error.stage == "timeout":
            self.pace.complaint(self.loop.time(), flight.sent_at)
        never_reached = error.stage == "connect" and self.tally.n_answered == 0
        if never_reached and flight.n_tries >= 2:
            self.stop(LLMError(f"cannot reach {self.endpoint.base}: {error}"))
            self.queue.appendleft(flight)
            return
        self._retry(flight, f"{error.stage}: {error}", b"")

    def _retry(self, flight: Flight, reason: str, body: bytes) -> None:
        """Try again after a pause, or give the row up."""
        flight.n_tries += 1
        if flight.n_tries > self.settings.retries:
            self._give_up(flight, f"{reason} ({flight.n_tries} tries)", body)
            return
        self.tally.n_retried += 1
        self._later(flight, pacing.backoff(flight.n_tries))

    def _later(self, flight: Flight, seconds: float) -> None:
        self._pausing[flight] = self.loop.call_later(seconds, self._back, flight)

    def _back(self, flight: Flight) -> None:
        self._pausing.pop(flight, None)
        self.queue.appendleft(flight)
        self._pump()

    def _give_up(self, flight: Flight, reason: str, body: bytes) -> None:
        """No answer for this row; stop where this has become the rule."""
        if self.error is not None:  # the rule, not this row, is at fault: the row is not lost, only not answered
            self.queue.append(flight)
            return
        self.n_given_up += 1
        reason = self.endpoint.redact(reason)
        self.receiver.failed(flight, reason, self.endpoint.redact(body.decode("utf-8", "replace")))
        enough = max(20, self.tally.n_answered // 5) if self.tally.n_answered else 5
        if self.n_given_up >= enough:
            self.stop(
                LLMError(f"{self.endpoint.base}: {self.n_given_up} requests in a row failed, the last one: {reason}")
            )


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's loop where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: Any = uvloop.new_event_loop()
    return loop  # type: ignore[no-any-return]
