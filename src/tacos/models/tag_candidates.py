"""Proposes a few candidate tags per instruction and describes each one as a row of numbers.

This is the tagger's second look. Candidates are the tags that score highest and those that the text
mentions. The numbers (`NAMES`) say how a candidate stands among the others: its score and rank, how
often annotators gave it, how much of it the text mentions, how close it is to the text in meaning,
whether a better candidate already says the same, and whether one word alone speaks for it
(`tacos.models.tag_evidence`). A small network (`Perceptron`) turns them into
a probability; it was fitted on scores of instructions that the scorer had not seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tacos.models import tag_evidence
from tacos.models.chunk_numbers import Runs
from tacos.models.tag_phrases import MAX_MENTIONS, Lexicon

N_SCORED = 20
WIDTH = N_SCORED + MAX_MENTIONS
N_COMPARED = 32
"""The texts whose candidates are compared together."""
N_GROUPS = 64
"""The groups of scores whose maxima bound the best ones."""
NAMES = (
    "score",
    "rank",
    "gap to the best",
    "times given",
    "mentioned",
    "share of words in the text",
    "number of words",
    "weight of the commonest word",
    "times in the published counts",
    "closeness to the text",
    "closest better tag",
    "closest better tag times its score",
    "sum of the six best scores",
    "words of the text",
    "best score",
    "mentioned times weight",
    "scores above 0.1",
    "learned",
    "score by words",
    "loudest n-gram",
    "closeness to the prototype",
    "closeness of the rest to the prototype",
    "closeness of the rest to the tag",
    "closeness of the loudest to the text",
    "closeness of the loudest to the prototype",
    "loudest has several meanings",
)
Matrix = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Found = tuple[Ids, Flags]


class TagTable(NamedTuple):
    """What is known of every tag of the lexicon, one row per tag.

    `vectors` is (tags, dim); `given` counts how often annotators gave a tag, `published` how often
    it stands in the published counts. `columns` is a tag's column among the scores, -1 for a tag
    about which nothing was learned.
    """

    lexicon: Lexicon
    vectors: Matrix
    given: Matrix
    published: Matrix
    columns: Ids
    evidence: tag_evidence.EvidenceTable


class TextScores(NamedTuple):
    """Scores of learned tags, float32 (texts, learned tags), and what the n-grams add to them."""

    total: Matrix
    by_words: tag_evidence.Contributions


class Perceptron(NamedTuple):
    """A perceptron with ReLU: mean and spread of the inputs, then weights and biases per layer."""

    mean: Matrix
    spread: Matrix
    weights: list[Matrix]
    biases: list[Matrix]

    def probability(self, rows: Matrix) -> Matrix:
        """Compute probabilities, float32 of shape (...,), for rows of shape (..., len(NAMES))."""
        values = (rows - self.mean) / self.spread
        layers = zip(
            self.weights,
            self.biases,
            strict=True,
        )
        for number, layer in enumerate(layers):
            weights, bias = layer
            # ReLU between two layers: neither before the first nor after the last.
            if number > 0:
                values = np.maximum(values, 0)
            values = values @ weights + bias
        logits = values[..., 0]
        return np.asarray(
            1 / (1 + np.exp(-logits)),
            dtype=np.float32,
        )


def propose_candidates(
    known: TagTable,
    scores: Matrix,
    texts: Runs,
) -> Found:
    """Return candidates and whether each text mentions them, both of shape (texts, WIDTH).

    Candidates are row numbers of the lexicon, -1 where a text has no more. `scores` is (texts,
    learned tags), `texts` holds each text's stems by their numbers.
    """
    n_texts = len(texts.counts)
    shape = (n_texts, WIDTH)
    candidates = np.full(
        shape,
        -1,
        dtype=np.int64,
    )
    mentioned = np.zeros(
        shape,
        dtype=np.bool_,
    )
    # The first places are for the tags that score highest, ascending by tag.
    n_scored = min(N_SCORED, scores.shape[1])
    best_columns = find_largest(scores, n_scored)
    best_tags = np.sort(_invert_columns(known.columns)[best_columns], axis=1)
    candidates[:, :n_scored] = best_tags

    # Which of them are mentioned, by their columns; one more column for tags without one
    text, tag = known.lexicon.find_mentions(texts)
    column = known.columns[tag]
    is_named = np.zeros((n_texts, scores.shape[1] + 1), dtype=np.bool_)
    is_named[text, column] = True
    rows = np.arange(n_texts)[:, None]
    mentioned[:, :n_scored] = is_named[rows, known.columns[best_tags]]

    # Tags that are only mentioned come after those that score.
    is_best = np.zeros_like(is_named)
    is_best[rows, best_columns] = True
    is_only_named = ~is_best[text, column]
    text = text[is_only_named]
    tag = tag[is_only_named]
    order = np.lexsort((tag, text))
    # `text` is ascending before and after
    place = n_scored + np.arange(len(text)) - np.searchsorted(text, text)
    candidates[text, place] = tag[order]
    mentioned[text, place] = True
    return candidates, mentioned


def find_largest(rows: Matrix, n: int) -> Ids:
    """Find the columns of the n largest numbers of each row, for n up to `N_GROUPS`: (rows, n).

    The largest comes first, of equal ones the first.

    >>> find_largest(np.array([[3, 1, 2], [5, 5, 4]], dtype=np.float32), 2).tolist()
    [[0, 2], [0, 1]]
    """
    n_rows, n_columns = rows.shape
    bounds = np.full(n_rows, -np.inf, dtype=np.float32)
    height = n_columns // N_GROUPS
    if height >= 2:
        # At least n numbers reach the n-th largest of the groups' maxima, and few others do.
        groups = rows[:, : height * N_GROUPS].reshape(n_rows, height, N_GROUPS)
        maxima = groups.max(axis=1)
        bounds = np.partition(maxima, N_GROUPS - n, axis=1)[:, N_GROUPS - n]
    cells = np.flatnonzero(rows >= bounds[:, None])
    row, column = np.divmod(cells, n_columns)
    order = np.lexsort((-rows.ravel()[cells], row))
    starts = np.searchsorted(row, np.arange(n_rows))
    return np.asarray(column[order[starts[:, None] + np.arange(n)]])


def _invert_columns(columns: Ids) -> Ids:
    """Return the tag of each column of the scores."""
    (learned,) = np.nonzero(columns >= 0)
    order = np.argsort(columns[learned])
    return learned[order]


def describe_candidates(
    known: TagTable,
    scores: TextScores,
    texts: Runs,
    vectors: Matrix,
    found: Found,
) -> Matrix:
    """Describe the candidates of each text: float32 of shape (texts, WIDTH, len(NAMES)).

    `texts` and `found` are as in `propose_candidates`. `vectors` (texts, dim) are the texts' own,
    in the same space as the tags'. An empty place repeats the first one.
    """
    tags, mentioned = found
    column = np.where(tags >= 0, known.columns[tags], -1)
    score = _gather_scores(scores.total, column)
    descending = -np.sort(-score, axis=1)
    best_score = descending[:, :1]
    six_best = descending[:, :6].sum(axis=1, keepdims=True)
    coverage = _measure_word_coverage(known.lexicon, texts, tags)
    is_high = score > 0.1
    loudness = tag_evidence.find_loudest(scores.by_words, column)
    closest, cosines = _compare_candidates(
        known,
        score,
        found,
        loudness.n_grams,
        vectors,
    )
    evidence = tag_evidence.weigh_evidence(
        known.evidence,
        found,
        loudness.n_grams,
        cosines,
    )

    # Each is (texts, WIDTH), or (texts, 1) if all candidates of a text share it.
    columns: Mapping[str, npt.ArrayLike] = {
        "score": score,
        "rank": np.log1p(_rank_descending(score)),
        "gap to the best": best_score - score,
        "times given": np.log1p(known.given[tags]),
        "mentioned": mentioned,
        "share of words in the text": coverage.share,
        "number of words": coverage.n_words,
        "weight of the commonest word": coverage.least_weight,
        "times in the published counts": np.log1p(known.published[tags]),
        "closeness to the text": cosines.tag_to_text,
        "closest better tag": closest.cosine,
        "closest better tag times its score": closest.weighted,
        "sum of the six best scores": six_best,
        "words of the text": np.log1p(texts.counts[:, None]),
        "best score": best_score,
        "mentioned times weight": mentioned * coverage.least_weight,
        "scores above 0.1": is_high.sum(axis=1, keepdims=True),
        "learned": column >= 0,
        "score by words": loudness.by_words,
        "loudest n-gram": loudness.largest,
        "closeness to the prototype": cosines.prototype_to_text,
        "closeness of the rest to the prototype": evidence.rest_to_prototype,
        "closeness of the rest to the tag": evidence.rest_to_tag,
        "closeness of the loudest to the text": cosines.word_to_text,
        "closeness of the loudest to the prototype": cosines.word_to_prototype,
        "loudest has several meanings": evidence.is_ambiguous,
    }
    described = np.empty((*tags.shape, len(NAMES)), dtype=np.float32)
    for number, name in enumerate(NAMES):
        described[..., number] = columns[name]
    # What was not compared could be far from all that a network knows.
    text, place = np.nonzero(tags < 0)
    described[text, place] = described[text, 0]
    return described


def _rank_descending(score: Matrix) -> Ids:
    """Rank candidates by score within each text, from 0 for the best; ties keep their order."""
    order = np.argsort(-score, axis=1, kind="stable")
    return np.argsort(order, axis=1)


def _gather_scores(scores: Matrix, column: Ids) -> Matrix:
    """Return the candidates' scores by their columns, shape (texts, WIDTH).

    Tags about which nothing was learned, and empty places, have column -1 and score 0.
    """
    gathered = np.take_along_axis(
        scores,
        np.maximum(column, 0),
        axis=1,
    )
    return np.asarray(
        np.where(column >= 0, gathered, 0),
        dtype=np.float32,
    )


class _BetterNeighbours(NamedTuple):
    """The largest cosine of a candidate to one of a higher score, and the largest times that score.

    Both are (texts, candidates).
    """

    cosine: Matrix
    weighted: Matrix


def _compare_candidates(
    known: TagTable,
    score: Matrix,
    found: Found,
    n_grams: Ids,
    vectors: Matrix,
) -> tuple[_BetterNeighbours, tag_evidence.Cosines]:
    """Compare the vectors of candidates, (texts, WIDTH); empty places may have 0.

    Texts of about as many candidates are compared together, few enough for the processor's caches.
    """
    tags, mentioned = found
    closest = _BetterNeighbours(*_make_zeros(2, tags.shape))
    cosines = tag_evidence.Cosines(*_make_zeros(5, tags.shape))
    # Whole fours: how a product of single precision is summed depends on a row's place in them.
    n_candidates = (tags >= 0).sum(axis=1)
    widths = np.minimum(-(-n_candidates // 4) * 4, WIDTH)
    order = np.argsort(widths, kind="stable")
    bounds = [0, *(np.flatnonzero(np.diff(widths[order])) + 1), len(order)]
    for first, last in pairwise(bounds):
        for start in range(first, last, N_COMPARED):
            texts = order[start : min(start + N_COMPARED, last)]
            places = (texts, slice(0, widths[texts[0]]))
            # (texts, candidates, dim)
            own = tag_evidence.take_rows(known.vectors, tags[places])
            better = _find_better_neighbours(own, tags[places], score[places])
            compared = tag_evidence.compare_vectors(
                known.evidence,
                own,
                (tags[places], mentioned[places]),
                n_grams[places],
                vectors[texts],
            )
            pairs = zip((*closest, *cosines), (*better, *compared), strict=True)
            for whole, part in pairs:
                whole[places] = part
    return closest, cosines


def _make_zeros(n: int, shape: tuple[int, ...]) -> list[Matrix]:
    return [np.zeros(shape, dtype=np.float32) for _ in range(n)]


def _find_better_neighbours(
    vectors: Matrix,
    tags: Ids,
    score: Matrix,
) -> _BetterNeighbours:
    """Compare each candidate with those of a higher score.

    `vectors` (texts, candidates, dim) are the candidates' own.
    """
    # A copy, because BLAS takes twice as long for small products of an array with itself.
    others = vectors.copy()
    cosines = others @ vectors.transpose(0, 2, 1)  # (texts, candidates, candidates)
    # Axis 1 is the other candidate, of which an empty place is never better.
    other_score = np.where(tags >= 0, score, -np.inf)[:, :, None]
    cosines *= other_score > score[:, None, :]
    weighted = cosines * score[:, :, None]
    return _BetterNeighbours(
        cosines.max(axis=1),
        weighted.max(axis=1),
    )


class _WordCoverage(NamedTuple):
    """The weighted share of a candidate's words in the text, its lowest weight, its word count."""

    share: Matrix
    least_weight: Matrix
    n_words: Matrix


def _measure_word_coverage(
    lexicon: Lexicon,
    texts: Runs,
    tags: Ids,
) -> _WordCoverage:
    """Measure how much of each candidate the text mentions; each array is (texts, WIDTH)."""
    parts = lexicon.parts[tags]  # (texts, WIDTH, LONGEST_TAG)
    stems = lexicon.present(texts)  # (texts, stems + 1)
    rows = np.arange(len(tags)) * stems.shape[1]
    inside = stems.ravel()[rows[:, None, None] + parts]
    covered = (lexicon.part_weights[tags] * inside).sum(axis=2)
    total = lexicon.total_weights[tags]
    return _WordCoverage(
        share=covered / np.maximum(total, 1e-6),
        least_weight=lexicon.least_weights[tags],
        n_words=lexicon.n_words[tags],
    )
