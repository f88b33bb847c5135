"""The longest responses first: the baseline that is hard to beat (Zhao et al. 2024, arXiv
2402.04833) and easy to mistake.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tacos.methods.selecting import random_rows


def rank_by_value(values: npt.ArrayLike, seed: int) -> npt.NDArray[np.int64]:
    """The row numbers by `values` (lengths), largest first, equal ones by chance; rows whose value
    is missing are left out.
    """
    numbers = np.asarray(values, np.float64)
    drawn = random_rows.shuffle_rows(len(numbers), seed)
    by_value = drawn[np.argsort(-numbers[drawn], kind="stable")]
    return by_value[np.isfinite(numbers[by_value])]
