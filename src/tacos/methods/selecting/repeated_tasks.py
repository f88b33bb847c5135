"""Tell whether a row asks the same as a row taken, and is answered alike.

Rows that ask the same share a key (`methods.samples.task_words`); of these, a row is a
near-duplicate of one taken if the cosine of their vectors is above `limit`. Only rows that share a
key with a row taken are encoded.

What it does not know: which of two near-duplicates is the better one. The first one taken stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from tacos.methods.selecting.near_duplicates import Encode, Nearest

HashTask = Callable[[int], Sequence[bytes]]
N_FORESEEN = 20_000
"""Rows that are read ahead at most."""


@dataclass
class RepeatedTasks:
    """The rows taken so far, and the rows refused for their sake.

    `hash_task` gives the keys of a row number, `encode` the unit vectors of row numbers, shape
    (rows, dim). `refused` has each near-duplicate that was asked about, with the row taken that is
    nearest to it.
    """

    hash_task: HashTask
    encode: Encode
    limit: float
    foresee_rows: Callable[[Sequence[int]], None] = lambda rows: None
    refused: dict[int, Nearest] = field(default_factory=dict)
    _taken: dict[bytes, list[int]] = field(default_factory=dict)

    def foresee(
        self,
        rows: Iterable[int],
    ) -> None:
        """Say which rows will probably be asked about, the first ones first."""
        self.foresee_rows(list(islice(rows, N_FORESEEN)))

    def admits(
        self,
        row: int,
    ) -> bool:
        """Whether no row taken asks the same and is answered alike."""
        others = {
            other for key in self.hash_task(row) for other in self._taken.get(key, ())
        }
        if not others:
            return True
        nearest = self._find_nearest(row, sorted(others))
        if nearest.cosine <= self.limit:
            return True
        self.refused[row] = nearest
        return False

    def take(
        self,
        row: int,
    ) -> None:
        """Note that a row was taken."""
        for key in self.hash_task(row):
            self._taken.setdefault(key, []).append(row)

    def _find_nearest(
        self,
        row: int,
        others: Sequence[int],
    ) -> Nearest:
        """The nearest of other rows."""
        vectors = self.encode([row, *others])
        cosines = vectors[1:] @ vectors[0]  # (others,)
        place = int(np.argmax(cosines))
        return Nearest(others[place], float(cosines[place]), len(others))
