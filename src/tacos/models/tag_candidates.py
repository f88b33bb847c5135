"""Proposes a few candidate tags per instruction and describes each one as a row of numbers.

This is the tagger's second look. Candidates are the tags that score highest and those that the text
mentions. The numbers (`NAMES`) say how a candidate stands among the others: its score and rank, how
often annotators gave it, how much of it the text mentions, how close it is to the text in meaning,
whether a better candidate already says the same, and whether one word alone speaks for it
(`tacos.models.tag_evidence`). A small network (`Perceptron`) turns them into
a probability; it was fitted on scores of instructions that the scorer had not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tacos.models import tag_evidence
from tacos.models.tag_phrases import MAX_MENTIONS, Lexicon

N_SCORED = 20
WIDTH = N_SCORED + MAX_MENTIONS
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
    texts: Sequence[Sequence[str]],
) -> Found:
    """Return candidates and whether each text mentions them, both of shape (texts, WIDTH).

    Candidates are row numbers of the lexicon, -1 where a text has no more. `scores` is (texts,
    learned tags), `texts` holds each text's stems.
    """
    shape = (len(texts), WIDTH)
    candidates = np.full(
        shape,
        -1,
        dtype=np.int64,
    )
    mentioned = np.zeros(
        shape,
        dtype=np.bool_,
    )
    # The first places are for the tags that score highest.
    best_tags = _find_best_tags(known.columns, scores)
    n_scored = best_tags.shape[1]
    candidates[:, :n_scored] = best_tags

    for row, stems in enumerate(texts):
        named = set(known.lexicon.mentions(stems))
        scored = best_tags[row].tolist()
        is_named = [tag in named for tag in scored]
        mentioned[row, :n_scored] = is_named

        # Tags that are only mentioned come after those that score.
        only_named = sorted(named.difference(scored))
        end = n_scored + len(only_named)
        candidates[row, n_scored:end] = only_named
        mentioned[row, n_scored:end] = True
    return candidates, mentioned


def _find_best_tags(columns: Ids, scores: Matrix) -> Ids:
    """Find the `N_SCORED` tags of the highest scores, ascending by tag: (texts, N_SCORED)."""
    n_learned = scores.shape[1]
    n_scored = min(N_SCORED, n_learned)
    # The lowest score that is among the best; values are parted much faster than their places.
    lowest = find_nth_largest(scores, n_scored)
    is_best = scores >= lowest[:, None]
    n_best = is_best.sum(axis=1)
    for row in np.flatnonzero(n_best > n_scored):
        # Of equal ones at the edge, those in the first columns stay.
        (equal,) = np.nonzero(scores[row] == lowest[row])
        is_best[row, equal[n_scored - n_best[row] :]] = False
    best_columns = np.flatnonzero(is_best).reshape(-1, n_scored) % n_learned
    best_tags = _invert_columns(columns)[best_columns]
    return np.sort(best_tags, axis=1)


def find_nth_largest(rows: Matrix, n: int) -> Matrix:
    """Find the n-th largest number of each row, for n up to `N_GROUPS`; shape (rows,).

    >>> find_nth_largest(np.array([[3, 1, 2], [5, 5, 4]], dtype=np.float32), 2).tolist()
    [2.0, 5.0]
    """
    n_rows, n_columns = rows.shape
    height = n_columns // N_GROUPS
    if height < 2:
        return _part_rows(rows, n)
    # At least n numbers reach the n-th largest of the groups' maxima, and few others do.
    groups = rows[:, : height * N_GROUPS].reshape(n_rows, height, N_GROUPS)
    bounds = _part_rows(groups.max(axis=1), n)
    row, column = np.nonzero(rows >= bounds[:, None])
    values = rows[row, column]
    descending = values[np.lexsort((-values, row))]
    starts = np.searchsorted(row, np.arange(n_rows))
    return np.asarray(descending[starts + n - 1])


def _part_rows(rows: Matrix, n: int) -> Matrix:
    """Find the n-th largest number of each row by parting all of them."""
    place = rows.shape[1] - n
    return np.asarray(np.partition(rows, place, axis=1)[:, place])


def _invert_columns(columns: Ids) -> Ids:
    """Return the tag of each column of the scores."""
    (learned,) = np.nonzero(columns >= 0)
    order = np.argsort(columns[learned])
    return learned[order]


def describe_candidates(
    known: TagTable,
    scores: TextScores,
    texts: Sequence[Sequence[str]],
    vectors: Matrix,
    found: Found,
) -> Matrix:
    """Describe the candidates of each text: float32 of shape (texts, WIDTH, len(NAMES)).

    `texts` and `found` are as in `propose_candidates`. `vectors` (texts, dim) are the texts' own,
    in the same space as the tags'.
    """
    tags, mentioned = found
    score = _gather_scores(known, scores.total, tags)
    descending = -np.sort(-score, axis=1)
    best_score = descending[:, :1]
    six_best = descending[:, :6].sum(axis=1, keepdims=True)
    own = known.vectors[tags]  # (texts, WIDTH, dim)
    closest, closest_score = _find_better_neighbours(own, tags, score)
    coverage = _measure_word_coverage(known.lexicon, texts, tags)
    closeness = (own @ vectors[:, :, None])[..., 0]
    n_stems = [[len(stems)] for stems in texts]
    is_high = score > 0.1
    evidence = tag_evidence.measure_evidence(
        known.evidence,
        own,
        np.where(tags >= 0, known.columns[tags], -1),
        scores.by_words,
        found,
        vectors,
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
        "closeness to the text": closeness,
        "closest better tag": closest,
        "closest better tag times its score": closest_score,
        "sum of the six best scores": six_best,
        "words of the text": np.log1p(n_stems),
        "best score": best_score,
        "mentioned times weight": mentioned * coverage.least_weight,
        "scores above 0.1": is_high.sum(axis=1, keepdims=True),
        "learned": known.columns[tags] >= 0,
        "score by words": evidence.score_by_words,
        "loudest n-gram": evidence.loudest,
        "closeness to the prototype": evidence.closeness_to_prototype,
        "closeness of the rest to the prototype": evidence.rest_to_prototype,
        "closeness of the rest to the tag": evidence.rest_to_tag,
        "closeness of the loudest to the text": evidence.loudest_to_text,
        "closeness of the loudest to the prototype": evidence.loudest_to_prototype,
        "loudest has several meanings": evidence.is_ambiguous,
    }
    described = np.empty((*tags.shape, len(NAMES)), dtype=np.float32)
    for number, name in enumerate(NAMES):
        described[..., number] = columns[name]
    return described


def _rank_descending(score: Matrix) -> Ids:
    """Rank candidates by score within each text, from 0 for the best; ties keep their order."""
    order = np.argsort(-score, axis=1, kind="stable")
    return np.argsort(order, axis=1)


def _gather_scores(
    known: TagTable,
    scores: Matrix,
    tags: Ids,
) -> Matrix:
    """Return the candidates' scores, shape (texts, WIDTH).

    Tags about which nothing was learned, and empty places, have 0.
    """
    columns = np.where(tags >= 0, known.columns[tags], -1)
    gathered = np.take_along_axis(
        scores,
        np.maximum(columns, 0),
        axis=1,
    )
    return np.asarray(
        np.where(columns >= 0, gathered, 0),
        dtype=np.float32,
    )


def _find_better_neighbours(
    vectors: Matrix,
    tags: Ids,
    score: Matrix,
) -> tuple[Matrix, Matrix]:
    """Compare each candidate with those of a higher score, both results (texts, WIDTH).

    `vectors` (texts, WIDTH, dim) are the candidates' own. Gives the largest cosine to one of them,
    and the largest cosine times that one's score.
    """
    cosines = vectors @ vectors.transpose(0, 2, 1)  # (texts, WIDTH, WIDTH)
    # Axis 1 is the candidate, axis 2 the other one.
    own_score = score[:, :, None]
    other_score = score[:, None, :]
    is_filled = tags >= 0
    other_exists = is_filled[:, None, :]
    is_better = (other_score > own_score) & other_exists
    cosines[~is_better] = 0
    weighted = cosines * other_score
    return (
        cosines.max(axis=2),
        weighted.max(axis=2),
    )


class _WordCoverage(NamedTuple):
    """The weighted share of a candidate's words in the text, its lowest weight, its word count."""

    share: Matrix
    least_weight: Matrix
    n_words: Matrix


def _measure_word_coverage(
    lexicon: Lexicon,
    texts: Sequence[Sequence[str]],
    tags: Ids,
) -> _WordCoverage:
    """Measure how much of each candidate the text mentions; each array is (texts, WIDTH)."""
    parts = lexicon.parts[tags]  # (texts, WIDTH, LONGEST_TAG)
    weights = lexicon.part_weights[tags]
    flat_parts = parts.reshape(len(tags), -1)
    flat_inside = np.take_along_axis(
        lexicon.present(texts),
        flat_parts,
        axis=1,
    )
    inside = flat_inside.reshape(parts.shape)
    covered = (weights * inside).sum(axis=2)
    total = weights.sum(axis=2)
    is_word = parts > 0
    # A tag without words has no commonest one: its weight is 0.
    least = np.where(is_word, weights, np.inf).min(axis=2)
    return _WordCoverage(
        share=covered / np.maximum(total, 1e-6),
        least_weight=np.where(np.isfinite(least), least, 0),
        n_words=is_word.sum(axis=2).astype(np.float32),
    )
