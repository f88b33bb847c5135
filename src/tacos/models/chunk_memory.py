"""Splits texts at blanks, and remembers the parts of each run of characters between them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

MAX_REMEMBERED = 100_000
"""The number of runs that are remembered, some 20 MB, before all are forgotten."""
LONGEST_REMEMBERED = 60
"""The number of characters beyond which a run is not remembered."""


class ChunkMemory(dict[str, tuple[str, ...]]):
    """The parts of runs of characters without a blank, by a function of each run alone."""

    def __init__(self, split: Callable[[str], tuple[str, ...]]) -> None:
        super().__init__()
        self._split = split

    def __missing__(self, chunk: str) -> tuple[str, ...]:
        parts = self._split(chunk)
        if len(chunk) <= LONGEST_REMEMBERED:
            self[chunk] = parts
        return parts

    def split_text(self, text: str) -> list[str]:
        """The parts of a text, in order."""
        if len(self) > MAX_REMEMBERED:
            self.clear()
        return list(chain.from_iterable(map(self.__getitem__, text.split())))
