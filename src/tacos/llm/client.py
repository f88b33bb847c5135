"""The client: a model behind an endpoint, as the one loop knows models (`tacos.records.Model`).

`answer` may be called from many threads at once; each call blocks until its requests are answered.
For every request: the ledger is looked up, what is missing is claimed and sent, the reply is
written to the ledger, and only then read. An answer that cannot be read is asked about once more,
with what is wrong with it; that second question has a key of its own.

A reply without a usable answer is a `Reply` with `text=None`, a reason and the raw text: never a
default.

All of it runs on the sender's loop, in small slices; only the ledger's SQL runs elsewhere. (Python
in other threads would hold the interpreter's lock when an answer comes in: measured, that costs a
tenth of the speed at 1,024 in flight.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar

from tacos.config import LLMSettings
from tacos.errors import ConfigError, LLMError, TacosError
from tacos.llm.chat import envelope
from tacos.llm.chat.messages import render_reask, render_request
from tacos.llm.cost import prices
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.ledger.lookup import interpret_entry
from tacos.llm.ledger.schema import LedgerEntry
from tacos.llm.ledger.submissions import find_keys_in_batches
from tacos.llm.sending.requests_in_flight import InFlightRequest, ReplyBatch, request_keys
from tacos.llm.sending.response_policy import ClientTally
from tacos.llm.sending.sender import Sender
from tacos.llm.transport.endpoint import Endpoint, resolve_endpoint
from tacos.records import Reply, Request

GRACE = 10.0
"""Seconds that closing waits for what is in flight."""
POLL = 0.2
"""Seconds between looks for the replies that another process is asking for."""
SLICE = 128
"""Requests that are worked on before the loop may turn to others."""
NOTE_AGE = 86_400.0
"""Seconds for which what a server was found to take is remembered."""
T = TypeVar("T")
Progress = Callable[[ClientTally], None]


def connect(
    settings: LLMSettings, model: str, ledger: Ledger, progress: Progress | None = None
) -> Client:
    """A client of the endpoint in `settings` (and the environment) for `model`; a context manager.

    Nothing is sent before the first `answer`. `progress` is called a few times a second from
    another thread. Raises `ConfigError` for settings that cannot work.
    """
    if not (model or settings.model):
        raise ConfigError(
            "no model is named: give --model, or --set tag.model=... and judge.model=..."
        )
    return Client(settings, resolve_endpoint(settings), model or settings.model, ledger, progress)


class Client:
    """Answers requests over the network; `tally` says what it has done."""

    where: Literal["thread"] = "thread"
    pointwise = False

    def __init__(
        self,
        settings: LLMSettings,
        endpoint: Endpoint,
        model: str,
        ledger: Ledger,
        progress: Progress | None = None,
    ) -> None:
        self.settings, self.endpoint, self.ledger = settings, endpoint, ledger
        self._name = model
        price = prices.find_price(model, settings.price_in, settings.price_out)
        ledger.meter.limit(settings.budget, model, price)
        self._flying: dict[str, InFlightRequest] = {}
        self._in_batches = find_keys_in_batches(ledger, endpoint.base)
        self._aside = ThreadPoolExecutor(2, thread_name_prefix="tacos-llm-aside")
        self._closed = False
        self._sender = Sender(endpoint, settings, self, ledger.meter, price)
        self._sender.reactions.form = self._remembered()
        self._sender.progress = progress
        self._tally = self._sender.reactions.tally

    @property
    def name(self) -> str:
        """The model's name."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Part of a stage's key, see `fingerprint_model`."""
        return fingerprint_model(self._name, self.settings)

    @property
    def tally(self) -> ClientTally:
        """What was done so far."""
        return self._sender.tally

    @property
    def form(self) -> envelope.RequestForm:
        """How the server is asked for JSON."""
        return self._sender.reactions.form

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self, grace: float = GRACE) -> None:
        """Wait up to `grace` seconds for what is in flight, so that it is kept; give up the rest."""
        if self._closed:
            return
        self._closed = True
        self._sender.land(grace)
        self.ledger.flush()
        self._sender.loop.close()
        self._aside.shutdown()

    def answer(self, requests: Sequence[Request], *, once: bool = False) -> list[Reply]:
        """One reply per request, in order; with `once` none is asked about again because its answer
        is unusable.

        Raises `BudgetReachedError` at the cap and `LLMError` where the endpoint refuses every request;
        what was answered by then is in the ledger.
        """
        if self._closed:
            raise LLMError("the client was closed")
        batch = ReplyBatch(len(requests))
        self._sender.loop.spawn_soon(self._start(batch, requests, once=once))
        return batch.wait()

    async def _start(self, batch: ReplyBatch, requests: Sequence[Request], *, once: bool) -> None:
        try:
            flights = []
            for place, request in enumerate(requests):
                flights.append(
                    InFlightRequest(
                        render_request(request, self._name, self.settings.body),
                        [(batch, place)],
                        again=once,
                    )
                )
                if place % SLICE == SLICE - 1:
                    await asyncio.sleep(0)
            await self._depart(flights)
        except Exception as error:
            batch.fail(error)
            raise

    async def _depart(self, flights: Iterable[InFlightRequest]) -> None:
        """Answer flights from the ledger or send them, each question once."""
        fresh = [flight for flight in flights if self._is_first(flight)]
        while fresh:
            try:
                taken = await self._apart(self.ledger.take, request_keys(fresh))
            except TacosError as error:
                self.stopped(error, fresh)
                return
            self._tally.n_known += len(taken.known)
            if owed := self._in_batches.keys() & taken.ours:
                self._sender.stop(_build_double_ask_error(owed, self._in_batches))
            self._sender.submit([flight for flight in fresh if flight.key in taken.ours])
            await self._land(
                [(flight, taken.known[flight.key]) for flight in fresh if flight.key in taken.known]
            )
            fresh = [flight for flight in fresh if flight.key in taken.theirs]
            if fresh and self._sender.error is not None:
                self.stopped(self._sender.error, fresh)
                return
            # another process is asking: look for its replies, and ask ourselves where it gives up
            if fresh:
                await asyncio.sleep(POLL)

    def _is_first(self, flight: InFlightRequest) -> bool:
        """Whether its question is not on its way yet; else it waits along."""
        flying = self._flying.setdefault(flight.key, flight)
        if flying is not flight:
            flying.places.extend(flight.places)
        return flying is flight

    async def _land(self, arrived: Sequence[tuple[InFlightRequest, LedgerEntry]]) -> None:
        """Read replies that are in the ledger; ask again about those that cannot be used."""
        again = []
        for number, (flight, entry) in enumerate(arrived):
            reply, retry = interpret_entry(
                flight.asked, entry, again=flight.again, said=flight.said
            )
            self._flying.pop(flight.key, None)
            if retry:
                again.append(
                    InFlightRequest(
                        render_reask(flight.asked, reply.raw, reply.failure),
                        flight.places,
                        again=True,
                    )
                )
            else:
                flight.deliver(reply)
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
        if again:
            self._tally.n_asked_again += len(again)
            await self._depart(again)

    def replied(self, flight: InFlightRequest, entry: LedgerEntry) -> None:
        """(from the sender) A reply came: into the ledger with it."""
        self.ledger.put(entry, self._kept)

    def _kept(self, entries: list[LedgerEntry], failure: TacosError | None) -> None:
        """(from the ledger's thread) These are on disk."""
        self._sender.loop.asyncio.call_soon_threadsafe(self._arrived, entries, failure)

    def _arrived(self, entries: list[LedgerEntry], failure: TacosError | None) -> None:
        arrived = [
            (self._flying[entry.key], entry) for entry in entries if entry.key in self._flying
        ]
        if failure is None:
            self._sender.loop.spawn(self._land(arrived))
        else:
            self._sender.stop(failure)
            self.stopped(failure, [flight for flight, _ in arrived])

    def failed(self, flight: InFlightRequest, reason: str, raw: str) -> None:
        """(from the sender) No reply will come for this row."""
        self._flying.pop(flight.key, None)
        self._sender.loop.spawn(self._give_up([flight]))
        self._tally.n_failed += 1
        flight.deliver(Reply(None, raw, reason, flight.key))

    def stopped(self, error: TacosError, left: Sequence[InFlightRequest]) -> None:
        """(from the sender) It sends nothing more; what had not gone out is given up."""
        for flight in left:
            self._flying.pop(flight.key, None)
            flight.fail(error)
        if left:
            self._sender.loop.spawn(self._give_up(left))

    async def _give_up(self, flights: Sequence[InFlightRequest]) -> None:
        """Others may ask these questions now."""
        await self._apart(self.ledger.release, request_keys(flights))

    def learned(self, form: envelope.RequestForm) -> None:
        """(from the sender) What the server takes was found out: remember it."""
        self._sender.loop.spawn(self._apart(self.ledger.note, self._server, "\n".join(form)))

    async def _apart(self, work: Callable[..., T], *args: object) -> T:
        """Run SQL off the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._aside, work, *args)

    @property
    def _server(self) -> str:
        return f"{self.endpoint.base} {self._name}"

    def _remembered(self) -> envelope.RequestForm:
        """The form to ask in: the settings', else what was found out in the last day, else the
        strictest.
        """
        text = self.ledger.noted(self._server, NOTE_AGE)
        form = envelope.RequestForm(*text.split("\n")) if text else envelope.RequestForm()
        return (
            form
            if self.settings.structured == "auto"
            else form._replace(level=self.settings.structured)
        )


def _build_double_ask_error(owed: Collection[str], batches: Mapping[str, str]) -> LLMError:
    """Why questions that a batch is about to answer are not asked and paid for once more."""
    names = ", ".join(sorted({batches[key] or "one just being submitted" for key in owed})[:3])
    return LLMError(
        f"{len(owed):,} of these questions are out in a batch ({names}); `tacos requests batch RUN` waits for its "
        "answers and `tacos requests batch RUN --abandon` cancels it and keeps what was answered"
    )


def fingerprint_model(model: str, settings: LLMSettings) -> str:
    """Part of a stage's key: the model and what is added to or left out of every body, not where it
    runs.
    """
    extra = [f"{key}={value}" for key, value in sorted(settings.body.items())]
    return " ".join([f"llm:{model}", *extra, *(f"-{name}" for name in sorted(settings.omit))])
