"""Cuts texts into batches of similar length, so that little is padded."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


def cut_batches(lengths: Rows, size: int) -> list[Rows]:
    """Return row numbers, shortest rows first, in batches of at most `size` tokens with padding.

    >>> [rows.tolist() for rows in cut_batches(np.array([9, 2, 3, 2]), 6)]
    [[1, 3], [2], [0]]
    """
    if not len(lengths):
        return []
    batches: list[Rows] = []
    order = np.argsort(lengths, kind="stable")
    start = 0
    for position, row in enumerate(order):
        n_rows = position + 1 - start
        # This row is the longest so far, and all others would be padded to it.
        n_tokens = n_rows * lengths[row]
        if n_rows > 1 and n_tokens > size:
            batch = order[start:position]
            batches.append(batch)
            start = position
    batches.append(order[start:])
    return batches
