"""Rank by each row's own grade, as AlpaGasus does (arXiv 2307.08701): no comparison, no clusters.

AlpaGasus keeps every row with at least 4.5 of 5 points, so its size cannot be chosen; `at_least`
does the same.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tacos.methods.selecting import longest


def rank_by_grade(
    grades: npt.ArrayLike,
    seed: int,
    at_least: float = -np.inf,
) -> npt.NDArray[np.int64]:
    """The row numbers by grade, shape (rows,), best first, equal ones by chance.

    Rows without a grade, or below `at_least`, are left out.
    """
    numbers = np.asarray(grades, np.float64)
    ranked = longest.rank_by_value(
        values=numbers,
        seed=seed,
    )
    ranked_grades = numbers[ranked]
    is_good_enough = ranked_grades >= at_least
    return ranked[is_good_enough]
