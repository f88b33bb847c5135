"""Tags as phrases: which tags of a lexicon occur in a text, compared word by word by their Porter
stems.

The lexicon is wider than the learned vocabulary (every tag seen once, and the published counts of
raw tags), so a topic that nothing was learned about can still be named where the text names it. It
finds words, not meanings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
import Stemmer

PIECE = re.compile(r"[^\W\d_]+[+#]*|\d+")
LONGEST_TAG, MAX_PIECES, MAX_MENTIONS = 4, 300, 10
Ids = npt.NDArray[np.int32]


def stem_text(text: str) -> list[str]:
    """The stems of a text's words, `MAX_PIECES` at most.

    >>> stem_text("Sorting algorithms, C++")
    ['sort', 'algorithm', 'c++']
    """
    return list(
        Stemmer.Stemmer("porter").stemWords(
            PIECE.findall(text[: 12 * MAX_PIECES].lower())[:MAX_PIECES]
        )
    )


@lru_cache(maxsize=50_000)
def _stem_tag(tag: str) -> tuple[str, ...]:
    """The stems of a tag, `LONGEST_TAG` at most; lexicons share most of their tags while a tagger
    is trained.
    """
    return tuple(stem_text(tag)[:LONGEST_TAG])


@dataclass(frozen=True)
class Lexicon:
    """Tags with their stems; `weights` gives each stem's inverse frequency in instructions
    (unknown: `rare`).
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
        """Stems joined by blanks -> the tags with exactly these."""
        out: dict[str, list[int]] = {}
        for number, stems in enumerate(self.stems):
            if stems:
                out.setdefault(" ".join(stems), []).append(number)
        return out

    @cached_property
    def by_stem(self) -> dict[str, int]:
        """A number, from 1, for each stem that occurs in a tag."""
        return {
            each: n
            for n, each in enumerate(
                dict.fromkeys(s for stems in self.stems for s in stems), start=1
            )
        }

    @cached_property
    def parts(self) -> Ids:
        """int32 (tags, LONGEST_TAG): the numbers of each tag's stems, 0 where there are no more."""
        out = np.zeros((len(self.tags), LONGEST_TAG), dtype=np.int32)
        for row, stems in enumerate(self.stems):
            out[row, : len(stems)] = [self.by_stem[each] for each in stems]
        return out

    @cached_property
    def part_weights(self) -> npt.NDArray[np.float32]:
        """float32 (tags, LONGEST_TAG): the weights of `parts`, 0 where there are no more."""
        table = [0.0, *(self.weights.get(each, self.rare) for each in self.by_stem)]
        return np.array(table, dtype=np.float32)[self.parts]

    @cached_property
    def weight(self) -> list[float]:
        """The weight of each tag: the sum of its stems'."""
        return [float(total) for total in self.part_weights.sum(axis=1)]

    def mentions(self, stems: Sequence[str]) -> list[int]:
        """The tags whose stems stand side by side in the text, the weightiest first, `MAX_MENTIONS`
        at most.
        """
        found: set[int] = set()
        for n in range(1, LONGEST_TAG + 1):
            runs = (" ".join(stems[start : start + n]) for start in range(len(stems) - n + 1))
            found.update(tag for run in runs for tag in self.by_phrase.get(run, ()))
        return sorted(found, key=lambda tag: (-self.weight[tag], tag))[:MAX_MENTIONS]

    def present(self, texts: Sequence[Sequence[str]]) -> npt.NDArray[np.bool_]:
        """Which numbered stems each text has: bool (texts, stems + 1); column 0 is always False."""
        out = np.zeros((len(texts), len(self.by_stem) + 1), dtype=np.bool_)
        for row, stems in enumerate(texts):
            out[row, [self.by_stem[each] for each in set(stems) if each in self.by_stem]] = True
        return out
