"""How certain a cut by score is: of the rows above it, how many are truly among the best?

A score is an estimate with a standard error. True scores are taken to be normal with a spread
estimated from the scores themselves (their variance less the mean squared error), so each row's
true score is normal about a value drawn towards the mean: the highest estimates owe part of their
height to luck. A cluster's cut-off t is where the chances of lying above it sum to the k rows that
the cluster gave; the mean of these chances over the k best by score is the recall of its true top k
to be expected.

What it does not know: a bias that all verdicts share (length, a panel that agrees on a fault),
errors that go together, and rows that were never compared. It is about scores alone, not about what
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


class Certainty(NamedTuple):
    """`error`: the median standard error, in points; `recall`: 0..1, of the true best to be
    expected among the `n` best by score (of clusters that had more rows than they gave; None where
    there is none).
    """

    error: float
    recall: float | None
    n: int


def estimate_certainty(scores: pl.DataFrame, taken: Mapping[int, int]) -> Certainty | None:
    """The certainty of a table SCORES of which each cluster gave `taken` rows; None where no error
    is known.
    """
    known = (
        scores.drop_nulls(["score", "error"])
        .filter(pl.col("error") > 0)
        .sort("cluster", "score", "id")
    )
    if known.height < 2:
        return None
    value, error = known["score"].to_numpy(), known["error"].to_numpy()
    spread = np.sqrt(max(0.0, float(np.var(value, ddof=1) - np.mean(error**2))))
    hits, n = 0.0, 0
    for (cluster,), part in known.group_by("cluster", maintain_order=True):
        k = taken.get(int(str(cluster)), 0)
        if 0 < k < part.height:
            hits += _expected_hits(
                part["score"].to_numpy(), part["error"].to_numpy(), k, float(value.mean()), spread
            )
            n += k
    return Certainty(float(np.median(error)), hits / n if n else None, n)


def _expected_hits(score: Floats, error: Floats, k: int, mean: float, spread: float) -> float:
    """How many of the k best by score are to be expected among the true k best; scores of shape
    (rows,), 0 < k < rows.

    >>> _expected_hits(np.array([10.0, 20.0, 30.0, 40.0]), np.full(4, 0.1), 2, 25.0, 10.0)
    2.0
    >>> _expected_hits(np.array([10.0, 20.0, 30.0, 40.0]), np.full(4, 9.0), 2, 25.0, 0.0)
    1.0
    """
    from scipy.optimize import brentq  # a third of a second that not every command needs

    if spread == 0:
        return k * k / len(score)
    weight = spread**2 / (spread**2 + error**2)
    centre, width = mean + weight * (score - mean), error * np.sqrt(weight)
    low, high = float((centre - 9 * width).min()), float((centre + 9 * width).max())
    cut = brentq(lambda t: float(ndtr((centre - t) / width).sum()) - k, low, high)
    best = np.argsort(-score, kind="stable")[:k]
    return float(ndtr((centre[best] - cut) / width[best]).sum())
