"""Tell which rows a selection by gain can reach, so that a large pool needs little memory.

As long as fewer than m rows have been asked about, one of the m best by quality is left, and its
gain is at least its quality. The gain of a row is at most its quality and the price of all its
tags. So a row for which that bound is below the quality of the m-th best row comes after the first
m rows, whatever tags are covered by then: leaving it out changes nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

SLACK = 1e-6
"""Keeps rounding from leaving out a row."""


def flag_reachable(
    ids: pl.Series,
    quality: Floats,
    n_tags: Floats,
    n_asked: int,
    highest_price: float,
) -> Bools:
    """Whether each row, shape (rows,), can be among the first `n_asked` ids asked about, at
    whatever price of a tag up to the highest one.

    >>> ids = pl.Series(["a", "b", "c"])
    >>> quality, n_tags = np.array([9.0, 5.0, 1.0]), np.array([1.0, 2.0, 2.0])
    >>> flag_reachable(ids, quality, n_tags, n_asked=1, highest_price=3.0).tolist()
    [True, True, False]
    """
    least = _find_least_quality(ids, quality, n_asked)
    bound = quality + highest_price * n_tags
    return np.asarray(bound >= least - SLACK)


def _find_least_quality(
    ids: pl.Series,
    quality: Floats,
    n_ids: int,
) -> float:
    """The quality of the worst of the `n_ids` best ids; of all rows where there are fewer."""
    n_rows = n_ids
    while n_rows < len(quality):
        # The best rows, in any order.
        best = np.argpartition(-quality, n_rows - 1)[:n_rows]
        # An id may stand in several clusters.
        if ids[best.tolist()].n_unique() >= n_ids:
            return float(quality[best].min())
        n_rows *= 2
    return float(quality.min(initial=np.inf))
