"""Which requests of a stage a batch or a file holds next, by the replies that are in.

Online the first answers show what is wrong with all of them; a batch or a file has asked a whole
part before the first answer is read. So the same test is made as soon as a part is in; and where
too many first replies cannot be used, only a few questions are asked again, until it is known
whether that helps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tacos.config import Settings
from tacos.llm.chat.messages import RenderedRequest
from tacos.methods.measures.sequential_test import MIN_ANSWERS, SequentialTest
from tacos.pipeline.answer_watch import StageWatch
from tacos.pipeline.first_questions import shuffle_places
from tacos.pipeline.stage_shapes import PromptStage
from tacos.records import Reply

N_FIRST_REASKS = 20
"""Questions that are asked again before it is known whether that helps."""

Results = Sequence[Reply | RenderedRequest]
"""For each question its reply, or what is open: the question itself, or the re-ask after it."""


def choose_open_requests(
    stage: PromptStage,
    settings: Settings,
    questions: Sequence[RenderedRequest],
    results: Results,
    n_all: int,
) -> dict[str, RenderedRequest]:
    """Key -> request, for the requests to send next. `n_all` are all rows of the stage, those with
    an answer in the input too.
    """
    # A file sorted by source is asked in random order, so that its first part stands for all.
    line = _line_up(questions, results, n_all, settings.seed)
    open_requests = [
        result for *_, result in line if isinstance(result, RenderedRequest)
    ]
    if settings.llm.stop_early and _doubts_reasks(stage, settings, line):
        own_keys = {question.key for question in questions}
        firsts = [request for request in open_requests if request.key in own_keys]
        reasks = [request for request in open_requests if request.key not in own_keys]
        open_requests = firsts + reasks[:N_FIRST_REASKS]
    return {request.key: request for request in open_requests}


def check_replies(
    stage: PromptStage,
    settings: Settings,
    questions: Sequence[RenderedRequest],
    results: Results,
    n_all: int,
) -> None:
    """Raise `FailureRateError` where the replies that are in show that too many of them cannot be
    used; questions that are open, and rows with an answer in the input, count as usable.
    """
    watch = StageWatch(stage, settings, n_all)
    for place, _, result in _line_up(questions, results, n_all, settings.seed):
        if not isinstance(result, Reply):
            continue
        error = watch.answer(place, result)
        if error is not None:
            raise error


class _PlacedQuestion(NamedTuple):
    """A question at its place among all rows of the stage, in random order, and what it came to."""

    place: int
    question: RenderedRequest
    result: Reply | RenderedRequest


def _line_up(
    questions: Sequence[RenderedRequest],
    results: Results,
    n_all: int,
    seed: int,
) -> list[_PlacedQuestion]:
    """The questions in random order; rows that nobody is asked about have places, too."""
    line = []
    for place, number in enumerate(shuffle_places(n_all, seed)):
        if number < len(questions):
            placed = _PlacedQuestion(place, questions[number], results[number])
            line.append(placed)
    return line


def _doubts_reasks(
    stage: PromptStage, settings: Settings, line: Sequence[_PlacedQuestion]
) -> bool:
    """Whether too many first replies cannot be used, and few have been asked about again yet."""
    test = SequentialTest(StageWatch(stage, settings).limit)
    n_reasked = 0
    for place, question, result in line:
        if isinstance(result, Reply):
            has_first_failed = len(result.paid) > 1 or result.text is None
            n_reasked += len(result.paid) > 1
        elif result.key == question.key:
            continue
        else:
            has_first_failed = True
        test.answer(place, failed=has_first_failed)
    return test.has_failed and n_reasked < MIN_ANSWERS
