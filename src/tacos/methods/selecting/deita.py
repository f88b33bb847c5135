"""DEITA: best first, far enough from what is taken (arXiv 2312.15685, section 2.4).

Rows are sorted by complexity x quality; a row is taken if its largest cosine to a row already taken
is at most `limit`. What a row that was turned away resembles does not matter.

DEITA predicts complexity by a model of its own; here it is the number of tags, so this is
DEITA-style, not DEITA.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tacos.methods.selecting import longest

LIMIT = 0.9
"""The largest cosine to a row that was taken; `walking.walk` keeps to it."""


def rank_by_deita(
    complexity: npt.ArrayLike, quality: npt.ArrayLike, seed: int
) -> npt.NDArray[np.int64]:
    """Row numbers by complexity x quality (not negative), largest first, equal ones by chance,
    whatever they resemble.

    Rows without one of the two are left out.
    """
    return longest.rank_by_value(
        np.asarray(complexity, np.float64) * np.asarray(quality, np.float64), seed
    )
