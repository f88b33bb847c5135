"""DEITA: best first, far enough from what is taken (arXiv 2312.15685, section 2.4).

Rows are sorted by complexity x quality; a row is taken if its largest cosine to a row already taken is at most `limit`.
What a row that was turned away resembles does not matter.

DEITA predicts complexity by a model of its own; here it is the number of tags, so this is DEITA-style, not DEITA.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tacos.methods.selecting import longest
from tacos.methods.selecting.walking import walk

LIMIT = 0.9


def order(
    complexity: npt.ArrayLike,
    quality: npt.ArrayLike,
    vectors: npt.NDArray[np.float32],
    n: int,
    seed: int,
    limit: float = LIMIT,
) -> npt.NDArray[np.int64]:
    """At most n row numbers in the order taken; rows without a complexity or a quality are left out.

    `quality` must not be negative; `vectors` are unit vectors, shape (rows, dim).
    """
    return walk(ranking(complexity, quality, seed), n, vectors=vectors, limit=limit)


def ranking(complexity: npt.ArrayLike, quality: npt.ArrayLike, seed: int) -> npt.NDArray[np.int64]:
    """All row numbers by complexity x quality, largest first, equal ones by chance, whatever they resemble."""
    return longest.order(np.asarray(complexity, np.float64) * np.asarray(quality, np.float64), seed)
