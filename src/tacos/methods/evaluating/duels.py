"""Duels of two models: each question is judged in both orders, and only both together count.

A judge that prefers whatever stands first wins nothing for either side here: two orders that
contradict each other are a flip, which counts half for each side and is shown. A verdict that
cannot be read is missing, never a tie (FastChat's `show_result.py` and the TACOS authors'
`show_result.py` count it as one).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tacos.methods.evaluating.clustered_means import (
    CONFIDENCE_Z,
    Floats,
    Ints,
    MeanEstimate,
    estimate_mean,
)
from tacos.methods.measures.value_shares import bound_share

Winner = Literal["first", "second", "tie"]
"""The winner by the model's name, not by its place: orders are undone before they come here."""
Outcome = Literal["win", "lose", "tie", "flip"]

OUTCOMES: tuple[Outcome, ...] = ("win", "tie", "flip", "lose")
POINTS: dict[Winner, float] = {"first": 1.0, "tie": 0.5, "second": 0.0}
"""What one verdict is worth to the first model."""


@dataclass(frozen=True, slots=True)
class DuelResult:
    """The result of a duel for its first model.

    `one_sided_ties` are wins and losses in which one order was a tie; `n_missing` are questions
    with an unreadable order, in no figure. `score` is the mean of `POINTS` over both
    orders, from 0 to 1, with an interval clustered by question; None if no question has both.
    """

    outcomes: dict[Outcome, int]
    same: int
    one_sided_ties: int
    n_missing: int
    score: MeanEstimate | None

    @property
    def n(self) -> int:
        """The duels that were judged in both orders."""
        return sum(self.outcomes.values())


def decide_outcome(winner: Winner, other_order: Winner) -> Outcome:
    """What two verdicts about one pair of answers say together.

    >>> decide_outcome("first", "tie"), decide_outcome("first", "second")
    ('win', 'flip')
    """
    wins = {winner, other_order} - {"tie"}
    if not wins:
        return "tie"
    if len(wins) == 2:
        return "flip"
    return "win" if wins == {"first"} else "lose"


def measure_points(winner: Winner, other_order: Winner) -> float:
    """What both verdicts about one pair are worth to the first model, from 0 to 1.

    >>> measure_points("first", "tie"), measure_points("first", "second")
    (0.75, 0.5)
    """
    return (POINTS[winner] + POINTS[other_order]) / 2


def count_duels(
    verdicts: Sequence[tuple[Winner | None, Winner | None]],
    questions: Sequence[int],
) -> DuelResult:
    """The result of the duels `verdicts`: the winners in both orders, None where unreadable.

    `questions` are the numbers of their questions: the turns of one question are a cluster.
    """
    outcomes: Counter[Outcome] = Counter()
    n_same = 0
    n_one_sided = 0
    scores = []
    clusters = []
    for (winner, other_order), question in zip(verdicts, questions, strict=True):
        if winner is None or other_order is None:
            continue
        outcome = decide_outcome(winner, other_order)
        outcomes[outcome] += 1
        n_same += winner == other_order
        n_one_sided += winner != other_order and "tie" in (winner, other_order)
        scores.append(measure_points(winner, other_order))
        clusters.append(question)
    score = _estimate_score(np.array(scores), np.array(clusters)) if scores else None
    return DuelResult(
        outcomes={name: outcomes[name] for name in OUTCOMES},
        same=n_same,
        one_sided_ties=n_one_sided,
        n_missing=len(verdicts) - len(scores),
        score=score,
    )


def _estimate_score(scores: Floats, clusters: Ints) -> MeanEstimate:
    """The mean score; where all are alike, with the interval of a share instead of none at all.

    Three wins of three do not prove that the fourth question would be won.
    """
    estimate = estimate_mean(scores, clusters, (0, 1))
    if estimate.error != 0:
        return estimate
    n = estimate.n_clusters
    n_won = round(estimate.mean * n)
    low, high = bound_share(n_won, n)
    error = (high - low) / (2 * CONFIDENCE_Z)
    return replace(estimate, error=error, low=low, high=high)
