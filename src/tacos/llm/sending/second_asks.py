"""Questions that are asked a second time: again, with what is wrong with the answer, or anew, since
the ledger has only unusable answers of earlier commands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from tacos.llm.chat.messages import render_reask
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.ledger.lookup import ReadEntry, read_payment
from tacos.llm.ledger.reply_rules import ReplyRules
from tacos.llm.ledger.schema import LedgerEntry
from tacos.llm.sending.decisions import ClientTally
from tacos.llm.sending.event_loop import EventLoopThread
from tacos.llm.sending.question_line import QuestionLine
from tacos.llm.sending.requests_in_flight import InFlightRequest
from tacos.records import Reply


class Asker(Protocol):
    """Whoever asks: the client. Its ways are used on the loop's thread."""

    ledger: Ledger
    rules: ReplyRules
    line: QuestionLine
    loop: EventLoopThread

    @property
    def tally(self) -> ClientTally: ...

    async def ask_each_once(
        self,
        requests: Sequence[InFlightRequest],
        *,
        first: bool = False,
        anew: bool = False,
    ) -> None: ...

    def hand_over(self, request: InFlightRequest, reply: Reply) -> None: ...

    def run_sql(self, work: Callable[..., Any], *args: object) -> Awaitable[Any]: ...


class SecondAsks:
    """Gathers the second asks of a turn of the loop, and has them asked together."""

    def __init__(self, asker: Asker) -> None:
        self.asker = asker
        self._reasks: list[tuple[InFlightRequest, Reply]] = []
        self._renewals: list[InFlightRequest] = []

    def is_wanted(
        self, request: InFlightRequest, entry: LedgerEntry, read: ReadEntry
    ) -> bool:
        """Whether a question is to be asked a second time after this answer."""
        is_reask = read.is_worth_reask and not request.is_final
        return is_reask or self._is_renewable(request, entry, read)

    def put(
        self, request: InFlightRequest, entry: LedgerEntry, read: ReadEntry
    ) -> None:
        """Ask such a question, with the others of this turn."""
        request.state.paid.append(read_payment(entry))
        if read.is_worth_reask and not request.is_final:
            self._put_reask(request, entry, read.reply)
        else:
            self._put_renewal(request)

    def _is_renewable(
        self, request: InFlightRequest, entry: LedgerEntry, read: ReadEntry
    ) -> bool:
        """Whether the question is to be asked anew, since nothing in the ledger answers it."""
        is_to_be_renewed = read.is_to_be_renewed(self.asker.rules, entry)
        return is_to_be_renewed and request.renewable is not None

    # Again, with what is wrong

    def _put_reask(
        self, request: InFlightRequest, entry: LedgerEntry, reply: Reply
    ) -> None:
        rendered = render_reask(request.question, reply.raw, reply.failure)
        # After an answer of this command nothing is left to be asked anew.
        is_old = self.asker.rules.is_stale(entry)
        again = InFlightRequest(
            rendered,
            request.places,
            is_final=True,
            renewable=request.renewable if is_old else None,
            is_anew=request.is_anew,
            state=request.state,
        )
        self.asker.line.note_reask(again)
        self._reasks.append((again, reply))
        if len(self._reasks) == 1:
            self.asker.loop.spawn(self._ask_reasks())

    async def _ask_reasks(self) -> None:
        pairs = self._reasks
        self._reasks = []
        requests = [request for request, _ in pairs]
        try:
            if not self.asker.rules.asks_again:
                requests = await self._keep_answered(pairs)
            self.asker.tally.n_asked_again += len(requests)
            # At once: what is wrong with nearly every answer shows before all rows are asked.
            await self.asker.ask_each_once(requests, first=True)
        except Exception as error:
            for request in requests:
                request.fail(error)
            raise

    async def _keep_answered(
        self, pairs: Sequence[tuple[InFlightRequest, Reply]]
    ) -> list[InFlightRequest]:
        """The re-asks that the ledger answers; the others' unusable replies are handed over."""
        keys = [request.key for request, _ in pairs]
        entries = await self.asker.run_sql(self.asker.ledger.get, keys)
        answered = []
        for request, reply in pairs:
            if request.key in entries:
                answered.append(request)
            else:
                self.asker.hand_over(request, reply)
        return answered

    # Anew

    def _put_renewal(self, request: InFlightRequest) -> None:
        assert request.renewable is not None
        anew = InFlightRequest(
            request.renewable,
            request.places,
            is_anew=True,
            state=request.state,
        )
        self._renewals.append(anew)
        if len(self._renewals) == 1:
            self.asker.loop.spawn(self._ask_renewals())

    async def _ask_renewals(self) -> None:
        requests = self._renewals
        self._renewals = []
        self.asker.tally.n_asked_anew += len(requests)
        try:
            # The old replies make room once the new ones are there, if any come.
            await self.asker.ask_each_once(requests, anew=True)
        except Exception as error:
            for request in requests:
                request.fail(error)
            raise
