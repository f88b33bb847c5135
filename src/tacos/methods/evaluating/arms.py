"""The arms of an experiment: which rows of a pool each model is trained on.

A selection is worth something if a model trained on it beats models trained on as much other data.
Three others are drawn here: random rows, a new draw for each seed; the rows with the longest
answers (Zhao et al. 2024, arXiv 2402.04833), which are hard to beat; and random rows as long as
those of the selection, which tell what a selection is worth beyond the length of its answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tacos.methods.selecting.longest import rank_by_value
from tacos.methods.selecting.random_rows import shuffle_rows

Ints = npt.NDArray[np.int64]
Unit = Literal["rows", "tokens"]

CALIPER = 0.05
"""A row is as long as another if it is longer or shorter by this share, or by one token."""
MATCHING_STREAM = 1
"""Sets the draws of the matched arm apart from those of the random one with the same seed."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What every arm gets: `amount` rows, or `amount` trained tokens."""

    unit: Unit
    amount: int


@dataclass(frozen=True, slots=True)
class ArmSize:
    """How large an arm is, and how many of its rows the selection has, too."""

    n_rows: int
    n_tokens: int
    n_of_selection: int


def measure_budget(selection: Ints, tokens: Ints, unit: Unit) -> Budget:
    """What the selection takes: `selection` are row numbers, `tokens` (n_pool,) those to train on.

    >>> measure_budget(np.array([0, 2]), np.array([5, 9, 7]), "tokens")
    Budget(unit='tokens', amount=12)
    """
    if unit == "rows":
        return Budget(unit, len(selection))
    return Budget(unit, int(tokens[selection].sum()))


def draw_random_arm(tokens: Ints, budget: Budget, seed: int) -> Ints:
    """Rows drawn at random within the budget; every seed draws others.

    Raises ValueError if the pool is smaller than the budget.
    """
    return _fill_budget(shuffle_rows(len(tokens), seed), tokens, budget)


def take_longest_arm(tokens: Ints, budget: Budget, seed: int) -> Ints:
    """The rows with most tokens within the budget; the seed decides between equal ones.

    Raises ValueError if the pool is smaller than the budget.
    """
    return _fill_budget(rank_by_value(tokens, seed), tokens, budget)


def draw_matched_arm(tokens: Ints, selection: Ints, seed: int) -> Ints:
    """For each row of the selection a random row of the pool that is as long (`CALIPER`).

    Rows of the selection may be drawn, as the random arm may draw them; where the selection has
    nearly all rows of a length, most of them are. So the arm has as many rows as the selection and
    nearly as many tokens, whichever of both is the budget.
    """
    generator = np.random.default_rng((seed, MATCHING_STREAM))
    by_length = np.argsort(tokens, kind="stable")
    lengths = tokens[by_length]
    is_free = np.ones(len(tokens), np.bool_)
    arm = []
    # The longest are rarest: they choose before others take what is like them.
    for row in selection[np.argsort(-tokens[selection], kind="stable")]:
        place = _draw_place(lengths, is_free, int(tokens[row]), generator)
        is_free[place] = False
        arm.append(by_length[place])
    return np.array(arm, np.int64)


def measure_arm(arm: Ints, tokens: Ints, selection: Ints) -> ArmSize:
    """The size of an arm, by the row numbers of it and of the selection."""
    n_common = len(np.intersect1d(arm, selection))
    return ArmSize(len(arm), int(tokens[arm].sum()), n_common)


def _fill_budget(order: Ints, tokens: Ints, budget: Budget) -> Ints:
    """The first rows of an order, as many as come nearest to the budget."""
    amounts = np.ones_like(tokens) if budget.unit == "rows" else tokens[order]
    sums = np.cumsum(amounts)
    n_there = int(sums[-1]) if len(sums) else 0
    if n_there < budget.amount:
        raise ValueError(
            f"the pool has {n_there:,} {budget.unit}, fewer than the {budget.amount:,} of an arm"
        )
    # The row that crosses the budget is taken if that is nearer than to stop before it.
    n_rows = int(np.argmin(np.abs(sums - budget.amount))) + 1
    return order[:n_rows]


def _draw_place(
    lengths: Ints,
    is_free: npt.NDArray[np.bool_],
    length: int,
    generator: np.random.Generator,
) -> int:
    """A free place in the ascending `lengths` whose row is as long, else the nearest free one."""
    room = max(1.0, CALIPER * length)
    first = int(np.searchsorted(lengths, length - room, side="left"))
    last = int(np.searchsorted(lengths, length + room, side="right"))
    places = first + np.flatnonzero(is_free[first:last])
    if len(places):
        return int(generator.choice(places))
    free = np.flatnonzero(is_free)
    return int(free[np.argmin(np.abs(lengths[free] - length))])
