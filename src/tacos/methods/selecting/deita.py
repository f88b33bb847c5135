"""Rank by DEITA: best first, and far enough from what is selected (arXiv 2312.15685, section 2.4).

Rows are sorted by complexity x quality. A row is taken if its largest cosine similarity to a row
already taken is at most `LIMIT`; similarity to rows that were passed by does not matter.

DEITA predicts complexity with a model of its own. Here it is the number of tags, so this is
DEITA-style, not DEITA.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tacos.methods.selecting import longest

LIMIT = 0.9
"""The largest cosine similarity to a row taken; `preference_walk.walk_preference` enforces it."""


def rank_by_deita(
    complexity: npt.ArrayLike,
    quality: npt.ArrayLike,
    seed: int,
) -> npt.NDArray[np.int64]:
    """Row numbers by complexity x quality, largest first, equal ones by chance.

    Both have shape (rows,) and are not negative. Rows without one of the two are left out.
    Similarity is not looked at here.
    """
    complexities = np.asarray(complexity, np.float64)
    qualities = np.asarray(quality, np.float64)
    # NaN times anything is NaN: a row without one of the two has no product.
    products = complexities * qualities
    return longest.rank_by_value(
        values=products,
        seed=seed,
    )
