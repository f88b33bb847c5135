"""Finds rows that say the same as an earlier row in other words, by their embeddings.

A paraphrase has a cosine of at least `SIMILARITY` to the earlier row in question and answer each,
and the same key (`hash_details`): another number is another task, and in code to be repaired
another mark is another error. Rows are compared with those of the same neighbourhood only. Some
rows, drawn at random, are centres; a neighbourhood has the rows for which its centre is one of the
`N_NEAREST`, so two rows that are much alike share one with near certainty, and n rows cost about
n sqrt(n) comparisons.

Vectors lie in a temporary file, 2 bytes per dimension. Memory: 40 bytes per row, and the vectors of
two blocks of `BLOCK` rows.

What it does not know: whether a word that differs makes another task ("even" and "odd" numbers).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.methods.cleaning.near_duplicates import IS_NUMBER, hash_words
from tacos.methods.cleaning.spilled_numbers import SpilledNumbers

SIMILARITY = 0.94
N_NEAREST = 2
BLOCK = 4_000
"""Rows that are compared with as many others at a time."""
MAX_FOUND = 64
"""Earlier rows of a neighbourhood that are noted for a row, for the case that some repeat rows
themselves."""
SEED = 1
CODE = r"[{}]|\bdef \w+\("
MARK = r"[^\p{L}\p{M}\p{N}\s]"

Vectors = npt.NDArray[np.float32]
Keys = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]


class Paraphrase(NamedTuple):
    """A row, the earlier row that it repeats, and the smaller of the two cosines."""

    row: int
    original: int
    similarity: float


class ParaphraseFinder:
    """Takes the vectors of rows in batches, and finds the paraphrases among all of them.

    `dim` is that of the vectors of questions, and of those of answers.
    """

    def __init__(self, dim: int, similarity: float = SIMILARITY) -> None:
        self._dim = dim
        self._similarity = similarity
        self._vectors = SpilledNumbers(np.float16)
        self._keys: list[Keys] = []
        self._n_rows = 0

    def add(self, questions: Vectors, answers: Vectors, keys: Keys) -> None:
        """The next rows: unit vectors, shape (rows, dim), and what must be the same, (rows,)."""
        self._vectors.append(np.hstack([questions, answers]))
        self._keys.append(keys)
        self._n_rows += len(keys)

    def find(self) -> list[Paraphrase]:
        """The rows, counted from 0, that repeat an earlier row which repeats none itself."""
        if not self._n_rows:
            return []
        keys = np.concatenate(self._keys)
        rows, starts = self._build_neighbourhoods()
        pairs = [np.zeros((0, 3))]
        for first, last in pairwise(starts.tolist()):
            pairs += self._compare_rows(rows[first:last].astype(np.int64), keys)
        return _keep_originals(np.concatenate(pairs))

    def _read(self, rows: Rows) -> Vectors:
        """The vectors of rows, shape (rows, 2 dim), ascending row numbers."""
        width = 2 * self._dim
        vectors = np.empty((len(rows), width), np.float32)
        # Rows that stand side by side are read at once.
        begins = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
        ends = np.append(begins[1:], len(rows))
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            found = self._vectors.read(int(rows[begin]) * width, (end - begin) * width)
            vectors[begin:end] = found.reshape(-1, width)
        return vectors

    def _build_neighbourhoods(self) -> tuple[npt.NDArray[np.uint32], Rows]:
        """The rows of each neighbourhood, one after another, and where each begins."""
        n_centres = math.ceil(math.sqrt(self._n_rows))
        rng = np.random.default_rng(SEED)
        drawn = rng.choice(self._n_rows, n_centres, replace=False)
        drawn.sort()
        centres = self._read(drawn)
        n_nearest = min(N_NEAREST, n_centres)
        nearest = np.empty((self._n_rows, n_nearest), np.uint32)
        for first in range(0, self._n_rows, BLOCK):
            last = min(first + BLOCK, self._n_rows)
            cosines = self._read(np.arange(first, last)) @ centres.T
            order = np.argpartition(-cosines, n_nearest - 1, axis=1)
            nearest[first:last] = order[:, :n_nearest]
        # Stable: within a neighbourhood, rows keep their order.
        order = np.argsort(nearest.ravel(), kind="stable")
        sizes = np.bincount(nearest.ravel(), minlength=n_centres)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        return (order // n_nearest).astype(np.uint32), starts

    def _compare_rows(
        self,
        rows: Rows,
        keys: Keys,
    ) -> Iterator[npt.NDArray[np.float64]]:
        """Pairs of a neighbourhood's rows that are alike: later row, earlier row, cosine."""
        for first in range(0, len(rows), BLOCK):
            later = rows[first : first + BLOCK]
            later_vectors = self._read(later)
            for start in range(0, first + 1, BLOCK):
                earlier = rows[start : start + BLOCK]
                earlier_vectors = later_vectors
                if start < first:
                    earlier_vectors = self._read(earlier)
                cosines = self._measure_likeness(later_vectors, earlier_vectors)
                is_alike = cosines >= self._similarity
                is_alike &= later[:, None] > earlier[None, :]
                is_alike &= keys[later][:, None] == keys[earlier][None, :]
                # The first ones of each row.
                is_alike &= np.cumsum(is_alike, axis=1, dtype=np.int32) <= MAX_FOUND
                one, other = np.nonzero(is_alike)
                yield np.column_stack([later[one], earlier[other], cosines[one, other]])

    def _measure_likeness(self, left: Vectors, right: Vectors) -> Vectors:
        """The smaller of the cosines of questions and answers, shape (left, right)."""
        dim = self._dim
        questions = left[:, :dim] @ right[:, :dim].T
        answers = left[:, dim:] @ right[:, dim:].T
        smaller: Vectors = np.minimum(questions, answers)
        return smaller


def hash_details(instructions: pl.Series, responses: pl.Series) -> Keys:
    """A key per row, shape (rows,): rows with the same numbers, and the same signs in their
    questions, have the same one; where a question has code (`CODE`), all its marks count.
    """
    words, lengths = hash_words(instructions, responses)
    is_number = words & IS_NUMBER == 1
    owners = np.repeat(np.arange(len(lengths)), lengths)[is_number]
    keys = np.zeros(len(lengths), np.uint64)
    np.add.at(keys, owners, _mix(words[is_number].astype(np.uint64)))
    marks = instructions.str.extract_all(MARK)
    is_code = instructions.str.contains(CODE)
    of_code = pl.select(pl.when(is_code).then(marks)).to_series()
    n_marks = of_code.list.len().fill_null(0).to_numpy()
    owners = np.repeat(np.arange(len(keys)), n_marks)
    hashes = of_code.filter(pl.Series(n_marks > 0)).explode().hash(SEED).to_numpy()
    np.add.at(keys, owners, _mix(hashes))
    return keys


def _mix(hashes: Keys) -> Keys:
    """Hashes spread so that different sets of them hardly ever have the same sum."""
    mixed: Keys = hashes * np.uint64(0x9E3779B97F4A7C15)
    return mixed ^ (mixed >> np.uint64(32))


def _keep_originals(pairs: npt.NDArray[np.float64]) -> list[Paraphrase]:
    """Each later row of the pairs (later row, earlier row, cosine) with the first earlier row that
    repeats none itself; rows that repeat only such rows are left out.
    """
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    found: dict[int, Paraphrase] = {}
    for later, earlier, cosine in pairs[order].tolist():
        if later not in found and earlier not in found:
            found[int(later)] = Paraphrase(int(later), int(earlier), cosine)
    return list(found.values())
