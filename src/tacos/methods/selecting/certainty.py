"""Estimate how certain a cut by score is: how many rows above it are truly among the best.

A score is an estimate with a standard error. True scores are taken to be normal, with a spread
estimated from the scores themselves (their variance less the mean squared error). Each row's true
score is then normal around a value shrunk towards the mean: the highest estimates owe part of their
height to luck. A cluster's cut-off t is where the probabilities of lying above it sum to the k rows
that the cluster gives; the mean of these probabilities over the k best by score is the expected
recall of its true top k.

What it does not know: a bias that all verdicts share (length, a panel that agrees on a fault),
correlated errors, and rows that were never compared. It is about scores alone, not about what
covering tags is worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import ndtr

Floats = npt.NDArray[np.float64]
N_DEVIATIONS = 9
"""Standard deviations from a row's centre beyond which its true score does not lie."""


class Certainty(NamedTuple):
    """`error`: the median standard error, in points. `recall`: 0..1, the share of the true best
    expected among the `n` best by score, over the clusters that have more rows than they give; None
    if there are none.
    """

    error: float
    recall: float | None
    n: int


def estimate_certainty(
    scores: pl.DataFrame,
    taken: Mapping[int, int],
) -> Certainty | None:
    """The certainty of a table SCORES of which each cluster gives `taken` rows.

    None if no error is known.
    """
    complete = scores.drop_nulls(["score", "error"])
    uncertain = complete.filter(pl.col("error") > 0)
    ordered = uncertain.sort("cluster", "score", "id")
    if ordered.height < 2:
        return None
    score = ordered["score"].to_numpy()
    error = ordered["error"].to_numpy()
    mean = float(score.mean())
    spread = _estimate_spread(score, error)

    expected = 0.0
    n_taken = 0
    for (cluster,), part in ordered.group_by("cluster", maintain_order=True):
        k = taken.get(int(str(cluster)), 0)
        # A cluster that gives all or nothing makes no cut.
        if not 0 < k < part.height:
            continue
        expected += _expected_hits(
            part["score"].to_numpy(),
            part["error"].to_numpy(),
            k,
            mean,
            spread,
        )
        n_taken += k
    return Certainty(
        error=float(np.median(error)),
        recall=expected / n_taken if n_taken else None,
        n=n_taken,
    )


def _estimate_spread(
    score: Floats,
    error: Floats,
) -> float:
    """The standard deviation of true scores: that of the scores less what noise adds."""
    total = float(np.var(score, ddof=1) - np.mean(error**2))
    return float(np.sqrt(max(0.0, total)))


def _expected_hits(
    score: Floats,
    error: Floats,
    k: int,
    mean: float,
    spread: float,
) -> float:
    """How many of the k best by score are expected among the true k best, 0 < k < rows.

    `score` and `error` have shape (rows,).

    >>> _expected_hits(np.array([10.0, 20.0, 30.0, 40.0]), np.full(4, 0.1), 2, 25.0, 10.0)
    2.0
    >>> _expected_hits(np.array([10.0, 20.0, 30.0, 40.0]), np.full(4, 9.0), 2, 25.0, 0.0)
    1.0
    """
    # Takes a third of a second to import, which not every command needs.
    from scipy.optimize import brentq

    # All rows equally good: any k of them hit as often as chance has it.
    if spread == 0:
        return k * k / len(score)

    # The posterior of each true score: normal with these centres and widths.
    weight = spread**2 / (spread**2 + error**2)
    centre = mean + weight * (score - mean)
    width = error * np.sqrt(weight)

    def excess(cut: float) -> float:
        """The expected number of rows above the cut, less k."""
        chances = ndtr((centre - cut) / width)
        return float(chances.sum()) - k

    lowest = centre - N_DEVIATIONS * width
    highest = centre + N_DEVIATIONS * width
    low = float(lowest.min())
    high = float(highest.max())
    cut = brentq(excess, low, high)

    # Stable, so that equal scores are taken in the order of the table.
    order = np.argsort(-score, kind="stable")
    best = order[:k]
    chances_of_best = ndtr((centre[best] - cut) / width[best])
    return float(chances_of_best.sum())
