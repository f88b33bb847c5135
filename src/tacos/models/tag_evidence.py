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

    An entry adds its one of `values` to the score of its one of `columns`. Entries of one n-gram of
    a text stand together: run k holds `n_grams[k]` and ends before entry `ends[k]`. Those of text
    t end before entry `text_ends[t]`. `width` is the number of columns.
    """

    columns: npt.NDArray[np.int32]
    values: Matrix
    n_grams: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]
    text_ends: npt.NDArray[np.int32]
    width: int

    def sum_scores(self) -> Matrix:
        """Sum up what the n-grams say, float32 (texts, learned tags)."""
        listed = sp.csr_array(
            (
                self.values,
                self.columns,
                np.concatenate([np.zeros(1, dtype=np.int32), self.text_ends]),
            ),
            shape=(len(self.text_ends), self.width),
        )
        return np.asarray(listed.toarray())


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


class Loudness(NamedTuple):
    """What n-grams add to the score of each candidate, each array (texts, WIDTH).

    Their sum, the largest of them, and its n-gram, -1 if none adds anything.
    """

    by_words: Matrix
    largest: Matrix
    n_grams: Ids


class Cosines(NamedTuple):
    """Cosines of texts, candidate tags, their prototypes and loudest words: (texts, candidates)."""

    tag_to_text: Matrix
    prototype_to_text: Matrix
    word_to_text: Matrix
    word_to_tag: Matrix
    word_to_prototype: Matrix


class Evidence(NamedTuple):
    """What speaks for each candidate beside its words, each array (texts, WIDTH)."""

    rest_to_prototype: Matrix
    rest_to_tag: Matrix
    is_ambiguous: Flags


def list_contributions(
    tf_idf: sp.csr_array,
    weights: sp.csr_array,
) -> Contributions:
    """List every product of a text's n-gram and that n-gram's weights.

    `tf_idf` is (texts, n-grams), `weights` (n-grams, tags).
    """
    n_grams = tf_idf.indices
    # The weights of each n-gram, run after run: scipy copies them whole.
    runs = weights[n_grams]
    values = np.repeat(tf_idf.data, np.diff(runs.indptr))
    values *= runs.data
    return Contributions(
        columns=runs.indices,
        values=values,
        n_grams=n_grams,
        ends=runs.indptr[1:],
        text_ends=runs.indptr[tf_idf.indptr[1:]],
        width=weights.shape[1],
    )


def find_loudest(contributions: Contributions, column: Ids) -> Loudness:
    """Find what n-grams add to each candidate.

    `column` (texts, WIDTH) is a candidate's column among the scores, -1 if nothing was learned;
    those of one text are distinct.
    """
    n_texts = len(column)
    width = contributions.width
    starts = np.arange(n_texts) * width
    is_learned = column >= 0
    (place_of_candidate,) = np.nonzero(is_learned.ravel())
    cells_of_candidates = (starts[:, None] + column)[is_learned]
    is_candidate = np.zeros(n_texts * width, dtype=np.bool_)
    is_candidate[cells_of_candidates] = True
    # Only the cells of candidates are ever read.
    place_of_cell = np.empty(n_texts * width, dtype=np.int32)
    place_of_cell[cells_of_candidates] = place_of_candidate

    # Only entries of candidates: a small part, by which what follows costs little.
    cells = np.repeat(starts, np.diff(contributions.text_ends, prepend=0))
    cells += contributions.columns
    (kept,) = np.nonzero(is_candidate[cells])
    place = place_of_cell[cells[kept]]
    value = contributions.values[kept]
    sums = np.bincount(
        place,
        value,
        minlength=column.size,
    )
    largest = np.zeros(column.size, dtype=np.float32)
    np.maximum.at(largest, place, value)
    (loudest,) = np.nonzero((value == largest[place]) & (value > 0))
    run = np.searchsorted(contributions.ends, kept[loudest], side="right")
    n_grams = np.full(column.size, -1)
    # Of equal ones the last in the alphabet stays.
    n_grams[place[loudest]] = contributions.n_grams[run]
    return Loudness(
        sums.astype(np.float32).reshape(column.shape),
        largest.reshape(column.shape),
        n_grams.reshape(column.shape),
    )


def compare_vectors(
    table: EvidenceTable,
    own: Matrix,
    found: tuple[Ids, Flags],
    n_grams: Ids,
    vectors: Matrix,
) -> Cosines:
    """Compare the vectors of texts, candidates, their prototypes and what is loudest for them.

    `own` (texts, candidates, dim) are the candidates' vectors. `found` holds the candidates and
    whether each is mentioned, `n_grams` the loudest one of each, `vectors` (texts, dim) the texts'
    own.
    """
    tags, mentioned = found
    has_n_gram = n_grams >= 0
    # What is loudest for a candidate: an n-gram, its own words, or nothing
    prototypes = take_rows(table.prototypes, tags)
    words = take_rows(table.n_gram_vectors, n_grams)
    is_only_mentioned = mentioned & ~has_n_gram
    words[is_only_mentioned] = own[is_only_mentioned]
    words[~has_n_gram & ~mentioned] = 0

    text = vectors[:, :, None]
    return Cosines(
        tag_to_text=(own @ text)[..., 0],
        prototype_to_text=(prototypes @ text)[..., 0],
        word_to_text=(words @ text)[..., 0],
        word_to_tag=np.vecdot(words, own),
        word_to_prototype=np.vecdot(words, prototypes),
    )


def take_rows(table: Matrix, numbers: Ids) -> Matrix:
    """Take rows of a table by their numbers, any for a number below 0; fast."""
    return table.take(numbers, axis=0, mode="clip")


def weigh_evidence(
    table: EvidenceTable,
    found: tuple[Ids, Flags],
    n_grams: Ids,
    cosines: Cosines,
) -> Evidence:
    """Weigh what speaks for the candidates of each text; the arguments are (texts, WIDTH)."""
    tags, mentioned = found
    return Evidence(
        rest_to_prototype=_remove_direction(
            cosines.prototype_to_text,
            cosines.word_to_prototype,
            cosines.word_to_text,
        ),
        rest_to_tag=_remove_direction(
            cosines.tag_to_text,
            cosines.word_to_tag,
            cosines.word_to_text,
        ),
        is_ambiguous=np.where(
            n_grams >= 0,
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
