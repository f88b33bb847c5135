"""The duels of an experiment: the models of the selection against those of every other arm.

Each model of the selection meets the model of the other arm with the same seed, or its only one. A
judge that took part in the selection is circular, and that is said with every figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tacos.config import Settings
from tacos.llm.ledger.location import LedgerLocation
from tacos.methods.evaluating import duel_questions
from tacos.methods.evaluating.arm_duels import Floats, Ints, score_duels
from tacos.methods.evaluating.duel_summary import (
    DuelSummary,
    JudgedDuel,
    summarise_duels,
)
from tacos.methods.evaluating.questions import AnsweredQuestion
from tacos.pipeline.model_factory import resolve_evaluation_judge
from tacos.pipeline.run_loop import Progress
from tacos.workflows.duel_judging import (
    judge_pairs,
    list_circles,
    require_all,
    suggest_remedy,
)
from tacos.workflows.selection import Selection

Answers = Mapping[int, Sequence[AnsweredQuestion]]
"""Seed -> what its model answered."""


@dataclass(frozen=True)
class ArmDuels:
    """The duels of an arm against others.

    `scores` have shape (n_seeds, n_questions) for each other arm, `questions` (n_questions,) are
    the numbers of their questions.
    """

    scores: dict[str, Floats]
    questions: Ints
    summaries: dict[str, DuelSummary]
    """Each other arm: all its duels, the same question by another seed as a further turn of it."""
    circular: tuple[str, ...]


def duel_arms(
    name: str,
    answers: Answers,
    others: Mapping[str, Answers],
    settings: Settings,
    ledger: LedgerLocation | None,
    progress: Progress,
    *,
    selected_by: Sequence[Selection],
) -> ArmDuels:
    """Have a judge compare the models of the arm `name` with those of every other arm.

    Raises:
        ConfigError: No judge is named.
        IncompleteError: A question was not judged in both orders; what was judged is in the ledger.
        InputError: Two models did not answer the same questions.
    """
    scores = {}
    summaries = {}
    all_duels: list[JudgedDuel] = []
    for other, other_answers in others.items():
        rows = []
        duels: list[JudgedDuel] = []
        for number, (seed, own) in enumerate(answers.items(), 1):
            theirs = _choose_model(other_answers, seed)
            pairs = _name_arms(duel_questions.pair_answers(own, theirs), name, other)
            judged = judge_pairs(pairs, settings, ledger, progress)
            require_all(judged.duels, suggest_remedy(judged.reasons), judged.reasons)
            rows.append(score_duels(judged.duels))
            duels += [replace(duel, turn=number) for duel in judged.duels]
        scores[other] = np.stack(rows)
        (summaries[other],) = summarise_duels(duels)
        all_duels += duels
    judge = resolve_evaluation_judge(settings, settings.duel.model)
    n_questions = len(next(iter(answers.values())))
    return ArmDuels(
        scores=scores,
        questions=np.arange(n_questions),
        summaries=summaries,
        circular=tuple(list_circles(judge, all_duels, selected_by)),
    )


def _choose_model(answers: Answers, seed: int) -> Sequence[AnsweredQuestion]:
    """The answers of the model with a seed, or of the only one."""
    if len(answers) == 1:
        return next(iter(answers.values()))
    return answers[seed]


def _name_arms(
    pairs: Sequence[tuple[AnsweredQuestion, AnsweredQuestion]],
    name: str,
    other: str,
) -> list[tuple[AnsweredQuestion, AnsweredQuestion]]:
    """The pairs under the names of their arms: all models of an arm are one side."""
    return [
        (replace(answer, model=name), replace(theirs, model=other))
        for answer, theirs in pairs
    ]
