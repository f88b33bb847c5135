"""What of the two embedded judges is chosen rather than fitted: the fast one and the close one.

The weights, noises and costs were chosen by cross-validation on the graded rows themselves, see
`benchmarks/RESULTS.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tacos.models.training import spoilt_responses


@dataclass(frozen=True)
class BlockRecipe:
    """A block of columns: its weight in a squared distance, and its principal axes (0: none).

    Each column is divided by its own spread, or, with `common_spread`, all by the largest, so that
    the first axes count most. With `tells_kinds`, the axes are those that tell kinds of data apart
    (linear discriminants, after `n_axes` principal ones): what is good differs by kind, and so rows
    learn from rows of their own kind. `columns` names other columns than those of the block's name.
    """

    weight: float
    n_axes: int = 0
    common_spread: bool = False
    tells_kinds: bool = False
    columns: str = ""


class CopyCosts(NamedTuple):
    """What a spoilt copy should cost each number, in normal scores, and how noisy that is."""

    value: float
    correctness: float
    noise: float


@dataclass(frozen=True)
class JudgeRecipe:
    """What is chosen rather than fitted."""

    blocks: Mapping[str, BlockRecipe]
    source_noise: Mapping[str, float]
    """How noisy the grades of a source are taken to be; 1 for the others."""
    copies: Mapping[str, float] | None = None
    """Which shares of the spoilt copies are enough, see `spoilt_responses.draw_contrasts`."""
    copy_noise: float = 1.0
    """The noise of spoilt copies, as a multiple of what `WAYS` says."""
    costs: Mapping[str, CopyCosts] = field(default_factory=dict)
    """Other costs of some ways of spoiling than those that `WAYS` says."""
    score_share: float = 0.0
    """What the grade `score`, which is nearly correctness, counts in the target of correctness."""
    gamma: float = 0.4
    noise: float = 1.0
    correction: float = 0.1
    """The noise of rows in the second step, as a multiple of the first step's."""
    terms: float = 0.2
    """What the linear kernel of the token terms weighs."""


FAST = JudgeRecipe(
    blocks={
        "features": BlockRecipe(2.0),
        "instruction": BlockRecipe(0.4, n_axes=64),
        "response": BlockRecipe(0.4, n_axes=64),
    },
    source_noise={
        "alpaca": 0.67,
        "zh": 2.0,
        "code": 2.0,
        "lima": 2.0,
        "pandalm-1": 2.0,
        "pandalm-2": 2.0,
    },
    correction=0.05,
    # What is left out of an answer shows in its value; correctness hears of it as little as it can.
    costs={
        "another's answer": CopyCosts(0.95, 0.9, noise=2.0),
        "half": CopyCosts(0.9, 0.4, noise=0.7),
        "cut": CopyCosts(0.5, 0.2, noise=1.0),
        "first sentence": CopyCosts(0.3, 0.0, noise=8.0),
    },
    score_share=0.5,
)
CLOSE = JudgeRecipe(
    blocks={
        "features": BlockRecipe(0.235),
        "instruction": BlockRecipe(0.044, n_axes=64),
        "response": BlockRecipe(0.044, n_axes=64),
        "response states": BlockRecipe(0.235, n_axes=200, common_spread=True),
        "question states": BlockRecipe(0.5, n_axes=200, common_spread=True),
        "kind of response": BlockRecipe(
            0.36,
            n_axes=150,
            common_spread=True,
            tells_kinds=True,
            columns="response states",
        ),
        "kind of instruction": BlockRecipe(
            0.21,
            n_axes=150,
            common_spread=True,
            tells_kinds=True,
            columns="instruction states",
        ),
    },
    source_noise={
        "alpaca": 0.7,
        "coachlm-raw": 0.7,
        "coachlm-revised": 1.0,
        "dolly": 2.8,
        "lima": 2.8,
        "zh": 1.4,
        "code": 1.4,
        "pandalm-1": 1.4,
        "pandalm-2": 1.4,
    },
    # Reading copies takes time. It notices most of them by itself, but not another's answer.
    copies=dict.fromkeys(spoilt_responses.WAYS, 0.25)
    | {"another's answer": 1.0, "half": 1.0, "first sentence": 0.7},
    copy_noise=0.7,
    costs={
        "another's answer": CopyCosts(0.95, 0.95, noise=1.8),
        "half": CopyCosts(1.3, 0.15, noise=0.5),
        "cut": CopyCosts(0.7, 0.3, noise=0.8),
        "first sentence": CopyCosts(1.1, 0.0, noise=2.0),
    },
    score_share=0.3,
    gamma=0.7,
    correction=0.05,
    terms=0.03,
)


def find_copy_costs(name: str, recipe: JudgeRecipe) -> CopyCosts:
    """Find what a way of spoiling costs under this recipe."""
    if name in recipe.costs:
        return recipe.costs[name]
    way = spoilt_responses.WAYS[name]
    return CopyCosts(way.value_cost, way.correctness_cost, way.noise)
