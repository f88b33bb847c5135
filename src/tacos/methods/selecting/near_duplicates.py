"""Tell whether a row is a near-duplicate of a row taken, without encoding rows nobody asks about.

A row is a near-duplicate if the cosine of its vector to that of a row taken is above `limit`.
Vectors are made when a row is first asked about, together with those of the rows that are likely
to be asked about next (`foresee`), and a block of rows is compared with all rows taken in one
matrix product.

What it does not know: which of two near-duplicates is the better one. The first one taken stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Encode = Callable[[Sequence[int]], Vectors]
BLOCK = 256
"""Rows that are encoded, and compared with the rows taken, at once."""
TAKEN_BLOCK = 8192


class Nearest(NamedTuple):
    """The row taken that is nearest to a row (-1: none was compared), its cosine, and how many rows
    taken have been compared.
    """

    row: int = -1
    cosine: float = -1.0
    n_compared: int = 0


@dataclass
class NearDuplicates:
    """The rows taken so far, and the rows refused for their sake.

    `encode` gives the unit vectors of row numbers, shape (rows, dim); a vector of zeros is like no
    other. `refused` has each near-duplicate that was asked about, with the row taken that is
    nearest to it.
    """

    encode: Encode
    limit: float
    refused: dict[int, Nearest] = field(default_factory=dict)
    _expected: list[int] = field(default_factory=list)
    _place: dict[int, int] = field(default_factory=dict)
    _vectors: dict[int, Vectors] = field(default_factory=dict)
    _nearest: dict[int, Nearest] = field(default_factory=dict)
    _taken: list[int] = field(default_factory=list)
    _matrix: Vectors | None = None

    def foresee(
        self,
        rows: Iterable[int],
    ) -> None:
        """Say in which order rows will probably be asked about; it changes only the speed."""
        self._expected = list(rows)
        self._place = {row: place for place, row in enumerate(self._expected)}

    def admits(
        self,
        row: int,
    ) -> bool:
        """Whether a row is far enough from every row taken."""
        if row not in self._nearest:
            self._compare_block(self._list_block(row))
        nearest = self._update(row)
        if nearest.cosine <= self.limit:
            return True
        self.refused[row] = nearest
        return False

    def take(
        self,
        row: int,
    ) -> None:
        """Note that a row was taken."""
        if row not in self._vectors:
            self._encode_rows([row])
        vector = self._vectors[row]
        if self._matrix is None:
            self._matrix = np.zeros((BLOCK, len(vector)), np.float32)
        n_taken = len(self._taken)
        if n_taken == len(self._matrix):
            # Twice the room each time, so that a row is copied about once.
            self._matrix = np.concatenate([self._matrix, np.zeros_like(self._matrix)])
        self._matrix[n_taken] = vector
        self._taken.append(row)

    def _list_block(
        self,
        row: int,
    ) -> list[int]:
        """The row, and those of the rows expected after it that were not compared yet."""
        if row not in self._place:
            return [row]
        begin = self._place[row]
        following = self._expected[begin : begin + BLOCK]
        return [each for each in following if each not in self._nearest]

    def _encode_rows(
        self,
        rows: Sequence[int],
    ) -> None:
        """Make the vectors of rows that have none."""
        missing = [row for row in rows if row not in self._vectors]
        if missing:
            vectors = self.encode(missing)
            self._vectors.update(zip(missing, vectors, strict=True))

    def _compare_block(
        self,
        rows: Sequence[int],
    ) -> None:
        """Compare rows with all rows taken."""
        self._encode_rows(rows)
        found = [Nearest()] * len(rows)
        block = np.stack([self._vectors[row] for row in rows])
        # In parts, so that the matrix of cosines stays small however many rows are taken.
        for begin in range(0, len(self._taken), TAKEN_BLOCK):
            end = min(begin + TAKEN_BLOCK, len(self._taken))
            closest = self._find_closest(block, begin, end)
            found = [
                max(old, new, key=_read_cosine)
                for old, new in zip(found, closest, strict=True)
            ]
        n_taken = len(self._taken)
        for row, nearest in zip(rows, found, strict=True):
            self._nearest[row] = nearest._replace(n_compared=n_taken)

    def _update(
        self,
        row: int,
    ) -> Nearest:
        """Compare a row with the rows taken since it was last compared."""
        old = self._nearest[row]
        n_taken = len(self._taken)
        if old.n_compared < n_taken:
            block = self._vectors[row][None, :]
            (new,) = self._find_closest(block, old.n_compared, n_taken)
            nearest = max(old, new, key=_read_cosine)
            self._nearest[row] = nearest._replace(n_compared=n_taken)
        return self._nearest[row]

    def _find_closest(
        self,
        block: Vectors,
        begin: int,
        end: int,
    ) -> list[Nearest]:
        """The closest of the rows taken from place `begin` to `end`, for each row of a block."""
        assert self._matrix is not None
        cosines = block @ self._matrix[begin:end].T
        places = cosines.argmax(axis=1)
        closest = []
        for cosine, place in zip(cosines, places.tolist(), strict=True):
            nearest = Nearest(self._taken[begin + place], float(cosine[place]))
            closest.append(nearest)
        return closest


def _read_cosine(nearest: Nearest) -> float:
    """What the nearest row is found by."""
    return nearest.cosine
