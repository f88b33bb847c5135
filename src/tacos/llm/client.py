"""The client: a model behind an endpoint, as the one loop knows models (`tacos.records.Model`).

`answer` may be called from many threads at once; each call blocks until its requests are answered.
The ledger is looked up first; what it lacks is leased, so that no other process asks it too, and
takes the road in `sending.sender`: reserve, send, read, store, deliver. An answer that cannot be
used is asked about once more, together with what is wrong with it; that second question has a key
of its own.

A question to which the ledger has only unusable replies, of earlier commands, is asked anew, once
per command (`ledger.reply_rules`); the old replies stay in the ledger, under other keys.

A reply without a usable answer is a `Reply` with `text=None`, a reason and the raw text: never a
default.

Everything runs on the sender's loop, in small slices; only the ledger's SQL runs elsewhere. (Python
in other threads would hold the interpreter's lock when an answer arrives: measured, that costs a
tenth of the speed at 1,024 in flight.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Literal, TypeVar

from tacos.config import LLMSettings
from tacos.errors import ConfigError, LLMError, OfflineError, TacosError
from tacos.llm.chat.messages import render_request
from tacos.llm.chat.request_form import RequestForm
from tacos.llm.cost import prices
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.ledger.lookup import interpret_entry, note_origin
from tacos.llm.ledger.noted_forms import note_form, recall_form
from tacos.llm.ledger.reply_rules import build_reply_rules
from tacos.llm.ledger.schema import KeyLeases, LedgerEntry
from tacos.llm.ledger.submissions import find_keys_in_batches
from tacos.llm.sending.continuation import Pending
from tacos.llm.sending.decisions import ClientTally
from tacos.llm.sending.question_line import QuestionLine
from tacos.llm.sending.requests_in_flight import (
    InFlightRequest,
    QuestionState,
    ReplyBatch,
)
from tacos.llm.sending.second_asks import SecondAsks
from tacos.llm.sending.sender import Sender
from tacos.llm.transport.endpoint import Endpoint, resolve_endpoint
from tacos.records import AnswerWatch, Reply, Request

GRACE = 10.0
"""Seconds that closing waits for what is in flight."""
POLL = 0.2
"""Seconds between looks for the replies that another process is asking for."""
SLICE = 128
"""Requests that are worked on before the loop may turn to others."""
T = TypeVar("T")
Progress = Callable[[ClientTally], None]


def connect(
    settings: LLMSettings, model: str, ledger: Ledger, progress: Progress | None = None
) -> Client:
    """A client of the endpoint in `settings` (and the environment) for `model`; a context manager.

    Nothing is sent before the first `answer`. `progress` is called a few times a second from
    another thread. Raises `ConfigError` for settings that cannot work.
    """
    name = model or settings.model
    if not name:
        raise ConfigError(
            "no model given: name one in llm.model (--model), or in tag.model and judge.model"
        )
    return Client(settings, resolve_endpoint(settings), name, ledger, progress)


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
        self.settings = settings
        self.endpoint = endpoint
        self.ledger = ledger
        self._name = model
        price = prices.find_price(
            model, settings.price_in, settings.price_out, settings.price_batch
        )
        prices.keep_given_price(model, price, ledger.note)
        ledger.meter.limit(settings.budget, model, price)
        # by ledger key: the questions without a reply, the replies that are being written, and
        # the batches (of the batch API) that will answer a question
        self._open: dict[str, InFlightRequest] = {}
        self._storing: dict[str, Pending[None]] = {}
        self._in_batches = find_keys_in_batches(ledger, endpoint.base)
        self.rules = build_reply_rules(settings, ledger.opened_at)
        self.line = QuestionLine()
        self._second_asks = SecondAsks(self)
        self._sql_threads = ThreadPoolExecutor(2, thread_name_prefix="tacos-llm-sql")
        self._is_closed = False
        self._sender = Sender(endpoint, settings, self, ledger.meter, price)
        self._sender.policy.forms.recall(
            recall_form(ledger, endpoint.base, model, settings.structured)
        )
        self._sender.progress = progress
        self.loop = self._sender.loop

    @property
    def name(self) -> str:
        """The model's name."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Part of a stage key, see `fingerprint_model`."""
        return fingerprint_model(self._name, self.settings)

    @property
    def tally(self) -> ClientTally:
        """What has been done so far."""
        return self._sender.tally

    @property
    def tallies(self) -> tuple[ClientTally, ...]:
        """Those of all clients that answer: its own."""
        return (self.tally,)

    @property
    def form(self) -> RequestForm:
        """The form of request that the server accepts."""
        return self._sender.policy.forms.form

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self, grace: float = GRACE) -> None:
        """Wait up to `grace` seconds for what is in flight, to keep it; give up the rest."""
        if self._is_closed:
            return
        self._is_closed = True
        self._sender.land(grace)
        self.ledger.flush()
        self.loop.close()
        self._sql_threads.shutdown()

    def watch(self, watch: AnswerWatch) -> bool:
        """Report every question from now on; call it while none is open."""
        self.line.begin(watch)
        return True

    def answer(self, requests: Sequence[Request], *, once: bool = False) -> list[Reply]:
        """One reply per request, in order; with `once`, no unusable answer is asked about again.

        Raises `BudgetReachedError` at the cap and `LLMError` where the endpoint refuses every
        request; what was answered by then is in the ledger.
        """
        if self._is_closed:
            raise LLMError("the client was closed")
        batch = ReplyBatch(len(requests))
        self.loop.spawn_soon(self._answer(batch, requests, once=once))
        return batch.wait()

    # from requests to the road

    async def _answer(
        self, batch: ReplyBatch, requests: Sequence[Request], *, once: bool
    ) -> None:
        """Render the requests of a batch and ask them."""
        try:
            questions = []
            for place, request in enumerate(requests):
                rendered = render_request(request, self._name, self.settings.body)
                question = InFlightRequest(
                    rendered,
                    [(batch, place)],
                    is_final=once,
                    renewable=None if once else rendered,
                    is_group=once,
                    state=QuestionState(place=request.place),
                )
                questions.append(question)
                if place % SLICE == SLICE - 1:
                    await asyncio.sleep(0)
            await self.ask_each_once(questions)
        except Exception as error:
            batch.fail(error)
            raise

    async def ask_each_once(
        self,
        requests: Iterable[InFlightRequest],
        *,
        first: bool = False,
        anew: bool = False,
    ) -> None:
        """Answer requests from the ledger or send them, none that is on its way already.

        With `first`, they are sent before those that are waiting; with `anew`, replies to earlier
        commands are no answers.
        """
        waiting = [request for request in requests if self._is_first(request)]
        while waiting:
            try:
                keys = _list_keys(waiting)
                leases = await self.run_sql(self.ledger.take, keys, anew)
            except TacosError as error:
                self.stopped(error, waiting)
                return
            try:
                self._check_leases(waiting, leases)
            except TacosError as error:
                self._sender.stop(error)
                self.stopped(error, waiting)
                return
            self._sender.tally.n_known += len(leases.known)
            owed_keys = self._in_batches.keys() & leases.ours
            if owed_keys:
                self._sender.stop(_build_double_ask_error(owed_keys, self._in_batches))
            ours = [request for request in waiting if request.key in leases.ours]
            self._sender.submit(ours, first=first)
            if leases.known:
                await self._deliver_known(waiting, leases.known)
            # Another process asks the rest: look for its replies, and ask what it gives up.
            waiting = [request for request in waiting if request.key in leases.theirs]
            if waiting and self._sender.error is not None:
                self.stopped(self._sender.error, waiting)
                return
            if waiting:
                await asyncio.sleep(POLL)

    def _is_first(self, request: InFlightRequest) -> bool:
        """Whether its question is not on its way yet; otherwise it shares the reply."""
        first = self._open.setdefault(request.key, request)
        if first is not request:
            first.places.extend(request.places)
        return first is request

    def _check_leases(
        self, requests: Sequence[InFlightRequest], leases: KeyLeases
    ) -> None:
        """Raise `OfflineError` where something would be sent although nothing may be, and
        `OtherEndpointError` where replies of another endpoint would be used unasked.
        """
        if self.settings.offline and leases.ours:
            has_unusable = any(request.state.paid for request in requests)
            raise _build_offline_error(
                len(leases.ours), self._name, has_unusable=has_unusable
            )
        if leases.ours:
            self.endpoint.check_key()
        used = []
        for request in requests:
            entry = leases.known.get(request.key)
            if entry is None or not self.rules.name_other_endpoint(entry):
                continue
            read = interpret_entry(request.question, entry)
            if not self._second_asks.is_wanted(request, entry, read):
                used.append(entry)
        self.rules.check_endpoints(used)

    async def _deliver_known(
        self, requests: Sequence[InFlightRequest], entries: Mapping[str, LedgerEntry]
    ) -> None:
        n_delivered = 0
        for request in requests:
            entry = entries.get(request.key)
            if entry is None:
                continue
            self.deliver(request, entry)
            n_delivered += 1
            if n_delivered % SLICE == 0:
                await asyncio.sleep(0)

    # what the sender asks for (`ReplyReceiver`)

    def admit(self, request: InFlightRequest) -> bool:
        """Few questions are open until an answer could be used: each of them costs money."""
        return self.line.admit(request, int(self._sender.pace.limit))

    def store(self, request: InFlightRequest, entry: LedgerEntry) -> Pending[None]:
        """Put a reply into the ledger; the result is there once it is on disk."""
        stored: Pending[None] = Pending()
        self._storing[entry.key] = stored
        self.ledger.put(entry, self._on_written)
        return stored

    def deliver(self, request: InFlightRequest, entry: LedgerEntry) -> None:
        """Read a stored reply and hand it over, or ask about it again if it cannot be used."""
        if self._open.pop(entry.key, None) is None:  # given up meanwhile
            return
        read = interpret_entry(request.question, entry, request.answer)
        if self._second_asks.is_wanted(request, entry, read):
            self._second_asks.put(request, entry, read)
        else:
            reply = note_origin(read.told, entry, self.rules)
            self.hand_over(request, replace(reply, is_anew=request.is_anew))

    def failed(self, request: InFlightRequest, reason: str, raw: str) -> None:
        """Hand over that there is no reply."""
        self._open.pop(request.key, None)
        self.loop.spawn(self._release([request]))
        self._sender.tally.n_failed += 1
        self.hand_over(request, Reply(None, raw, reason, request.key))

    def stopped(self, error: TacosError, left: Sequence[InFlightRequest]) -> None:
        """Raise `error` to whoever waits for the requests that are left."""
        for request in left:
            self._open.pop(request.key, None)
            self.line.drop(request)
            request.fail(error)
        if left:
            self.loop.spawn(self._release(left))

    def learned(self, form: RequestForm) -> None:
        """Remember what the server accepts."""
        note = (self.ledger, self.endpoint.base, self._name, form)
        self.loop.spawn(self.run_sql(note_form, *note))

    # their parts

    def hand_over(self, request: InFlightRequest, reply: Reply) -> None:
        """Hand over the last reply to a question; stop if it shows that nothing more is to be
        asked.
        """
        error = self.line.settle(request, reply)
        earlier = request.state.paid
        if earlier:
            reply = replace(reply, paid=(*earlier, *reply.paid))
        request.deliver(reply)
        if error is not None:
            self._sender.stop(error)

    def _on_written(self, entries: list[LedgerEntry], error: TacosError | None) -> None:
        """Pass on, from the ledger's thread, that entries are on disk, or why not."""
        self.loop.spawn_soon(self._wake(entries, error))

    async def _wake(
        self, entries: Sequence[LedgerEntry], error: TacosError | None
    ) -> None:
        """Let those go on that wait in `store`."""
        for number, entry in enumerate(entries, start=1):
            stored = self._storing.pop(entry.key)
            if error is None:
                stored.resolve(None)
            else:
                stored.fail(error)
            if number % SLICE == 0:
                await asyncio.sleep(0)

    async def _release(self, requests: Sequence[InFlightRequest]) -> None:
        """Let other processes ask these questions."""
        await self.run_sql(self.ledger.release, _list_keys(requests))

    async def run_sql(self, work: Callable[..., T], *args: object) -> T:
        """Call a function of the ledger off the loop."""
        return await self.loop.asyncio.run_in_executor(self._sql_threads, work, *args)


def fingerprint_model(model: str, settings: LLMSettings) -> str:
    """Part of a stage key: the model, and what is added to or left out of every body.

    Where the model runs is no part of it.
    """
    parts = [f"llm:{model}"]
    parts += [f"{key}={value}" for key, value in sorted(settings.body.items())]
    parts += [f"-{name}" for name in sorted(settings.omit)]
    return " ".join(parts)


def _list_keys(requests: Sequence[InFlightRequest]) -> list[str]:
    return [request.key for request in requests]


def _build_offline_error(
    n_open: int, model: str, *, has_unusable: bool
) -> OfflineError:
    """What is missing where nothing may be sent, and what a person can do."""
    problem = "have no reply in the ledger"
    ways_out = "leave it out, or import the replies first (tacos requests)"
    if has_unusable:
        problem = "have no usable reply in the ledger"
        ways_out += "; with llm.ask_again=false, unusable replies are taken as they are"
    return OfflineError(
        f"{n_open:,} questions to {model} {problem}, and llm.offline=true sends none: {ways_out}"
    )


def _build_double_ask_error(
    keys: Collection[str], batches: Mapping[str, str]
) -> LLMError:
    """Why questions that a batch is about to answer are not asked, and paid for, once more."""
    ids = {batches[key] or "one that is being submitted" for key in keys}
    names = ", ".join(sorted(ids)[:3])
    return LLMError(
        f"{len(keys):,} of these questions are part of a batch ({names}); "
        "`tacos requests batch RUN` waits for its answers, "
        "`tacos requests batch RUN --abandon` cancels it and keeps what was answered"
    )
