"""The second look of the tagger: a few candidate tags per instruction, and what is known of each as
a row of numbers.

Candidates are the tags that score highest and those that the text mentions. The numbers (`NAMES`)
say how a candidate stands among the others: its score and rank, how often annotators gave it,
whether and how much of it the text mentions, how close it is to the text in meaning, and whether a
better candidate already says the same. A small network (`Perceptron`), fitted on scores of
instructions that the scorer had not seen, turns them into a probability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tacos.models.tag_phrases import MAX_MENTIONS, Lexicon

N_SCORED = 20
WIDTH = N_SCORED + MAX_MENTIONS
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
)
Matrix = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
Found = tuple[Ids, npt.NDArray[np.bool_]]


class TagTable(NamedTuple):
    """What is known of every tag of the lexicon: its vector, times given, times in the published
    counts, column.

    `columns` is the tag's column among the scores, -1 for tags that nothing was learned about.
    """

    lexicon: Lexicon
    vectors: Matrix
    given: Matrix
    published: Matrix
    columns: Ids


class Perceptron(NamedTuple):
    """A perceptron with ReLU: `mean` and `spread` of the inputs, then weights and biases of each
    layer.
    """

    mean: Matrix
    spread: Matrix
    weights: list[Matrix]
    biases: list[Matrix]

    def probability(self, rows: Matrix) -> Matrix:
        """float32 (...,) for rows (..., len(NAMES))."""
        x = (rows - self.mean) / self.spread
        for n, (weights, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = (x if n == 0 else np.maximum(x, 0)) @ weights + bias
        return np.asarray(1 / (1 + np.exp(-x[..., 0])), dtype=np.float32)


def propose_candidates(known: TagTable, scores: Matrix, texts: Sequence[Sequence[str]]) -> Found:
    """Candidates (texts, WIDTH) as numbers of tags, -1 where there are no more, and whether the
    text mentions each.
    """
    learned = np.flatnonzero(known.columns >= 0)[np.argsort(known.columns[known.columns >= 0])]
    n_scored = min(N_SCORED, scores.shape[1])
    out = np.full((len(texts), WIDTH), -1, dtype=np.int64)
    best = np.argpartition(-scores, n_scored - 1, axis=1)[:, :n_scored]
    out[:, :n_scored] = np.sort(learned[best], axis=1)
    mentioned = np.zeros(out.shape, dtype=np.bool_)
    for row, stems in enumerate(texts):
        found, scored = set(known.lexicon.mentions(stems)), out[row, :n_scored].tolist()
        mentioned[row, :n_scored] = [tag in found for tag in scored]
        new = sorted(found.difference(scored))
        out[row, n_scored : n_scored + len(new)] = new
        mentioned[row, n_scored : n_scored + len(new)] = True
    return out, mentioned


def describe_candidates(
    known: TagTable,
    scores: Matrix,
    texts: Sequence[Sequence[str]],
    vectors: Matrix,
    found: Found,
) -> Matrix:
    """float32 (texts, WIDTH, len(NAMES)) for the candidates; `vectors` are the texts' own in the
    tags' space.
    """
    tags, mentioned = found
    score = _gather_scores(known, scores, tags)
    best = -np.sort(-score, axis=1)
    closest, closest_score = _find_better_neighbours(known, tags, score)
    share, rarest, n_words = _measure_word_coverage(known.lexicon, texts, tags)
    own = np.einsum("tcd,td->tc", known.vectors[tags], vectors)
    columns: Mapping[str, npt.ArrayLike] = {
        "score": score,
        "rank": np.log1p(np.argsort(np.argsort(-score, axis=1, kind="stable"), axis=1)),
        "gap to the best": best[:, :1] - score,
        "times given": np.log1p(known.given[tags]),
        "mentioned": mentioned,
        "share of words in the text": share,
        "number of words": n_words,
        "weight of the commonest word": rarest,
        "times in the published counts": np.log1p(known.published[tags]),
        "closeness to the text": own,
        "closest better tag": closest,
        "closest better tag times its score": closest_score,
        "sum of the six best scores": best[:, :6].sum(axis=1, keepdims=True),
        "words of the text": np.log1p([[len(stems)] for stems in texts]),
        "best score": best[:, :1],
        "mentioned times weight": mentioned * rarest,
        "scores above 0.1": (score > 0.1).sum(axis=1, keepdims=True),
        "learned": known.columns[tags] >= 0,
    }
    out = np.empty((*tags.shape, len(NAMES)), dtype=np.float32)
    for number, name in enumerate(NAMES):
        out[..., number] = columns[name]
    return out


def _gather_scores(known: TagTable, scores: Matrix, tags: Ids) -> Matrix:
    """The candidates' scores (texts, WIDTH); 0 for tags that nothing was learned about and where
    there is none.
    """
    columns = np.where(tags >= 0, known.columns[tags], -1)
    picked = np.take_along_axis(scores, np.maximum(columns, 0), axis=1)
    return np.asarray(np.where(columns >= 0, picked, 0), dtype=np.float32)


def _find_better_neighbours(known: TagTable, tags: Ids, score: Matrix) -> tuple[Matrix, Matrix]:
    """For each candidate the largest cosine to one of a higher score, and the largest cosine times
    that score.
    """
    rows = known.vectors[tags]
    cosines = rows @ rows.transpose(0, 2, 1)
    higher = (score[:, None, :] > score[:, :, None]) & (tags >= 0)[:, None, :]
    cosines[~higher] = 0
    return cosines.max(axis=2), (cosines * score[:, None, :]).max(axis=2)


def _measure_word_coverage(
    lexicon: Lexicon, texts: Sequence[Sequence[str]], tags: Ids
) -> tuple[Matrix, Matrix, Matrix]:
    """Weighted share of each candidate's words in the text, the weight of its commonest word, its
    number of words.
    """
    parts, weights = lexicon.parts[tags], lexicon.part_weights[tags]
    inside = np.take_along_axis(
        lexicon.present(texts), parts.reshape(len(tags), -1), axis=1
    ).reshape(parts.shape)
    share = (weights * inside).sum(axis=2) / np.maximum(weights.sum(axis=2), 1e-6)
    commonest = np.where(parts > 0, weights, np.inf).min(axis=2)
    return (
        share,
        np.where(np.isfinite(commonest), commonest, 0),
        (parts > 0).sum(axis=2).astype(np.float32),
    )
