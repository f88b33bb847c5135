"""Rank the longest responses first: a baseline that is hard to beat (Zhao et al. 2024).

See arXiv 2402.04833. What it does not know: anything but length.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tacos.methods.selecting import random_rows


def rank_by_value(
    values: npt.ArrayLike,
    seed: int,
) -> npt.NDArray[np.int64]:
    """The row numbers by `values` (lengths), shape (rows,), largest first, equal ones by chance.

    Rows whose value is missing (NaN) are left out.
    """
    numbers = np.asarray(values, np.float64)
    # A stable sort of shuffled rows leaves equal values in their random order.
    shuffled = random_rows.shuffle_rows(len(numbers), seed)
    ranked = shuffled[np.argsort(-numbers[shuffled], kind="stable")]
    del shuffled
    is_known = np.isfinite(numbers[ranked])
    return ranked if is_known.all() else ranked[is_known]


def take_largest(
    values: npt.NDArray[Any],
    n: int,
    seed: int,
) -> npt.NDArray[np.int64]:
    """The first `n` row numbers of `rank_by_value`, of `values` that are all known; only the rows
    that can be among them are sorted.
    """
    n_rows = len(values)
    if n == 0 or n >= n_rows:
        return rank_by_value(values, seed)[:n]
    least = np.partition(values, n_rows - n)[n_rows - n]
    is_candidate: npt.NDArray[np.bool_] = values >= least
    candidates = random_rows.shuffle_rows(n_rows, seed)
    candidates = candidates[is_candidate[candidates]]
    order = np.argsort(-values[candidates].astype(np.float64), kind="stable")
    return candidates[order[:n]]
