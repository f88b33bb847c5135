"""Duels of the models of two arms: whether those of one arm win more than half of the points.

A model of each arm is trained with every seed, and both of a seed answer the same questions; so a
duel has a matrix of scores, seed by question, and half a point is what nobody wins by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tacos.methods.evaluating.arm_differences import ArmDifference, compare_arms
from tacos.methods.evaluating.duel_summary import JudgedDuel
from tacos.methods.evaluating.duels import measure_points

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HALF = 0.5


def score_duels(duels: Sequence[JudgedDuel]) -> Floats:
    """The points of the first model in each duel, from 0 to 1, shape (n,).

    Raises ValueError if an order has no readable winner: what is missing is no tie.
    """
    scores = []
    for duel in duels:
        winner, other_order = duel.winners
        if winner is None or other_order is None:
            raise ValueError("a duel has no readable winner in both orders")
        scores.append(measure_points(winner, other_order))
    return np.array(scores)


def compare_duels(
    scores: Floats,
    questions: Ints,
    seed: int,
    n_other_seeds: int,
) -> ArmDifference:
    """By how much `scores`, shape (n_seeds, n_questions), lie above one half.

    `questions` (n_questions,) are the numbers of their clusters. Every row has a model of its own
    on both sides, so its scatter is that of both; against one single model (`n_other_seeds` is 1)
    it is not known, and neither is an interval. A model before training has no other seed: give 0
    for it.
    """
    half = np.full((1, scores.shape[1]), HALF)
    difference = compare_arms(scores, half, questions, seed, is_trained=False)
    if n_other_seeds != 1:
        return replace(difference, n_other_seeds=n_other_seeds)
    return ArmDifference(
        difference.difference,
        error=None,
        freedom=None,
        low=None,
        high=None,
        p_value=None,
        n_seeds=difference.n_seeds,
        n_other_seeds=1,
        n_items=difference.n_items,
    )
