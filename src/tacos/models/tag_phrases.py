"""Finds the tags of a lexicon that a text mentions, word by word by their Porter stems.

The lexicon is wider than the learned vocabulary: it holds every tag seen once and the published
counts of raw tags. A topic about which nothing was learned can still be named if the text names it.
Words are found, not meanings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain

import numpy as np
import numpy.typing as npt
import Stemmer

from tacos.models.chunk_memory import ChunkMemory

PIECE = re.compile(r"[^\W\d_]+[+#]*|\d+")
LONGEST_TAG = 4
MAX_PIECES = 300
MAX_CHARACTERS = 12 * MAX_PIECES
MAX_MENTIONS = 10
Ids = npt.NDArray[np.int32]


def _stem_chunk(chunk: str) -> tuple[str, ...]:
    # A stemmer of its own, because stemmers must not be shared between threads.
    stemmer = Stemmer.Stemmer("porter")
    return tuple(map(str, stemmer.stemWords(PIECE.findall(chunk))))


_STEMS = ChunkMemory(_stem_chunk)


def stem_text(text: str) -> list[str]:
    """Return the stems of a text's words, `MAX_PIECES` at most.

    >>> stem_text("Sorting algorithms, C++")
    ['sort', 'algorithm', 'c++']
    """
    beginning = text[:MAX_CHARACTERS].lower()
    return _STEMS.split_text(beginning)[:MAX_PIECES]


@lru_cache(maxsize=50_000)
def _stem_tag(tag: str) -> tuple[str, ...]:
    """Return the stems of a tag, `LONGEST_TAG` at most.

    Remembered, because lexicons share most of their tags while a tagger is trained.
    """
    return tuple(stem_text(tag)[:LONGEST_TAG])


@dataclass(frozen=True)
class Lexicon:
    """Tags with their stems.

    `weights` gives each stem's inverse frequency in instructions, `rare` that of unknown stems.
    """

    tags: tuple[str, ...]
    weights: dict[str, float]
    rare: float

    @cached_property
    def stems(self) -> list[list[str]]:
        """The stems of each tag, `LONGEST_TAG` at most."""
        return [list(_stem_tag(tag)) for tag in self.tags]

    @cached_property
    def by_phrase(self) -> dict[str, list[int]]:
        """The tags of each phrase, by its stems joined by blanks."""
        tags: dict[str, list[int]] = {}
        for number, stems in enumerate(self.stems):
            if not stems:
                continue
            phrase = " ".join(stems)
            # Tags that differ only in their endings share a phrase.
            same_phrase = tags.setdefault(phrase, [])
            same_phrase.append(number)
        return tags

    @cached_property
    def beginnings(self) -> frozenset[str]:
        """Every run of stems that a tag begins with, joined by blanks; whole tags included."""
        runs: set[str] = set()
        for stems in self.stems:
            for length in range(1, len(stems) + 1):
                runs.add(" ".join(stems[:length]))
        return frozenset(runs)

    @cached_property
    def by_stem(self) -> dict[str, int]:
        """A number, from 1, for each stem that occurs in a tag."""
        distinct = dict.fromkeys(chain.from_iterable(self.stems))
        return {stem: number for number, stem in enumerate(distinct, start=1)}

    @cached_property
    def parts(self) -> Ids:
        """The numbers of each tag's stems, int32 (tags, LONGEST_TAG), 0 where there are no more."""
        n_tags = len(self.tags)
        parts = np.zeros(
            (n_tags, LONGEST_TAG),
            dtype=np.int32,
        )
        for row, stems in enumerate(self.stems):
            n_stems = len(stems)
            numbers = [self.by_stem[stem] for stem in stems]
            parts[row, :n_stems] = numbers
        return parts

    @cached_property
    def part_weights(self) -> npt.NDArray[np.float32]:
        """The weights of `parts`, float32 (tags, LONGEST_TAG), 0 where there are no more."""
        weights = [self.weights.get(stem, self.rare) for stem in self.by_stem]
        # Number 0 stands for no stem.
        by_number = np.array([0.0, *weights], dtype=np.float32)
        return by_number[self.parts]

    @cached_property
    def weight(self) -> list[float]:
        """The weight of each tag, the sum of its stems' weights."""
        return [float(total) for total in self.part_weights.sum(axis=1)]

    def mentions(self, stems: Sequence[str]) -> list[int]:
        """Return the tags whose stems stand side by side in a text, given by its stems.

        The weightiest come first, `MAX_MENTIONS` at most.
        """
        mentioned: set[int] = set()
        beginnings = self.beginnings
        tags_of_phrase = self.by_phrase.get
        for start, stem in enumerate(stems):
            # A run grows as long as some tag begins like it.
            phrase = stem
            end = start + 1
            while phrase in beginnings:
                mentioned.update(tags_of_phrase(phrase, ()))
                if end == len(stems):
                    break
                phrase = f"{phrase} {stems[end]}"
                end += 1

        # Ties go to the smaller number, so that the order is always the same.
        def weightiest_first(tag: int) -> tuple[float, int]:
            weight = self.weight[tag]
            return -weight, tag

        ordered = sorted(mentioned, key=weightiest_first)
        return ordered[:MAX_MENTIONS]

    def present(self, texts: Sequence[Sequence[str]]) -> npt.NDArray[np.bool_]:
        """Return which numbered stems each text has: bool (texts, stems + 1).

        Column 0 is always False.
        """
        # One column more than stems, because their numbers start at 1.
        n_columns = len(self.by_stem) + 1
        has_stem = np.zeros(
            (len(texts), n_columns),
            dtype=np.bool_,
        )
        for row, stems in enumerate(texts):
            known_stems = self.by_stem.keys() & set(stems)
            numbers = [self.by_stem[stem] for stem in known_stems]
            has_stem[row, numbers] = True
        return has_stem
