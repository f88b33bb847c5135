"""Reads the words of many texts at once, and counts them in columns, one number per text.

Each distinct word is looked at once per process: what it is (`WordMemory.flags`) is then a number
that a whole batch of texts looks up. Nothing depends on the order in which words were met.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence, Set
from functools import cached_property, lru_cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tacos.models import sorted_keys
from tacos.models.chunk_numbers import (
    ChunkNumbers,
    ChunkParts,
    Chunks,
    GrowingNumbers,
    list_last,
)

MAX_TEXTS = 1024
"""The number of texts of one batch: their numbers take the upper bits of 64."""
STEM_LETTERS = 5
"""Words are compared by so many letters, where endings should make no difference."""
_TEXT_SHIFT = np.uint64(54)
_WORD_SHIFT = 32
_N_LOGARITHMS = 1 << 15
_HASH_BITS = 19
# Odd numbers of 64 bits: multiplied by them, the hashes of a phrase's words keep their order.
_FACTORS = (
    0x9E3779B97F4A7C15,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0xD6E8FEB86659FD93,
)
_WORD = re.compile(r"[^\W_]+(?:['’][a-z]+)?")
_CJK = re.compile(r"[぀-ヿ㐀-鿿가-힯]")
Numbers = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
Array = npt.NDArray[np.float64]


def find_words(text: str) -> list[str]:
    """Split a text into lower-case words; each Chinese, Japanese or Korean character is one."""
    return _find_lower_words(text.lower())


def _find_lower_words(lower: str) -> list[str]:
    if not lower.isascii():
        lower = _CJK.sub(r" \g<0> ", lower)
    return _WORD.findall(lower)


class WordMemory:
    """The words that were met so far, by number, and what is known of each.

    `classes` are lists of words by name. Of each of the `words`: `flags` (n,) has a bit for each of
    its classes, `hashes` (n,) tell phrases apart, `stems` (n,) number its first letters, `lengths`
    (n,) count its characters.
    """

    def __init__(self, classes: Mapping[str, Set[str]]) -> None:
        computed = ("digit", "decimal", "foreign")
        names = (*classes, *computed)
        self.bits = {name: np.uint64(1 << place) for place, name in enumerate(names)}
        self._flags_of_listed: dict[str, int] = {}
        for name, words in classes.items():
            for word in words:
                known = self._flags_of_listed.get(word, 0)
                self._flags_of_listed[word] = known | int(self.bits[name])
        self._chunks = ChunkNumbers()
        self._parts = ChunkParts(self._chunks, self._number_words)
        self._numbers: dict[str, int] = {}
        self._stems: dict[str, int] = {}
        self.words: list[str] = []
        self._columns = (
            GrowingNumbers(np.uint64),
            GrowingNumbers(np.uint64),
            GrowingNumbers(np.int64),
            GrowingNumbers(np.int64),
        )
        self._describe_words([])

    @property
    def is_full(self) -> bool:
        """Whether it is time to forget."""
        return self._chunks.is_full

    def read(self, lower_texts: Sequence[str]) -> Words:
        """Read the words of texts in small letters, see `find_words`."""
        chunks = self._chunks.read(lower_texts)
        numbers, counts = self._parts.list_parts(chunks)
        return Words(self, numbers, counts, chunks)

    def find_numbers(self, words: Sequence[str]) -> Numbers:
        """The numbers of words in small letters, -1 of those that were never met."""
        numbers = [self._numbers.get(word, -1) for word in words]
        return np.array(numbers, dtype=np.int64)

    def _number_words(self, chunks: Sequence[str]) -> tuple[Numbers, Numbers]:
        """The words of new chunks, and how many each has; looks at those that are new."""
        words = [_find_lower_words(chunk) for chunk in chunks]
        n_known = len(self._numbers)
        numbers = [
            self._numbers.setdefault(word, len(self._numbers))
            for word in chain.from_iterable(words)
        ]
        self._describe_words(list_last(self._numbers, len(self._numbers) - n_known))
        lengths = np.array(list(map(len, words)), dtype=np.int64)
        return np.array(numbers, dtype=np.int64), lengths

    def _describe_words(self, words: Sequence[str]) -> None:
        known_stems = self._stems
        self.words += words
        described = (
            np.array([self._flag_word(word) for word in words], dtype=np.uint64),
            np.array([_hash_word(word) for word in words], dtype=np.uint64),
            np.array(
                [
                    known_stems.setdefault(word[:STEM_LETTERS], len(known_stems))
                    for word in words
                ],
                dtype=np.int64,
            ),
            np.array([len(word) for word in words], dtype=np.int64),
        )
        for column, new in zip(self._columns, described, strict=True):
            column.extend(new)
        flags, hashes, stems, lengths = self._columns
        self.flags: Keys = flags.values
        self.hashes: Keys = hashes.values
        self.stems: Numbers = stems.values
        self.lengths: Numbers = lengths.values

    def _flag_word(self, word: str) -> int:
        flags = self._flags_of_listed.get(word, 0)
        if word[0].isdigit():
            flags |= int(self.bits["digit"])
        if word.isdecimal():
            flags |= int(self.bits["decimal"])
        if not word.isascii():
            flags |= int(self.bits["foreign"])
        return flags


def _hash_word(word: str) -> int:
    content = word.encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


class DistinctWords(NamedTuple):
    """The distinct words of texts: text and number of each, how often it occurs, what it is.

    `keys` stand for text and word, ascending.
    """

    keys: Numbers
    texts: Numbers
    numbers: Numbers
    counts: Numbers
    flags: Keys

    def within(self, others: DistinctWords) -> Flags:
        """Which of the words the same text has among `others`."""
        return contains(others.keys, self.keys)


class Words:
    """The words of some texts, one after the other: `numbers` (words,), `counts` (texts,).

    `chunks` are what stands between the blanks of the same texts.
    """

    def __init__(
        self, memory: WordMemory, numbers: Numbers, counts: Numbers, chunks: Chunks
    ) -> None:
        self.memory = memory
        self.numbers = numbers
        self.counts = counts
        self.chunks = chunks

    @cached_property
    def texts(self) -> Numbers:
        """The text of each word."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @cached_property
    def starts(self) -> Numbers:
        """The place of each text's first word."""
        return np.asarray(np.cumsum(self.counts) - self.counts)

    @cached_property
    def places(self) -> Numbers:
        """The place of each word within its text."""
        return np.arange(len(self.numbers)) - self.starts[self.texts]

    @cached_property
    def flags(self) -> Keys:
        """What each word is."""
        return self.memory.flags[self.numbers]

    @cached_property
    def all_flags(self) -> Keys:
        """What any word of a text is, (texts,)."""
        found = np.zeros(len(self.counts), dtype=np.uint64)
        is_filled = self.counts > 0
        if is_filled.any():
            starts = self.starts[is_filled]
            found[is_filled] = np.bitwise_or.reduceat(self.flags, starts)
        return found

    @cached_property
    def first_flags(self) -> Keys:
        """What the first word of a text is, (texts,)."""
        found = np.zeros(len(self.counts), dtype=np.uint64)
        is_filled = self.counts > 0
        found[is_filled] = self.flags[self.starts[is_filled]]
        return found

    @cached_property
    def distinct(self) -> DistinctWords:
        """The distinct words of each text."""
        return self.list_distinct(slice(None))

    def list_distinct(self, chosen: Any) -> DistinctWords:
        """The distinct ones among the words chosen."""
        texts = self.texts[chosen] << _WORD_SHIFT
        keys, counts = sorted_keys.count_distinct(texts | self.numbers[chosen])
        numbers = keys & ((1 << _WORD_SHIFT) - 1)
        flags = self.memory.flags[numbers]
        return DistinctWords(keys, keys >> _WORD_SHIFT, numbers, counts, flags)

    def have(self, texts: Numbers, numbers: Numbers) -> Flags:
        """Which of these texts have the word of this number, -1 for none."""
        keys = (texts << _WORD_SHIFT) | np.maximum(numbers, 0)
        return contains(self.distinct.keys, keys) & (numbers >= 0)

    def list_words(self, text: int, first: int, last: int) -> list[str]:
        """The words of a text from the place `first` until before `last`."""
        start = self.starts[text]
        end = min(start + last, start + self.counts[text])
        numbers = self.numbers[start + first : end].tolist()
        return [self.memory.words[number] for number in numbers]

    def mention(self, name: str) -> Flags:
        """Which texts have a word of a class, (texts,)."""
        return self.find(self.all_flags, name)

    def find(self, flags: Keys, name: str) -> Flags:
        """Which flags have the bit of a class."""
        return np.asarray((flags & self.memory.bits[name]) != 0)

    def count(self, name: str) -> Numbers:
        """Count the words of a class, (texts,)."""
        return self.count_texts(self.texts[self.find(self.flags, name)])

    def count_texts(self, texts: Numbers) -> Numbers:
        """Count how often each text is named, (texts,)."""
        return np.bincount(texts, minlength=len(self.counts))

    def key_stems(self, texts: Numbers, numbers: Numbers) -> Numbers:
        """Keys of the stems of words, with their texts."""
        return (texts << _WORD_SHIFT) | self.memory.stems[numbers]

    def key_phrases(self, length: int) -> Keys:
        """A key for each run of so many words in a text, with the text in its upper bits.

        Phrases are told apart by 54 bits of what their words hash to.
        """
        n_runs = max(len(self.numbers) - length + 1, 0)
        hashes = self.memory.hashes[self.numbers]
        mixed = np.zeros(n_runs, dtype=np.uint64)
        for place in range(length):
            mixed += hashes[place : place + n_runs] * np.uint64(_FACTORS[place])
        is_within = self.texts[:n_runs] == self.texts[length - 1 :]
        texts = self.texts[:n_runs][is_within].astype(np.uint64)
        upper = texts << _TEXT_SHIFT
        return np.asarray(upper | (mixed[is_within] >> (np.uint64(64) - _TEXT_SHIFT)))

    def count_keys(self, keys: Keys) -> Numbers:
        """Count the keys of phrases by text, (texts,)."""
        return self.count_texts((keys >> _TEXT_SHIFT).astype(np.int64))

    def replace(self, texts: Numbers, others: Words) -> Words:
        """These words, with those of others in place of the words of some texts."""
        numbers, counts = _replace_runs(
            (self.numbers, self.counts), texts, (others.numbers, others.counts)
        )
        own, other = self.chunks, others.chunks
        chunks = _replace_runs(
            (own.numbers, own.counts), texts, (other.numbers, other.counts)
        )
        return Words(self.memory, numbers, counts, Chunks(own.memory, *chunks))


def _replace_runs(
    own: tuple[Numbers, Numbers], texts: Numbers, others: tuple[Numbers, Numbers]
) -> tuple[Numbers, Numbers]:
    """Runs of numbers by text, given with their lengths, with others in place of some texts'."""
    counts = own[1].copy()
    counts[texts] = others[1]
    is_other = np.zeros(len(counts), dtype=np.bool_)
    is_other[texts] = True
    numbers = np.empty(int(counts.sum()), dtype=np.int64)
    is_new = np.repeat(is_other, counts)
    numbers[is_new] = others[0]
    numbers[~is_new] = own[0][~np.repeat(is_other, own[1])]
    return numbers, counts


def contains(keys: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> Flags:
    """Which of the wanted keys are among keys in ascending order."""
    found = np.zeros(len(wanted), dtype=np.bool_)
    if not len(keys):
        return found
    # Most keys that are not there miss a table of short hashes, which is faster than a search.
    is_taken = np.zeros(1 << _HASH_BITS, dtype=np.bool_)
    is_taken[_shorten(keys)] = True
    candidates = np.flatnonzero(is_taken[_shorten(wanted)])
    places = np.searchsorted(keys, wanted[candidates])
    places[places == len(keys)] = 0
    found[candidates] = keys[places] == wanted[candidates]
    return found


def _shorten(keys: npt.NDArray[Any]) -> Keys:
    return (keys.astype(np.uint64) * np.uint64(_FACTORS[0])) >> np.uint64(
        64 - _HASH_BITS
    )


def split_texts(keys: Numbers) -> Numbers:
    """The texts of keys of words or stems."""
    return keys >> _WORD_SHIFT


def log_counts(counts: npt.ArrayLike) -> Array:
    """Compute log2(1 + count) of whole numbers from 0, as `math.log2` does, to the last bit.

    >>> log_counts([0, 1, 7]).tolist()
    [0.0, 1.0, 3.0]
    """
    numbers = np.asarray(counts, dtype=np.int64)
    logarithms = _list_logarithms()[np.minimum(numbers, _N_LOGARITHMS - 1)]
    for place in zip(*np.nonzero(numbers >= _N_LOGARITHMS), strict=True):
        logarithms[place] = math.log2(1.0 + numbers[place])
    return logarithms


@lru_cache(maxsize=1)
def _list_logarithms() -> Array:
    return np.array([math.log2(1.0 + count) for count in range(_N_LOGARITHMS)])
