"""Shuffle rows: the baseline that stands beside every selection."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def shuffle_rows(
    n_rows: int,
    seed: int,
) -> npt.NDArray[np.int64]:
    """All row numbers in a random order, shape (rows,)."""
    generator = np.random.default_rng(seed)
    return generator.permutation(n_rows).astype(np.int64, copy=False)
