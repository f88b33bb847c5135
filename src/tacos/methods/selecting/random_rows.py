"""Random rows: the baseline that every selection stands beside."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def shuffle_rows(n_rows: int, seed: int) -> npt.NDArray[np.int64]:
    """All row numbers in an order drawn by chance."""
    return np.random.default_rng(seed).permutation(n_rows).astype(np.int64)
