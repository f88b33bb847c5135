"""Trains a tagger from instructions and the tags that people or an LLM gave them.

1. A kernel ridge regression on the learned tags (given twice or more): K = tf-idf . tf-idf' +
   exp(gamma (x.x' - 1)), weights A = (K + ridge I)^-1 Y (Saunders et al., 1998).
2. It is shipped small: the n-grams' part T'A keeps its largest weights; the other part is projected
   onto landmarks, the centres of a K-means of the instructions (Williams and Seeger, 2001), so that
   no instruction is stored.
3. The second look is fitted on candidates of instructions that the scorer of an inner fold had not
   seen.
4. The floors of `Choice` are the best on these, for the mean of micro and macro F1.

It assumes that an instruction's tags are complete: a good tag that nobody gave counts as wrong.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.linalg import cho_factor, cho_solve
from sklearn.cluster import KMeans
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from tacos.errors import ModelError
from tacos.models import (
    encoder,
    int8_tensors,
    ngrams,
    tag_candidates,
    tag_phrases,
    tagger,
    tagger_files,
)

Matrix = npt.NDArray[np.float32]
MIN_GIVEN = 2


@dataclass(frozen=True)
class Recipe:
    """How a tagger is trained; `n_weights` and `n_landmarks` decide its size."""

    encoder: str = "static"
    gamma: float = 2.0
    ridge: float = 1.0
    n_weights: int = 1_000_000
    n_landmarks: int = 768
    n_folds: int = 5
    hidden: tuple[int, ...] = (32, 16)
    n_epochs: int = 12
    seed: int = 0
    name: str = "tacos-tagger"


@dataclass(frozen=True)
class Tagged:
    """Instructions with their tags (lower case, blanks single), sentence vectors, words and stems,
    row by row.
    """

    texts: list[str]
    tags: list[list[str]]
    vectors: Matrix
    near: Matrix
    words: list[list[str]]
    stems: list[list[str]]

    def take(self, rows: Sequence[int]) -> Tagged:
        """Only these rows."""
        pick = [
            [values[row] for row in rows]
            for values in (self.texts, self.tags, self.words, self.stems)
        ]
        return Tagged(pick[0], pick[1], self.vectors[rows], self.near[rows], pick[2], pick[3])  # type: ignore[arg-type]


@dataclass(frozen=True)
class Lore:
    """What is known of tags beside the instructions: how each is written, and how often others gave
    it.
    """

    written: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, int] = field(default_factory=dict)


def plain(tag: str) -> str:
    """A tag in lower case with single blanks: how tags are compared.

    >>> plain(" Machine  Learning ")
    'machine learning'
    """
    return " ".join(tag.lower().split())


def read(instructions: Sequence[str], tags: Sequence[Sequence[str]], recipe: Recipe) -> Tagged:
    """The training rows, encoded; each tag once per row."""
    texts = list(instructions)
    near = encoder.load("static").encode(texts)
    vectors = near if recipe.encoder == "static" else encoder.load(recipe.encoder).encode(texts)
    distinct = [list(dict.fromkeys(filter(None, map(plain, row)))) for row in tags]
    return Tagged(
        texts,
        distinct,
        vectors,
        near,
        [ngrams.split(t) for t in texts],
        [tag_phrases.stem(t) for t in texts],
    )


def spelling(tags: Sequence[Sequence[str]]) -> dict[str, str]:
    """How each tag is most often written (ties: the first in the alphabet)."""
    seen: dict[str, Counter[str]] = {}
    for tag in (" ".join(tag.split()) for row in tags for tag in row):
        seen.setdefault(tag.lower(), Counter())[tag] += 1
    return {tag: min(forms, key=lambda form: (-forms[form], form)) for tag, forms in seen.items()}


def fold_of(text: str, n_folds: int, salt: str = "") -> int:
    """Which fold an instruction belongs to, by its hash: all its rows go together."""
    return (
        int.from_bytes(hashlib.sha256((salt + text).encode("utf-8", "replace")).digest()[:8], "big")
        % n_folds
    )


def fit(rows: Tagged, lore: Lore, recipe: Recipe) -> tagger_files.Loaded:
    """A tagger from the rows, by one thread: the same bits on any number of cores.

    Raises `ModelError` where too few tags are given twice.
    """
    vectors = tag_vectors(rows, lore)
    with threadpool_limits(1):
        scorer, known = fit_scorer(rows, recipe), learn_tags(rows, lore, vectors)
        network, choice = second_look(rows, lore, vectors, recipe)
    meta: dict[str, Any] = {"name": recipe.name, "encoder": recipe.encoder, "closeness": "static"}
    meta["fingerprints"] = tagger_files.fingerprints(recipe.encoder, "static")
    return tagger_files.Loaded(
        scorer,
        known,
        network,
        choice,
        encoder.load(recipe.encoder),
        encoder.load("static"),
        meta,
        digest="",
    )


def learned_tags(rows: Tagged) -> list[str]:
    """The tags given to `MIN_GIVEN` instructions or more, sorted."""
    counts = Counter(tag for row in rows.tags for tag in row)
    learned = sorted(tag for tag, count in counts.items() if count >= MIN_GIVEN)
    if len(learned) < 2:
        raise ModelError(
            f"too little to learn from: {len(learned)} tags are given to {MIN_GIVEN} instructions or more"
        )
    return learned


def fit_scorer(rows: Tagged, recipe: Recipe) -> tagger_files.Scorer:
    """Steps 1 and 2 of the module's docstring."""
    grams, idf = ngrams.learn_vocabulary(rows.words)
    columns = {gram: number for number, gram in enumerate(grams)}
    texts = ngrams.tf_idf(rows.words, columns, idf)
    near = np.exp(np.float32(recipe.gamma) * (rows.vectors @ rows.vectors.T - 1))
    kernel = (texts @ texts.T).toarray() + near
    kernel[np.diag_indices_from(kernel)] += np.float32(recipe.ridge)
    duals = cho_solve(
        cho_factor(kernel, overwrite_a=True), indicator(rows.tags, learned_tags(rows))
    )
    landmarks = centres(rows.vectors, recipe)
    features = np.exp(np.float32(recipe.gamma) * (rows.vectors @ landmarks.T - 1))
    head = np.asarray(project(features, near) @ duals, dtype=np.float32)
    return tagger_files.Scorer(
        columns, idf, largest(texts.T @ duals, recipe.n_weights), landmarks, head, recipe.gamma
    )


def indicator(tags: Sequence[Sequence[str]], learned: Sequence[str]) -> Matrix:
    """float32 (rows, learned tags): 1 where the row has the tag."""
    column = {tag: number for number, tag in enumerate(learned)}
    out = np.zeros((len(tags), len(learned)), dtype=np.float32)
    for row, given in enumerate(tags):
        out[row, [column[tag] for tag in given if tag in column]] = 1
    return out


def centres(vectors: Matrix, recipe: Recipe) -> Matrix:
    """The landmarks: centres of a K-means, each scaled to length 1; where there are few vectors,
    these themselves.
    """
    if len(vectors) <= recipe.n_landmarks:
        return vectors
    if len(distinct := np.unique(vectors, axis=0)) <= recipe.n_landmarks:
        return distinct
    found = (
        KMeans(recipe.n_landmarks, n_init=1, max_iter=8, random_state=recipe.seed)
        .fit(vectors)
        .cluster_centers_
    )
    return np.asarray(
        found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9), dtype=np.float32
    )


def project(features: Matrix, targets: Matrix, damping: float = 0.01) -> Matrix:
    """The weights H that bring features @ H closest to the targets (n, ...), kept small by
    `damping`.
    """
    square = features.T.astype(np.float64) @ features + damping * np.eye(features.shape[1])
    return np.asarray(np.linalg.solve(square, features.T @ targets), dtype=np.float32)


def largest(weights: Matrix, n: int) -> sp.csr_array:
    """The `n` largest entries by size, as a sparse matrix."""
    n = min(n, weights.size)
    least = np.partition(np.abs(weights), weights.size - n, axis=None)[weights.size - n]
    return sp.csr_array(np.where(np.abs(weights) >= least, weights, np.float32(0)))


def tag_vectors(rows: Tagged, lore: Lore) -> dict[str, Matrix]:
    """The vector of every tag given here or published, by how it is written."""
    tags = sorted({*lore.published, *(tag for row in rows.tags for tag in row)})
    names = [written(tag, lore) for tag in tags]
    return dict(zip(names, encoder.load("static").encode(names), strict=True))


def written(tag: str, lore: Lore) -> str:
    """How a tag is written, with capitals where nobody is known to have written it."""
    return lore.written.get(tag, tag.title())


def learn_tags(rows: Tagged, lore: Lore, vectors: Mapping[str, Matrix]) -> tag_candidates.Known:
    """The lexicon (every tag given here or published) and what is known of each tag."""
    counts, learned = Counter(tag for row in rows.tags for tag in row), learned_tags(rows)
    column = {tag: number for number, tag in enumerate(learned)}
    tags = sorted({*counts, *lore.published})
    seen = Counter(stem for stems in rows.stems for stem in set(stems))
    rare = float(np.log(1 + len(rows.texts)))
    weights = {
        stem: round(float(np.log((1 + len(rows.texts)) / (1 + n))), 4) for stem, n in seen.items()
    }
    names = tuple(written(tag, lore) for tag in tags)
    in_tags = tag_phrases.Lexicon(names, {}, rare).by_stem
    return tag_candidates.Known(
        tag_phrases.Lexicon(
            names,
            {stem: weight for stem, weight in sorted(weights.items()) if stem in in_tags},
            rare,
        ),
        np.stack([vectors[name] for name in names]),
        np.array([counts[tag] for tag in tags], dtype=np.float32),
        np.array([lore.published.get(tag, 0) for tag in tags], dtype=np.float32),
        np.array([column.get(tag, -1) for tag in tags], dtype=np.int64),
    )


def second_look(
    rows: Tagged, lore: Lore, vectors: Mapping[str, Matrix], recipe: Recipe
) -> tuple[tag_candidates.Network, tagger_files.Choice]:
    """Steps 3 and 4 of the module's docstring."""
    folds = np.array([fold_of(text, recipe.n_folds, "inner") for text in rows.texts])
    parts = [
        look(rows, np.flatnonzero(folds == fold), lore, vectors, recipe)
        for fold in np.unique(folds)
    ]
    inputs, right, filled = (np.concatenate(each) for each in zip(*parts, strict=True))
    network = fit_network(inputs[filled], right[filled], recipe)
    chance = np.where(filled, network.probability(inputs), np.float32(0))
    sizes = np.array(
        [len(rows.tags[row]) for fold in np.unique(folds) for row in np.flatnonzero(folds == fold)]
    )
    return network, best_choice(chance, right, sizes)


def look(
    rows: Tagged,
    unseen: npt.NDArray[np.int64],
    lore: Lore,
    vectors: Mapping[str, Matrix],
    recipe: Recipe,
) -> tuple[Matrix, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Inputs, truth and whether there is a candidate, (rows, WIDTH), for rows that the scorer has
    not seen.
    """
    seen = rows.take(np.setdiff1d(np.arange(len(rows.texts)), unseen).tolist())
    asked = rows.take(unseen.tolist())
    scorer, known = fit_scorer(seen, recipe), learn_tags(seen, lore, vectors)
    scores = scorer.scores(asked.texts, asked.vectors)
    found = tag_candidates.propose(known, scores, asked.stems)
    inputs = tag_candidates.describe(known, scores, asked.stems, asked.near, found)
    names = [plain(tag) for tag in known.lexicon.tags]
    right = [
        [tag >= 0 and names[tag] in given for tag in tags]
        for tags, given in zip(found[0], asked.tags, strict=True)
    ]
    return inputs, np.array(right, dtype=np.bool_), found[0] >= 0


def fit_network(
    inputs: Matrix, right: npt.NDArray[np.bool_], recipe: Recipe
) -> tag_candidates.Network:
    """The perceptron, by Adam on the log loss."""
    mean, spread = (
        inputs.mean(axis=0, dtype=np.float64),
        inputs.std(axis=0, dtype=np.float64) + 1e-6,
    )
    model = MLPClassifier(
        recipe.hidden, alpha=1e-3, batch_size=512, learning_rate_init=2e-3, max_iter=recipe.n_epochs,
        n_iter_no_change=recipe.n_epochs, random_state=recipe.seed,
    )  # fmt: skip
    with np.errstate(all="ignore"), quiet():
        model.fit((inputs - mean) / spread, right)
    arrays = [
        [each.astype(np.float32) for each in layer] for layer in (model.coefs_, model.intercepts_)
    ]
    return tag_candidates.Network(
        mean.astype(np.float32), spread.astype(np.float32), arrays[0], arrays[1]
    )


def quiet() -> Any:
    """Without scikit-learn's warning that the epochs are over: their number is the recipe's."""
    import warnings

    return warnings.catch_warnings(action="ignore")


def best_choice(
    chance: Matrix, right: npt.NDArray[np.bool_], sizes: npt.NDArray[np.int64]
) -> tagger_files.Choice:
    """The floors with the largest mean of micro and macro F1 on these rows."""
    grid = [
        tagger_files.Choice(floor, first, expected)
        for floor in (0.1, 0.15, 0.2, 0.25, 0.3)
        for first in (0.1, 0.15)
        for expected in (1.6, 2.4, 3.2, 4.8)
    ]
    return max(grid, key=lambda choice: f1(chance, right, sizes, choice))


def f1(
    chance: Matrix,
    right: npt.NDArray[np.bool_],
    sizes: npt.NDArray[np.int64],
    choice: tagger_files.Choice,
) -> float:
    """Mean of micro and macro F1 when tags are chosen so."""
    chosen = [tagger.choose(row, choice) for row in chance]
    hits = np.array([right[row, picks].sum() for row, picks in enumerate(chosen)])
    totals = np.array([len(picks) for picks in chosen]) + sizes
    return float(hits.sum() / totals.sum() + np.mean(hits / np.maximum(totals, 1)))


def write(out: Path, made: tagger_files.Loaded) -> Path:
    """The two files of a tagger."""
    out.mkdir(parents=True, exist_ok=True)
    for name, content in tagger_files.pack(*freeze(made)):
        (out / name).write_bytes(content)
    return out


def freeze(made: tagger_files.Loaded) -> tuple[dict[str, Any], dict[str, int8_tensors.Array]]:
    """The content of the two files."""
    scorer, known, network = made.scorer, made.known, made.network
    packed = {
        "idf": scorer.idf,
        **int8_tensors.pack_sparse("n_gram_weights", scorer.n_gram_weights),
        **int8_tensors.pack("landmarks", scorer.landmarks),
        **int8_tensors.pack("head", scorer.head),
        "given": known.given.astype(np.int32),
        "published": known.published.astype(np.int32),
        "columns": known.columns.astype(np.int32),
        "network.mean": network.mean,
        "network.spread": network.spread,
    }
    for n, (weights, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        packed |= {f"network.weights{n}": weights, f"network.bias{n}": bias}
    lexicon = known.lexicon
    meta = {
        **made.meta,
        "gamma": scorer.gamma,
        "n_grams": list(scorer.columns),
        "tags": list(lexicon.tags),
        "stems": lexicon.weights,
        "rare": lexicon.rare,
        "choice": made.choice._asdict(),
    }
    return meta, packed
