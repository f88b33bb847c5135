"""Finds rows that say nearly the same as an earlier row, by MinHash and locality-sensitive hashing.

A row is the multiset of its words, those of the question and of the answer apart, so neither case,
punctuation nor the order of sentences counts. Rows that agree on a whole band of their MinHash
(Broder, 1997; by the library rensa) are compared word by word: near-duplicates have a Jaccard
similarity of at least `SIMILARITY`, of at least `SIDE_SIMILARITY` in question and answer each, and
the same numbers: another number is another task.

Memory: 4 bytes per word and 160 per row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.errors import ConfigError

SIMILARITY = 0.8
SIDE_SIMILARITY = 0.6
N_BANDS = 20
BAND_WIDTH = 6
"""20 bands of 6 values find a pair of similarity .8 with a probability of .998."""
MAX_COMPARED = 64
"""Rows of one band that a later row is compared with, the earliest first."""
SEED = 1
CHUNK = 10_000
"""Rows whose MinHash is computed at a time."""

# Scripts without spaces between words: every character is a word.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}"
WORD = rf"[{_UNSPACED}]|[\p{{L}}\p{{M}}\p{{N}}--[{_UNSPACED}]]+"
NUMBER = r"^\p{N}+$"
# Two bits of a word's hash say what it is.
IS_NUMBER = 1
IS_ANSWER = 2

Words = npt.NDArray[np.uint32]
"""The hashes of a row's words, ascending; all are different."""
Keys = npt.NDArray[np.uint64]


class NearDuplicate(NamedTuple):
    """A row, the earlier row that it repeats, and their Jaccard similarity."""

    row: int
    original: int
    similarity: float


class NearDuplicateFinder:
    """Takes rows in batches, and finds the near-duplicates among all of them.

    Raises `ConfigError` where rensa is not installed.
    """

    def __init__(self) -> None:
        self._minhash = _load_minhash()
        self._words: list[Words] = []
        self._lengths: list[npt.NDArray[np.int64]] = []
        self._keys: list[Keys] = []

    def add(self, instructions: pl.Series, responses: pl.Series) -> None:
        """The next rows: two columns of texts."""
        for first in range(0, len(instructions), CHUNK):
            words, lengths = hash_words(
                instructions.slice(first, CHUNK),
                responses.slice(first, CHUNK),
            )
            self._words.append(words)
            self._lengths.append(lengths)
            self._keys.append(self._compute_keys(words, lengths))

    def find(self) -> list[NearDuplicate]:
        """The rows, counted from 0, that repeat an earlier row which repeats none itself."""
        if not self._keys:
            return []
        words = np.concatenate(self._words)
        lengths = np.concatenate(self._lengths)
        ends = np.cumsum(lengths)
        keys = np.concatenate(self._keys)
        rows, groups = _list_shared_bands(keys, lengths > 0)
        return _walk_rows(
            rows,
            groups,
            words,
            np.concatenate([[0], ends]),
        )

    def _compute_keys(self, words: Words, lengths: npt.NDArray[np.int64]) -> Keys:
        """One key per row and band; of shape (rows, `N_BANDS`)."""
        ends = np.cumsum(lengths)
        matrix = self._minhash.digest_matrix_from_flat_token_hashes(
            words.astype(np.uint64),
            np.concatenate([[0], ends]).astype(np.uint64),
            N_BANDS * BAND_WIDTH,
            SEED,
        )
        digests = np.array(matrix.to_rows(), dtype=np.uint64)
        bands = digests.reshape(len(lengths), N_BANDS, BAND_WIDTH)
        rng = np.random.default_rng(SEED)
        factors = rng.integers(
            1 << 63,
            size=BAND_WIDTH,
            dtype=np.uint64,
        )
        # Modulo 2^64: different bands have different keys, but for one pair in 10^19.
        odd = 2 * factors + np.uint64(1)
        keys: Keys = (bands * odd).sum(axis=2, dtype=np.uint64)
        return keys


def hash_words(
    instructions: pl.Series,
    responses: pl.Series,
) -> tuple[Words, npt.NDArray[np.int64]]:
    """The words of all rows one after another, and how many each row has.

    A word that comes twice counts as two: its second occurrence has another hash.
    """
    n_rows = len(instructions)
    sides = []
    for texts, is_answer in ((instructions, 0), (responses, IS_ANSWER)):
        found = texts.fill_null("").str.to_lowercase().str.extract_all(WORD)
        n_words = found.list.len().to_numpy()
        owners = np.repeat(np.arange(n_rows), n_words)
        flat = found.filter(found.list.len() > 0).explode()
        is_number = flat.str.contains(NUMBER).to_numpy().astype(np.uint64)
        hashes = flat.hash(SEED).to_numpy() & np.uint64(0xFFFFFFFFFFFFFFFC)
        sides.append((owners, hashes | is_number | np.uint64(is_answer)))
    owners = np.concatenate([owner for owner, _ in sides])
    hashes = np.concatenate([side for _, side in sides])
    words = _tell_occurrences_apart(owners, hashes)
    order = np.lexsort((words, owners))
    lengths = np.bincount(owners, minlength=n_rows)
    return words[order], lengths.astype(np.int64)


def compare_words(left: Words, right: Words) -> float:
    """The Jaccard similarity of two rows, 0 where they are no near-duplicates."""
    if min(len(left), len(right)) < SIMILARITY * max(len(left), len(right)):
        return 0.0
    common = np.intersect1d(left, right, assume_unique=True)
    similarity = _divide_common(len(common), len(left), len(right))
    if similarity < SIMILARITY:
        return 0.0
    left_numbers = left[left & IS_NUMBER == 1]
    right_numbers = right[right & IS_NUMBER == 1]
    if not np.array_equal(left_numbers, right_numbers):
        return 0.0
    for side in (0, IS_ANSWER):
        of_side = _divide_common(
            _count_side(common, side),
            _count_side(left, side),
            _count_side(right, side),
        )
        if of_side < SIDE_SIMILARITY:
            return 0.0
    return similarity


def _divide_common(n_common: int, n_left: int, n_right: int) -> float:
    """Jaccard's index; two empty sets are equal."""
    n_all = n_left + n_right - n_common
    return n_common / n_all if n_all else 1.0


def _count_side(words: Words, side: int) -> int:
    return int(np.count_nonzero(words & IS_ANSWER == side))


def _tell_occurrences_apart(
    owners: npt.NDArray[np.int64],
    hashes: Keys,
) -> Words:
    """Hashes of 32 bits in which a word's further occurrences in its row differ; the two bits that
    say what a word is stay. `owners` is sorted anew, in place.
    """
    order = np.lexsort((hashes, owners))
    sorted_hashes = hashes[order]
    owners[:] = owners[order]
    places = np.arange(len(order))
    is_repeated = np.zeros(len(order), np.bool_)
    is_repeated[1:] = sorted_hashes[1:] == sorted_hashes[:-1]
    is_repeated[1:] &= owners[1:] == owners[:-1]
    first_places = np.where(is_repeated, 0, places)
    np.maximum.accumulate(first_places, out=first_places)
    occurrences = (places - first_places).astype(np.uint64)
    # The golden ratio's multiples are spread over all 64 bits (Knuth).
    mixed = sorted_hashes + occurrences * np.uint64(0x9E3779B97F4A7C15)
    kinds = (sorted_hashes & np.uint64(3)).astype(np.uint32)
    high_bits = (mixed >> np.uint64(32)).astype(np.uint32)
    return (high_bits & np.uint32(0xFFFFFFFC)) | kinds


def _list_shared_bands(
    keys: Keys,
    has_words: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows and the numbers of the groups of equal keys that they share with others, by row."""
    all_rows = []
    all_groups = []
    usable = np.flatnonzero(has_words)
    for band in range(N_BANDS):
        _, group, sizes = np.unique(
            keys[usable, band],
            return_inverse=True,
            return_counts=True,
        )
        is_shared = sizes[group] > 1
        all_rows.append(usable[is_shared])
        all_groups.append(group[is_shared] * N_BANDS + band)
    rows = np.concatenate(all_rows)
    order = np.argsort(rows, kind="stable")
    return rows[order], np.concatenate(all_groups)[order]


def _walk_rows(
    rows: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    words: Words,
    bounds: npt.NDArray[np.int64],
) -> list[NearDuplicate]:
    """Compare each row with the earlier rows of its groups that are no near-duplicates."""
    kept: defaultdict[int, list[int]] = defaultdict(list)
    found = []
    distinct, firsts = np.unique(rows, return_index=True)
    lasts = np.append(firsts, len(rows))[1:].tolist()
    for row, first, last in zip(distinct.tolist(), firsts.tolist(), lasts, strict=True):
        own_groups = groups[first:last].tolist()
        candidates = {other for group in own_groups for other in kept[group]}
        duplicate = _find_original(row, sorted(candidates), words, bounds)
        if duplicate is not None:
            found.append(duplicate)
            continue
        for group in own_groups:
            if len(kept[group]) < MAX_COMPARED:
                kept[group].append(row)
    return found


def _find_original(
    row: int,
    candidates: Sequence[int],
    words: Words,
    bounds: npt.NDArray[np.int64],
) -> NearDuplicate | None:
    """The first candidate that the row repeats."""
    own = words[bounds[row] : bounds[row + 1]]
    for other in candidates:
        theirs = words[bounds[other] : bounds[other + 1]]
        similarity = compare_words(own, theirs)
        if similarity:
            return NearDuplicate(row, other, similarity)
    return None


def _load_minhash() -> Any:
    """rensa's MinHash."""
    try:
        import rensa
    except ImportError:
        raise ConfigError(
            "near-duplicates need rensa: pip install 'tacos-select[clean]', "
            "or go without them: --without near-duplicates, in tacos select --clean light"
        ) from None
    return rensa.RMinHash
