"""Finds rows that say nearly the same as an earlier row, by MinHash and locality-sensitive hashing.

A row is the multiset of its words, those of the question and of the answer apart, so neither case,
punctuation nor the order of sentences counts. Rows that agree on a whole band of their MinHash
(Broder, 1997; by the library rensa) are compared word by word: near-duplicates have a Jaccard
similarity of at least `SIMILARITY`, of at least `SIDE_SIMILARITY` in question and answer each, the
same numbers, and the same signs (`SIGN`) in their questions: another number is another task.

Words and bands lie in temporary files, 4 bytes per word and 160 per row. Memory: 40 bytes per row,
and 30 for each band that a row shares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.errors import ConfigError
from tacos.methods.cleaning.spilled_numbers import SpilledNumbers

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
SIGN = r"[<>=+%&|^{}]"
"""Signs of sums and code. Those of a question count as numbers do: another sign, another task."""
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
        self._words = SpilledNumbers(np.uint32)
        self._keys = SpilledNumbers(np.uint64)
        # Words of each row, chunk by chunk.
        self._lengths: list[npt.NDArray[np.uint32]] = []

    def add(self, instructions: pl.Series, responses: pl.Series) -> None:
        """The next rows: two columns of texts."""
        for first in range(0, len(instructions), CHUNK):
            words, lengths = hash_words(
                instructions.slice(first, CHUNK),
                responses.slice(first, CHUNK),
            )
            self._words.append(words)
            self._lengths.append(lengths.astype(np.uint32))
            # Band after band, as they are read again.
            self._keys.append(self._compute_keys(words, lengths).T)

    def find(self) -> list[NearDuplicate]:
        """The rows, counted from 0, that repeat an earlier row which repeats none itself."""
        if not self._lengths:
            return []
        lengths = np.concatenate(self._lengths)
        shared = _list_shared_bands(self._read_band, lengths > 0)
        ends = np.cumsum(lengths, dtype=np.int64)

        def read_words(row: int) -> Words:
            n_words = int(lengths[row])
            return self._words.read(int(ends[row]) - n_words, n_words)

        return _walk_rows(shared, read_words)

    def _read_band(self, band: int) -> Keys:
        """The keys of one band, of all rows."""
        keys = []
        first = 0
        for lengths in self._lengths:
            n_rows = len(lengths)
            keys.append(self._keys.read(first + band * n_rows, n_rows))
            first += N_BANDS * n_rows
        return np.concatenate(keys)

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
    for texts, pattern, kind in (
        (instructions, WORD, 0),
        (instructions, SIGN, IS_NUMBER),
        (responses, WORD, IS_ANSWER),
    ):
        found = texts.fill_null("").str.to_lowercase().str.extract_all(pattern)
        n_words = found.list.len().to_numpy()
        owners = np.repeat(np.arange(n_rows), n_words)
        flat = found.filter(found.list.len() > 0).explode()
        is_number = flat.str.contains(NUMBER).to_numpy().astype(np.uint64)
        hashes = flat.hash(SEED).to_numpy() & np.uint64(0xFFFFFFFFFFFFFFFC)
        sides.append((owners, hashes | is_number | np.uint64(kind)))
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


class _SharedBands(NamedTuple):
    """Rows that have the same key as others in a band: `rows[i]` is in the group `groups[i]`.

    By row; of shape (pairs,). Group g has `sizes[g]` rows.
    """

    rows: npt.NDArray[np.uint32]
    groups: npt.NDArray[np.uint32]
    sizes: npt.NDArray[np.int64]


def _list_shared_bands(
    read_band: Callable[[int], Keys],
    has_words: npt.NDArray[np.bool_],
) -> _SharedBands:
    """The groups of equal keys, band by band; rows without words are in none."""
    found = []
    n_groups = 0
    for band in range(N_BANDS):
        rows, groups = _group_equal_keys(read_band(band))
        usable = has_words[rows]
        # Row and group in one number, so that one sort in place orders both.
        high = rows[usable].astype(np.uint64) << np.uint64(32)
        found.append(high | (groups[usable] + np.uint32(n_groups)))
        n_groups += int(groups.max(initial=0)) + 1
    pairs = np.concatenate(found)
    found.clear()
    pairs.sort()
    groups = pairs.astype(np.uint32)
    sizes = np.bincount(groups, minlength=n_groups)
    pairs >>= np.uint64(32)
    return _SharedBands(pairs.astype(np.uint32), groups, sizes)


def _group_equal_keys(
    keys: Keys,
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """The rows whose key another row has, and the number of the key of each."""
    order = np.argsort(keys)
    in_order = keys[order]
    begins = np.ones(len(keys) + 1, np.bool_)
    begins[1:-1] = in_order[1:] != in_order[:-1]
    # Where a key stands alone it begins, and so does the next one.
    is_shared = ~(begins[:-1] & begins[1:])
    numbers = np.cumsum(begins[:-1][is_shared]) - 1
    return order[is_shared].astype(np.uint32), numbers.astype(np.uint32)


def _walk_rows(
    shared: _SharedBands,
    read_words: Callable[[int], Words],
) -> list[NearDuplicate]:
    """Compare each row with the earlier rows of its groups that are no near-duplicates."""
    # Group g keeps its rows from place starts[g] on.
    starts = np.cumsum(shared.sizes) - shared.sizes
    n_kept = np.zeros(len(shared.sizes), np.uint8)
    kept = np.empty(len(shared.rows), np.uint32)
    found = []
    begins = np.ones(len(shared.rows), np.bool_)
    begins[1:] = shared.rows[1:] != shared.rows[:-1]
    firsts = np.flatnonzero(begins)
    rows = shared.rows[firsts]
    lasts = np.append(firsts, len(shared.rows))[1:]
    for row, first, last in zip(rows, firsts, lasts, strict=True):
        own_groups = shared.groups[first:last].tolist()
        candidates: set[int] = set()
        for group in own_groups:
            start = starts[group]
            candidates.update(kept[start : start + n_kept[group]].tolist())
        duplicate = _find_original(int(row), sorted(candidates), read_words)
        if duplicate is not None:
            found.append(duplicate)
            continue
        for group in own_groups:
            if n_kept[group] < MAX_COMPARED:
                kept[starts[group] + n_kept[group]] = row
                n_kept[group] += 1
    return found


def _find_original(
    row: int,
    candidates: Sequence[int],
    read_words: Callable[[int], Words],
) -> NearDuplicate | None:
    """The first candidate that the row repeats."""
    own = read_words(row)
    for other in candidates:
        similarity = compare_words(own, read_words(other))
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
