"""Sorts whole numbers that stand for a text and something in it.

numpy's usual sort takes a quarter of the time of its stable one with AVX-512, half of it with AVX2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[Any]
Numbers = npt.NDArray[np.int64]


def sort_keys(keys: Keys) -> Keys:
    """Sort keys (n,)."""
    return np.sort(keys)


def sort_distinct(keys: Keys) -> Keys:
    """Sort keys, each once."""
    ordered = sort_keys(keys)
    return np.asarray(ordered[find_starts(ordered)])


def count_distinct(keys: Keys) -> tuple[Keys, Numbers]:
    """The distinct keys, sorted, and how often each occurs.

    >>> keys, counts = count_distinct(np.array([7, 3, 7]))
    >>> keys.tolist(), counts.tolist()
    ([3, 7], [1, 2])
    """
    ordered = sort_keys(keys)
    starts = find_starts(ordered)
    return ordered[starts], np.diff(starts, append=len(ordered))


def find_starts(ordered: Keys) -> Numbers:
    """The place of each key's first one, of keys in order."""
    is_first = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    return np.flatnonzero(is_first)
