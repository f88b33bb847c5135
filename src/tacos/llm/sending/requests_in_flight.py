"""A request on its way, and the batch of replies that it belongs to."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from tacos.llm.chat.envelope import ChatReply
from tacos.llm.chat.messages import RenderedRequest
from tacos.llm.chat.request_form import RequestForm
from tacos.llm.cost.budget import NOTHING, Cost
from tacos.records import PaidReply, Reply


class ReplyBatch:
    """The replies to one `answer` call: filled on the loop's thread, awaited on another one."""

    def __init__(self, n: int) -> None:
        self.replies: list[Reply | None] = [None] * n
        self.error: Exception | None = None
        self.is_complete = threading.Event()
        self._n_missing = n
        if n == 0:
            self.is_complete.set()

    def fill(self, place: int, reply: Reply) -> None:
        """Take the reply to one request; a second one for the same request is ignored."""
        if self.replies[place] is None:
            self.replies[place] = reply
            self._n_missing -= 1
        if self._n_missing == 0:
            self.is_complete.set()

    def fail(self, error: Exception) -> None:
        """End the waiting: there will be no more replies."""
        self.error = self.error or error
        self.is_complete.set()

    def wait(self) -> list[Reply]:
        """All replies, once they are there. Raises the error that stopped them."""
        self.is_complete.wait()
        if self.error is not None:
            raise self.error
        return [reply for reply in self.replies if reply is not None]


@dataclass(slots=True)
class QuestionState:
    """How far a question is; see `tacos.llm.sending.question_line`."""

    place: int | None = None
    """Its place among the first questions of its stage (`Request.place`)."""
    is_open: bool = False
    """Whether it has been sent, and has no last reply yet."""
    is_reasked: bool = False
    """Whether it is asked again, because its first answer could not be used."""
    paid: list[PaidReply] = field(default_factory=list)
    """Replies to it that could not be used."""


@dataclass(slots=True, eq=False)
class InFlightRequest:
    """One question, who waits for its answer, and what has happened to it so far."""

    question: RenderedRequest
    places: list[tuple[ReplyBatch, int]]
    """The batches that wait for the reply, and its place in each."""
    is_group: bool = False
    """Whether it asks several questions: those that it leaves open are asked alone."""
    is_final: bool = False
    """Whether an unusable answer is accepted: this is the re-ask after one, or none is wanted."""
    renewable: RenderedRequest | None = None
    """The question to ask anew where what the ledger has on it cannot be used."""
    is_anew: bool = False
    """Whether this is such a question, or the re-ask after it."""
    n_tries: int = 0
    n_waits: int = 0
    """How often it was refused for lack of room."""
    sent_at: float = 0.0
    """The loop's time when it was last sent; 0 before the first time."""
    form: RequestForm | None = None
    """The form it was last sent in."""
    trial: RequestForm | None = None
    """A simpler form that it is sent in alone, to see whether the server takes that."""
    n_forms: int = 0
    """How often the server refused its form."""
    n_without_choice: int = 0
    """How often it was answered without any choice."""
    n_bytes: int = 0
    expected_tokens: float = 0.0
    max_cost: Cost = NOTHING
    """Set aside in the budget while it is in flight."""
    answer: ChatReply | None = None
    """What the server answered, once it has."""
    state: QuestionState = field(default_factory=QuestionState)
    """Shared by all requests about its question."""
    key: str = field(init=False)
    """The ledger key."""

    def __post_init__(self) -> None:
        self.key = self.question.key

    def deliver(self, reply: Reply) -> None:
        """Hand the reply to everyone who waits."""
        for batch, place in self.places:
            batch.fill(place, reply)

    def fail(self, error: Exception) -> None:
        """Tell everyone who waits that no reply will come."""
        for batch, _ in self.places:
            batch.fail(error)
