"""Numbers the runs of characters between blanks, and remembers the parts of each by its number.

Texts are split at their blanks once; words and tokens are then parts of the same runs. Nothing
depends on the order in which runs were met, and several threads may read at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, islice, repeat
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

MAX_REMEMBERED = 100_000
"""The number of runs that are remembered, some 20 MB, before all are forgotten."""
MAX_CHARACTERS = 20 * MAX_REMEMBERED
"""The number of characters that all runs remembered may have."""
Numbers = npt.NDArray[np.int64]


class ChunkNumbers(dict[str, int]):
    """A number for each run, in the order of their lookup."""

    def __init__(self) -> None:
        super().__init__()
        self.n_characters = 0
        self._lock = threading.Lock()

    def __missing__(self, chunk: str) -> int:
        number = len(self)
        self[chunk] = number
        self.n_characters += len(chunk)
        return number

    @property
    def is_full(self) -> bool:
        """Whether it is time to forget."""
        return len(self) > MAX_REMEMBERED or self.n_characters > MAX_CHARACTERS

    def read(self, texts: Sequence[str]) -> Chunks:
        """Split texts at their blanks."""
        split = [text.split() for text in texts]
        counts = np.array(list(map(len, split)), dtype=np.int64)
        # The lock lets only one thread give out new numbers.
        with self._lock:
            numbers = np.fromiter(
                map(self.__getitem__, chain.from_iterable(split)),
                dtype=np.int64,
                count=int(counts.sum()),
            )
        return Chunks(self, numbers, counts)

    def list_from(self, n_known: int) -> list[str]:
        """The runs from a number on."""
        with self._lock:
            return list_last(self, len(self) - n_known)


def list_last(numbers: dict[str, int], n: int) -> list[str]:
    """The n keys that a dictionary was given last, in order; takes no longer if it has many others.

    >>> list_last({"a": 0, "b": 1, "c": 2}, 2)
    ['b', 'c']
    """
    return list(islice(reversed(numbers), n))[::-1]


class GrowingNumbers:
    """An array to which numbers are added; often, because it is seldom copied for that."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._room = np.zeros(0, dtype=dtype)
        self._n = 0

    @property
    def values(self) -> npt.NDArray[Any]:
        """All numbers so far, which no later ones change."""
        return self._room[: self._n]

    def extend(self, numbers: npt.NDArray[Any]) -> None:
        """Add numbers at the end."""
        n = self._n + len(numbers)
        if n > len(self._room):
            room = np.zeros(max(n, 2 * len(self._room)), dtype=self._room.dtype)
            room[: self._n] = self.values
            self._room = room
        self._room[self._n : n] = numbers
        self._n = n


class Chunks(NamedTuple):
    """The runs of some texts, one after the other: `numbers` (runs,), `counts` (texts,)."""

    memory: ChunkNumbers
    numbers: Numbers
    counts: Numbers

    def take(self, is_taken: npt.NDArray[np.bool_]) -> Chunks:
        """The runs of some of the texts."""
        numbers = self.numbers[np.repeat(is_taken, self.counts)]
        return Chunks(self.memory, numbers, self.counts[is_taken])


class Runs(NamedTuple):
    """Numbers of texts, one text after the other: `numbers` (all,), `counts` (texts,)."""

    numbers: Numbers
    counts: Numbers

    @property
    def texts(self) -> Numbers:
        """The text of each number."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def cut(self, n: int) -> Runs:
        """The first n numbers of each text."""
        counts = np.minimum(self.counts, n)
        if (counts == self.counts).all():
            return self
        starts = np.cumsum(self.counts) - self.counts
        places = np.arange(len(self.numbers)) - np.repeat(starts, self.counts)
        return Runs(self.numbers[places < n], counts)


def number_parts(texts: Sequence[Sequence[str]], numbers: Mapping[str, int]) -> Runs:
    """Number the parts of texts, 0 for those without a number."""
    counts = np.array(list(map(len, texts)), dtype=np.int64)
    found = np.fromiter(
        map(numbers.get, chain.from_iterable(texts), repeat(0)),
        dtype=np.int64,
        count=int(counts.sum()),
    )
    return Runs(found, counts)


class ChunkParts:
    """The parts of the runs of one memory, whole numbers by a function of each run alone.

    `split` returns the parts of some runs, one after the other, and how many each has.
    """

    def __init__(
        self,
        memory: ChunkNumbers,
        split: Callable[[Sequence[str]], tuple[npt.NDArray[np.integer], Numbers]],
    ) -> None:
        self.memory = memory
        self._split = split
        self._lock = threading.Lock()
        # The parts of all runs, one after the other; where each run's begin; how many it has
        self._parts = GrowingNumbers(np.int64)
        self._starts = GrowingNumbers(np.int64)
        self._lengths = GrowingNumbers(np.int64)

    def list_parts(self, chunks: Chunks) -> tuple[Numbers, Numbers]:
        """The parts of texts, one after the other, and how many each text has."""
        parts, starts, n_parts = self._learn()
        lengths = n_parts[chunks.numbers]
        ends = np.cumsum(lengths)
        n_all = int(ends[-1]) if len(ends) else 0
        first = starts[chunks.numbers] - (ends - lengths)
        listed = parts[np.arange(n_all) + np.repeat(first, lengths)]
        ends_of_texts = np.concatenate([[0], ends])[np.cumsum(chunks.counts)]
        return listed, np.diff(ends_of_texts, prepend=0)

    def _learn(self) -> tuple[Numbers, Numbers, Numbers]:
        """All that is known, the runs that were numbered last among it."""
        with self._lock:
            new_chunks = self.memory.list_from(len(self._starts.values))
            if new_chunks:
                new_parts, lengths = self._split(new_chunks)
                ends = len(self._parts.values) + np.cumsum(lengths, dtype=np.int64)
                self._parts.extend(new_parts)
                self._starts.extend(ends - lengths)
                self._lengths.extend(lengths)
            return self._parts.values, self._starts.values, self._lengths.values
