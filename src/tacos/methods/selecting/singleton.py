"""Each row's own grade, best first, as AlpaGasus does it (arXiv 2307.08701): no comparison, no
clusters.

AlpaGasus keeps every row with at least 4.5 of 5 points and so cannot be asked for a number of rows;
`at_least` does the same.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tacos.methods.selecting import longest


def rank_by_grade(
    grades: npt.ArrayLike, seed: int, at_least: float = -np.inf
) -> npt.NDArray[np.int64]:
    """The row numbers by grade, best first, equal ones by chance; rows without a grade, or below
    `at_least`, are left out.
    """
    numbers = np.asarray(grades, np.float64)
    by_grade = longest.rank_by_value(numbers, seed)
    return by_grade[numbers[by_grade] >= at_least]
