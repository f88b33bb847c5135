"""Measures what speaks for a candidate tag: one word alone, or the rest of the text as well.

A bag of words gives "Python Programming" to a snake, because "python" is loud. So each candidate's
loudest n-gram is found (the one that adds most to its score; for a tag that is only mentioned, its
own words), and the text is compared with the tag again without that n-gram's direction.

Whether a word has several meanings is known for the words of a list only (`training/`), and what
the rest of a text says is read from a sum of its words' vectors, not from its grammar.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Matrix = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
LARGEST_COSINE = 0.98
"""A text this close to its loudest n-gram says nothing else."""


class Contributions(NamedTuple):
    """What each n-gram of each text adds to each tag's score, one entry per such triple.

    `cells` is text * `width` + column of the tag. Entries of one n-gram of a text stand together:
    run k holds `n_grams[k]` and ends before entry `ends[k]`.
    """

    cells: Ids
    values: Matrix
    n_grams: npt.NDArray[np.int32]
    ends: Ids
    n_texts: int
    width: int

    def sum_scores(self) -> Matrix:
        """Sum up what the n-grams say, float32 (texts, learned tags)."""
        sums = np.bincount(
            self.cells,
            self.values,
            minlength=self.n_texts * self.width,
        )
        return sums.reshape(self.n_texts, self.width).astype(np.float32)


class EvidenceTable(NamedTuple):
    """What is known of tags and n-grams beyond the scores.

    `prototypes` (tags, dim) are the mean directions of the instructions with a tag, or the tag's
    own vector where it was given less than twice. `n_gram_vectors` is (n-grams, dim). The flags
    say which n-grams and which tags have a word with several meanings.
    """

    prototypes: Matrix
    n_gram_vectors: Matrix
    ambiguous_n_grams: Flags
    ambiguous_tags: Flags


class Evidence(NamedTuple):
    """What speaks for each candidate, each array (texts, WIDTH)."""

    score_by_words: Matrix
    loudest: Matrix
    closeness_to_prototype: Matrix
    rest_to_prototype: Matrix
    rest_to_tag: Matrix
    loudest_to_text: Matrix
    loudest_to_prototype: Matrix
    is_ambiguous: Flags


def list_contributions(
    tf_idf: sp.csr_array,
    weights: sp.csr_array,
) -> Contributions:
    """List every product of a text's n-gram and that n-gram's weights.

    `tf_idf` is (texts, n-grams), `weights` (n-grams, tags).
    """
    n_texts = tf_idf.shape[0]
    width = weights.shape[1]
    n_grams = tf_idf.indices
    lengths = np.diff(weights.indptr)[n_grams]
    # Places of the weights: a run of `lengths` places from the start of each n-gram's row.
    ends = np.cumsum(lengths)
    n_entries = int(ends[-1]) if len(ends) else 0
    shifts = weights.indptr[n_grams] - (ends - lengths)
    # In 32 bits: these arrays are the longest of all, and their traffic is what costs.
    places = np.arange(n_entries, dtype=np.int32)
    places += np.repeat(shifts.astype(np.int32), lengths)

    text_of_n_gram = np.repeat(
        np.arange(n_texts),
        np.diff(tf_idf.indptr),
    )
    cells = np.repeat(text_of_n_gram * width, lengths)
    cells += weights.indices[places]
    values = np.repeat(tf_idf.data, lengths)
    values *= weights.data[places]
    return Contributions(
        cells=cells,
        values=values,
        n_grams=n_grams,
        ends=ends,
        n_texts=n_texts,
        width=width,
    )


def measure_evidence(
    table: EvidenceTable,
    own: Matrix,
    column: Ids,
    contributions: Contributions,
    found: tuple[Ids, Flags],
    vectors: Matrix,
) -> Evidence:
    """Measure what speaks for the candidates of each text.

    `own` (texts, WIDTH, dim) are the candidates' vectors, `column` (texts, WIDTH) their columns
    among the scores, -1 if nothing was learned. `found` holds the candidates and whether each is
    mentioned, `vectors` (texts, dim) the texts' own.
    """
    tags, mentioned = found
    by_words, loudest, n_grams = find_loudest(contributions, column)
    has_n_gram = n_grams >= 0
    is_only_mentioned = mentioned & ~has_n_gram

    # (texts, WIDTH, dim) like `own`: of the prototypes, and of what is loudest.
    prototypes = table.prototypes[tags]
    words = table.n_gram_vectors[n_grams]
    words[is_only_mentioned] = own[is_only_mentioned]
    words[~has_n_gram & ~mentioned] = 0

    text = vectors[:, :, None]
    word_to_text = (words @ text)[..., 0]
    tag_to_text = (own @ text)[..., 0]
    prototype_to_text = (prototypes @ text)[..., 0]
    word_to_tag = np.einsum("tcd,tcd->tc", words, own)
    word_to_prototype = np.einsum("tcd,tcd->tc", words, prototypes)
    return Evidence(
        score_by_words=by_words,
        loudest=loudest,
        closeness_to_prototype=prototype_to_text,
        rest_to_prototype=_remove_direction(
            prototype_to_text,
            word_to_prototype,
            word_to_text,
        ),
        rest_to_tag=_remove_direction(tag_to_text, word_to_tag, word_to_text),
        loudest_to_text=word_to_text,
        loudest_to_prototype=word_to_prototype,
        is_ambiguous=np.where(
            has_n_gram,
            table.ambiguous_n_grams[n_grams],
            table.ambiguous_tags[tags] & mentioned,
        ),
    )


def _remove_direction(
    closeness: Matrix,
    word_to_target: Matrix,
    word_to_text: Matrix,
) -> Matrix:
    """Compute the cosine of text and target after the word's direction is taken from the text.

    0 where the text is little more than the word.
    """
    rest = closeness - word_to_text * word_to_target
    says_more = word_to_text < LARGEST_COSINE
    squares = np.where(says_more, 1 - word_to_text**2, 1)
    return np.asarray(
        np.where(says_more, rest / np.sqrt(squares), 0),
        dtype=np.float32,
    )


def find_loudest(
    contributions: Contributions,
    column: Ids,
) -> tuple[Matrix, Matrix, Ids]:
    """Return score by words, largest contribution, and its n-gram (-1 if none), as `column`."""
    n_texts, width = column.shape
    n_cells = contributions.n_texts * contributions.width
    starts = np.arange(n_texts)[:, None] * contributions.width
    # One cell more than there are, for candidates about which nothing was learned.
    cells = np.where(column >= 0, starts + column, n_cells)
    place_of_cell = np.full(n_cells + 1, -1)
    flat_cells = cells.ravel()
    place_of_cell[flat_cells] = np.arange(flat_cells.size)
    place_of_cell[n_cells] = -1

    # Only entries of candidates: a small part, by which what follows costs little.
    places = place_of_cell[contributions.cells]
    (kept,) = np.nonzero(places >= 0)
    place = places[kept]
    value = contributions.values[kept]
    run = np.searchsorted(contributions.ends, kept, side="right")
    n_gram = contributions.n_grams[run]
    sums = np.bincount(
        place,
        value,
        minlength=flat_cells.size,
    )
    largest = np.zeros(flat_cells.size, dtype=np.float32)
    np.maximum.at(largest, place, value)
    loudest = np.full(flat_cells.size, -1)
    is_largest = (value == largest[place]) & (value > 0)
    # Of equal ones the last in the alphabet stays.
    loudest[place[is_largest]] = n_gram[is_largest]
    shape = (n_texts, width)
    return (
        sums.astype(np.float32).reshape(shape),
        largest.reshape(shape),
        loudest.reshape(shape),
    )
