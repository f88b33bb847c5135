"""Rank the longest responses first: a baseline that is hard to beat (Zhao et al. 2024).

See arXiv 2402.04833. What it does not know: anything but length.
"""

from __future__ import annotations

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
