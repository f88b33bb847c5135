"""Reads the characters of many texts at once: marks, sentences, and what stands beside what.

All texts stand in one row of characters with a gap after each, so that patterns of two or three
characters become comparisons of whole arrays. A pattern of more is searched in those texts alone
that have its marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tacos.models.word_columns import Flags, Numbers

GAP = "\ud800"
"""What stands between texts: a lone surrogate, which no text that is read has."""
COUNTED = '"():;-`|=?!%$,\n[]#*<{_X'
"""The characters that `Characters.count` knows."""
_N_COLUMNS = len(COUNTED) + 1
# Of each character: what kind it is, by bits.
BLANK, STOP, SMALL, CAPITAL, GAPS, BREAK, COUNTS = (1 << bit for bit in range(7))
"""A blank, one of `.!?`, a letter from a to z, from A to Z, a gap, what ends a sentence wherever it
stands, one of `COUNTED`."""
_AFTER_SENTENCES = "\"'”)"
_LAST_CODE = 0xFFFF


_BLANKS = (
    *range(0x09, 0x0E),
    *range(0x1C, 0x21),
    *(0x85, 0xA0, 0x1680),
    *range(0x2000, 0x200B),
    *(0x2028, 0x2029, 0x202F, 0x205F, 0x3000),
)


def _list_kinds() -> npt.NDArray[np.uint8]:
    kinds = np.zeros(_LAST_CODE + 1, dtype=np.uint8)
    marks = (
        (BLANK, "".join(map(chr, _BLANKS))),
        (STOP, ".!?"),
        (SMALL, "abcdefghijklmnopqrstuvwxyz"),
        (CAPITAL, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        (GAPS, GAP),
        (BREAK, "。！？\n"),
        (COUNTS, COUNTED),
    )
    for kind, characters in marks:
        kinds[list(map(ord, characters))] |= kind
    return kinds


_KINDS = _list_kinds()
_COLUMNS = np.zeros(_LAST_CODE + 1, dtype=np.uint8)
_COLUMNS[list(map(ord, COUNTED))] = np.arange(1, _N_COLUMNS)


class Sentences(NamedTuple):
    """The sentences of texts, one after the other: the text of each, where it starts and ends.

    `first` and `last` are the places of its first and last character that is no blank.
    """

    texts: Numbers
    starts: Numbers
    ends: Numbers
    first: Numbers
    last: Numbers


class Characters:
    """The characters of some texts: `joined` with gaps, `codes` of each, its kind in `kinds`."""

    def __init__(self, texts: Sequence[str]) -> None:
        # Two gaps before the first text and behind the last one, so that every place has neighbours
        self.joined = GAP + GAP + GAP.join([*texts, "", "", ""])
        lengths = np.array(list(map(len, texts)), dtype=np.int64)
        self.ends = 1 + np.cumsum(lengths + 1)
        self.starts = self.ends - lengths
        self.n_texts = len(texts)
        codes = np.array([self.joined]).view(np.uint32)
        self.codes = np.minimum(codes, _LAST_CODE).astype(np.uint16)
        self.kinds = _KINDS[self.codes]
        counts = np.concatenate([[2], lengths + 1, [2]])
        self.texts = np.repeat(np.arange(-1, len(texts) + 1), counts)
        self._found: dict[int, Numbers] = {}

    def find(self, kind: int) -> Numbers:
        """The places of the characters of a kind."""
        if kind not in self._found:
            self._found[kind] = np.flatnonzero(self.kinds & kind)
        return self._found[kind]

    def is_kind(self, places: Numbers, kind: int) -> Flags:
        """Whether the characters at these places are of a kind."""
        return np.asarray((self.kinds[places] & kind) != 0)

    def may_be_listed(self, places: Numbers) -> Flags:
        """Whether a mark or a number of a list, or a blank before one, may start at these places.

        So it is with most lines of lists and few others.
        """
        codes = self.codes[places]
        is_digit = (codes >= ord("0")) & (codes <= ord("9"))
        is_letter = self.is_one(places + 1, ".)")
        return is_digit | is_letter | self.is_one(places, "-*( \t") | (codes > 127)

    def is_one(self, places: Numbers, characters: str) -> Flags:
        """Whether the characters at these places are among some."""
        codes = self.codes[places]
        found = codes == ord(characters[0])
        for character in characters[1:]:
            found |= codes == ord(character)
        return np.asarray(found)

    def count_places(self, places: Numbers) -> Numbers:
        """Count the places by text, (texts,)."""
        return np.bincount(self.texts[places], minlength=self.n_texts)

    def mention(self, places: Numbers) -> Flags:
        """Which texts these places are in, (texts,)."""
        found = np.zeros(self.n_texts, dtype=np.bool_)
        found[self.texts[places]] = True
        return found

    @cached_property
    def line_starts(self) -> Numbers:
        """The places where texts and their lines start."""
        return np.sort(np.concatenate([self.starts, self.find_mark("\n") + 1]))

    @cached_property
    def marks(self) -> Numbers:
        """The places of the characters that are counted."""
        return self.find(COUNTS)

    @cached_property
    def _counts(self) -> Numbers:
        cells = self.texts[self.marks] * _N_COLUMNS + _COLUMNS[self.codes[self.marks]]
        counts = np.bincount(cells, minlength=self.n_texts * _N_COLUMNS)
        return np.asarray(counts.reshape(self.n_texts, _N_COLUMNS))

    def count(self, mark: str) -> Numbers:
        """Count one of `COUNTED`, (texts,)."""
        return self._counts[:, COUNTED.index(mark) + 1]

    def find_mark(self, mark: str) -> Numbers:
        """The places of one of `COUNTED`."""
        return np.asarray(self.marks[self.codes[self.marks] == ord(mark)])

    def count_runs(self, mark: str, length: int) -> Numbers:
        """Count runs of so many of one of `COUNTED`, as `str.count` counts them, (texts,)."""
        places = self.find_mark(mark)
        if not len(places):
            return np.zeros(self.n_texts, dtype=np.int64)
        first = np.flatnonzero(np.diff(places, prepend=-2) > 1)
        n_marks = np.diff(first, append=len(places))
        counts = np.bincount(self.texts[places[first]], n_marks // length, self.n_texts)
        return counts.astype(np.int64)

    @cached_property
    def filled(self) -> Numbers:
        """The places of characters that are no blanks, gaps among them."""
        return np.asarray(np.flatnonzero((self.kinds & BLANK) == 0))

    @cached_property
    def blank_runs(self) -> tuple[Numbers, Numbers]:
        """The places before and after each run of blanks within a text."""
        last = np.flatnonzero(np.diff(self.filled) > 1)
        return self.filled[last], self.filled[last + 1]

    @cached_property
    def sentences(self) -> Sentences:
        """The sentences that are not blank.

        A sentence ends at a line's end, at a Chinese full stop, or at one or more of `.!?` before a
        blank, a quote, a bracket or the text's end.
        """
        breaks = self.find(BREAK)
        stops = self.find(STOP)
        is_first = np.diff(stops, prepend=-2) > 1
        is_last = np.append(is_first[1:], [True])[: len(stops)]
        first = stops[is_first]
        after = stops[is_last] + 1
        ends = self.is_kind(after, BLANK | GAPS) | self.is_one(after, _AFTER_SENTENCES)
        ends_of_parts = np.concatenate([breaks, first[ends], self.ends])
        starts_of_next = np.concatenate([breaks + 1, after[ends], self.ends + 1])
        order = np.argsort(ends_of_parts)
        ends_of_parts = ends_of_parts[order]
        starts = np.concatenate([[2], starts_of_next[order][:-1]])[: len(order)]
        places = np.searchsorted(self.filled, starts)
        places_after = np.searchsorted(self.filled, ends_of_parts)
        is_filled = places < places_after
        return Sentences(
            self.texts[ends_of_parts[is_filled]],
            starts[is_filled],
            ends_of_parts[is_filled],
            self.filled[places[is_filled]],
            self.filled[places_after[is_filled] - 1],
        )

    @cached_property
    def n_spaces(self) -> Numbers:
        """The number of spaces before each character."""
        is_space = self.codes == ord(" ")
        return np.asarray(np.cumsum(is_space, dtype=np.int64) - is_space)


class _JoinedTexts(NamedTuple):
    """Some of many texts in one, with gaps: which they are, where each starts and ends."""

    joined: str
    rows: Numbers
    starts: Numbers
    ends: Numbers

    @classmethod
    def join(cls, texts: Sequence[str], rows: Sequence[int]) -> _JoinedTexts:
        chosen = [texts[row] for row in rows]
        lengths = np.array(list(map(len, chosen)), dtype=np.int64)
        ends = np.cumsum(lengths + 1)
        numbers = np.array(rows, dtype=np.int64)
        return cls(GAP.join(chosen), numbers, ends - lengths - 1, ends)


class Phrases:
    """Finds phrases in many texts at once."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self.n_texts = len(texts)

    @cached_property
    def _all(self) -> _JoinedTexts:
        return _JoinedTexts.join(self._texts, range(self.n_texts))

    @cached_property
    def _foreign(self) -> _JoinedTexts:
        """The texts beyond ASCII: a phrase beyond it can be in no other."""
        rows = [row for row, text in enumerate(self._texts) if not text.isascii()]
        return _JoinedTexts.join(self._texts, rows)

    def find(self, phrase: str) -> tuple[Numbers, Numbers]:
        """Text and place of each occurrence that overlaps no earlier one."""
        searched = self._all if phrase.isascii() else self._foreign
        found: list[int] = []
        place = searched.joined.find(phrase)
        while place >= 0:
            found.append(place)
            place = searched.joined.find(phrase, place + len(phrase))
        places = np.array(found, dtype=np.int64)
        numbers = np.searchsorted(searched.ends, places, side="right")
        return searched.rows[numbers], places - searched.starts[numbers]

    def count(self, phrases: Sequence[str]) -> Numbers:
        """Count how often phrases occur, (texts,)."""
        counts = np.zeros(self.n_texts, dtype=np.int64)
        for phrase in phrases:
            texts, _ = self.find(phrase)
            counts += np.bincount(texts, minlength=self.n_texts)
        return counts

    def mention(self, phrases: Sequence[str]) -> Flags:
        """Which texts have one of the phrases, (texts,)."""
        return self.count(phrases) > 0
