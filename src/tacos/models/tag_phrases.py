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
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import Stemmer

from tacos.models import sorted_keys
from tacos.models.chunk_memory import ChunkMemory
from tacos.models.chunk_numbers import Numbers, Runs, number_parts

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
    def total_weights(self) -> npt.NDArray[np.float32]:
        """The weight of each tag, the sum of its stems' weights."""
        return np.asarray(self.part_weights.sum(axis=1))

    @cached_property
    def least_weights(self) -> npt.NDArray[np.float32]:
        """The weight of each tag's commonest stem, 0 for a tag without stems."""
        weights = np.where(self.parts > 0, self.part_weights, np.inf).min(axis=1)
        bounded = np.where(np.isfinite(weights), weights, 0)
        return np.asarray(bounded, dtype=np.float32)

    @cached_property
    def n_words(self) -> npt.NDArray[np.float32]:
        """The number of each tag's stems."""
        return np.asarray((self.parts > 0).sum(axis=1), dtype=np.float32)

    @cached_property
    def _phrases(self) -> _PhraseTree:
        """The stems of all tags as a tree."""
        return _PhraseTree.grow(self.parts)

    @cached_property
    def _weightiest(self) -> Numbers:
        """All tags, the weightiest first; ties go to the smaller number."""
        return np.argsort(-self.total_weights, kind="stable")

    @cached_property
    def _ranks(self) -> Numbers:
        """The place of each tag among the weightiest."""
        return np.argsort(self._weightiest)

    def mentions(self, stems: Sequence[str]) -> list[int]:
        """Return the tags whose stems stand side by side in a text, given by its stems.

        The weightiest come first, `MAX_MENTIONS` at most.
        """
        _, tags = self.find_mentions(self.number_stems([stems]))
        return [int(tag) for tag in tags]

    def find_mentions(self, texts: Runs) -> tuple[Numbers, Numbers]:
        """Find the `mentions` of texts, see `number_stems`: a text's number and a tag for each.

        They are in the order of the texts, the weightiest tag of a text first.
        """
        text, tag = self._phrases.find(texts)
        # Distinct tags of each text, in the order of their weight
        n_tags = max(len(self.tags), 1)
        keys = sorted_keys.sort_distinct(text * n_tags + self._ranks[tag])
        text, rank = np.divmod(keys, n_tags)
        place = np.arange(len(text)) - np.searchsorted(text, text)
        is_first = place < MAX_MENTIONS
        return text[is_first], self._weightiest[rank[is_first]]

    def present(self, texts: Runs) -> npt.NDArray[np.bool_]:
        """Return which numbered stems each text has: bool (texts, stems + 1).

        Column 0 is always False.
        """
        # One column more than stems, because their numbers start at 1.
        has_stem = np.zeros(
            (len(texts.counts), len(self.by_stem) + 1),
            dtype=np.bool_,
        )
        has_stem[texts.texts, texts.numbers] = True
        has_stem[:, 0] = False
        return has_stem

    def number_stems(self, texts: Sequence[Sequence[str]]) -> Runs:
        """Number the stems of texts, 0 for a stem of no tag."""
        return number_parts(texts, self.by_stem)

    def number_chunks(self, chunks: Sequence[str]) -> tuple[Numbers, Numbers]:
        """The numbers of the stems of chunks in small letters, and how many each has."""
        numbers, counts = self.number_stems(list(map(_stem_chunk, chunks)))
        return numbers, counts


class _PhraseTree(NamedTuple):
    """Phrases, given by the numbers of their stems, as a tree.

    A node stands for what some phrase begins with. Node s is the stem s itself, if `roots` says
    that a phrase begins with it. Where stem s may follow node n, `keys`, which ascend, hold
    n * len(roots) + s; the node that this leads to is len(roots) + the place of the key. The
    phrases that end with node n are `counts[n]` of `phrases`, from `starts[n]` on.
    """

    roots: npt.NDArray[np.bool_]
    keys: Numbers
    phrases: Numbers
    starts: Numbers
    counts: Numbers

    @classmethod
    def grow(cls, parts: Ids) -> _PhraseTree:
        """Grow the tree of phrases (n, length); 0 stands where there are no more stems."""
        roots = np.zeros(int(parts.max(initial=0)) + 1, dtype=np.bool_)
        roots[parts[:, 0]] = True
        roots[0] = False
        # The node with which each phrase ends so far, level by level
        nodes = parts[:, 0].astype(np.int64)
        n_nodes = len(roots)
        levels = []
        for stems in parts.T[1:]:
            (longer,) = np.nonzero(stems)
            keys, places = np.unique(
                nodes[longer] * len(roots) + stems[longer], return_inverse=True
            )
            nodes[longer] = n_nodes + places
            n_nodes += len(keys)
            levels.append(keys)
        counts = np.bincount(nodes, minlength=n_nodes)
        return cls(
            roots=roots,
            # The last one is larger than any other, so that each search finds a place.
            keys=np.append(np.concatenate(levels), np.iinfo(np.int64).max),
            phrases=np.argsort(nodes, kind="stable"),
            starts=np.cumsum(counts) - counts,
            counts=counts,
        )

    def find(self, runs: Runs) -> tuple[Numbers, Numbers]:
        """Find the phrases in texts, by their stems: a text's number and a phrase for each."""
        texts = np.append(runs.texts, -1)
        stems = np.append(runs.numbers, 0)
        (last,) = np.nonzero(self.roots[runs.numbers])
        nodes = runs.numbers[last]
        found_texts = [np.zeros(0, dtype=np.int64)]
        found_phrases = [np.zeros(0, dtype=np.int64)]
        while len(nodes):
            n_found = self.counts[nodes]
            found_texts.append(np.repeat(texts[last], n_found))
            places = list_runs(self.starts[nodes], n_found)
            found_phrases.append(self.phrases[places])

            # A run grows as long as some phrase begins like it.
            following = np.where(texts[last + 1] == texts[last], stems[last + 1], 0)
            keys = nodes * len(self.roots) + following
            places = np.searchsorted(self.keys, keys)
            is_known = self.keys[places] == keys
            nodes = len(self.roots) + places[is_known]
            last = last[is_known] + 1
        return np.concatenate(found_texts), np.concatenate(found_phrases)


def list_runs(starts: Numbers, lengths: Numbers) -> Numbers:
    """List the numbers of runs, one run after another.

    >>> list_runs(np.array([7, 0]), np.array([2, 3])).tolist()
    [7, 8, 0, 1, 2]
    """
    ends = np.cumsum(lengths)
    n_numbers = int(ends[-1]) if len(ends) else 0
    shifts = np.repeat(starts - (ends - lengths), lengths)
    return np.asarray(np.arange(n_numbers) + shifts)
