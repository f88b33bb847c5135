"""The line of a stage's questions: how many may be open, and who is told what becomes of each.

A question is open from its first request until its last reply is on disk: an unusable answer is
asked about again, and a reply takes its time to be stored. Both hide for a while that the answers
cannot be used, so at the beginning of a stage few questions are open.
"""

from __future__ import annotations

from tacos.errors import TacosError
from tacos.llm.sending.requests_in_flight import InFlightRequest
from tacos.records import AnswerWatch, Reply

MAX_UNPROVEN = 16
"""Questions of a stage that are open before an answer to one of them could be used."""
MAX_REASKED = 16
N_CAREFUL = 400
"""Until so many questions of a stage have their last reply, no new one is asked while `MAX_REASKED`
others are asked again, or while as many are open as may be in flight.
"""


class QuestionLine:
    """The questions of one client; used on the loop's thread."""

    def __init__(self) -> None:
        self._watch: AnswerWatch | None = None
        self._n_open = 0
        self._n_reasked = 0
        # since the stage began
        self._n_settled = 0
        self._is_proven = False

    def begin(self, watch: AnswerWatch) -> None:
        """Begin a stage: `watch` is told of its questions."""
        self._watch = watch
        self._n_settled = 0
        self._is_proven = False

    def admit(self, request: InFlightRequest, n_places: int) -> bool:
        """Whether a request may go now, where `n_places` may be in flight; if so, its question is
        open.
        """
        state = request.state
        if state.is_open:
            return True
        if not self._is_proven and self._n_open >= MAX_UNPROVEN:
            return False
        is_behind = self._n_reasked >= MAX_REASKED or self._n_open >= n_places
        if self._n_settled < N_CAREFUL and is_behind:
            return False
        state.is_open = True
        self._n_open += 1
        return True

    def note_reask(self, request: InFlightRequest) -> None:
        """An unusable answer to a question is asked about again."""
        state = request.state
        # A question whose first answer came from the ledger is not open: it goes in like a new one.
        if state.is_open and not state.is_reasked:
            state.is_reasked = True
            self._n_reasked += 1

    def settle(self, request: InFlightRequest, reply: Reply) -> TacosError | None:
        """A question has its last reply; an error where nothing more is to be asked."""
        self.drop(request)
        self._n_settled += 1
        self._is_proven = self._is_proven or reply.text is not None
        if self._watch is None or request.is_group:
            return None
        return self._watch.answer(request.state.place, reply)

    def drop(self, request: InFlightRequest) -> None:
        """A question is open no more."""
        state = request.state
        self._n_open -= state.is_open
        self._n_reasked -= state.is_reasked
        state.is_open = False
        state.is_reasked = False
