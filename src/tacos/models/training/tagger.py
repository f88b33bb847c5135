"""Trains a tagger from instructions and the tags that people or an LLM gave them.

1. A kernel ridge regression on the learned tags (given twice or more): K = tf-idf . tf-idf' +
   exp(gamma (x.x' - 1)), weights A = (K + ridge I)^-1 Y (Saunders et al., 1998).
2. It is shipped small: the n-grams' part T'A keeps its largest weights; the other part is projected
   onto landmarks, the centres of a K-means of the instructions (Williams and Seeger, 2001), so that
   no instruction is stored.
3. The second look is fitted on candidates of instructions that the scorer of an inner fold had not
   seen.
4. The floors of `TagThresholds` are the best on these, for the mean of micro and macro F1.

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
class TaggerRecipe:
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
class TrainingRows:
    """Instructions with their tags (lower case, blanks single), sentence vectors, words and stems,
    row by row.
    """

    texts: list[str]
    tags: list[list[str]]
    vectors: Matrix
    near: Matrix
    words: list[list[str]]
    stems: list[list[str]]

    def take(self, rows: Sequence[int]) -> TrainingRows:
        """Only these rows."""
        pick = [
            [values[row] for row in rows]
            for values in (self.texts, self.tags, self.words, self.stems)
        ]
        return TrainingRows(pick[0], pick[1], self.vectors[rows], self.near[rows], pick[2], pick[3])  # type: ignore[arg-type]


@dataclass(frozen=True)
class TagReference:
    """What is known of tags beside the instructions: how each is written, and how often others gave
    it.
    """

    written: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, int] = field(default_factory=dict)


def lowercase_text(tag: str) -> str:
    """A tag in lower case with single blanks: how tags are compared.

    >>> lowercase_text(" Machine  Learning ")
    'machine learning'
    """
    return " ".join(tag.lower().split())


def encode_rows(
    instructions: Sequence[str], tags: Sequence[Sequence[str]], recipe: TaggerRecipe
) -> TrainingRows:
    """The training rows, encoded; each tag once per row."""
    texts = list(instructions)
    near = encoder.load("static").encode(texts)
    vectors = near if recipe.encoder == "static" else encoder.load(recipe.encoder).encode(texts)
    distinct = [list(dict.fromkeys(filter(None, map(lowercase_text, row)))) for row in tags]
    return TrainingRows(
        texts,
        distinct,
        vectors,
        near,
        [ngrams.tokenise_text(t) for t in texts],
        [tag_phrases.stem_text(t) for t in texts],
    )


def pick_spellings(tags: Sequence[Sequence[str]]) -> dict[str, str]:
    """How each tag is most often written (ties: the first in the alphabet)."""
    seen: dict[str, Counter[str]] = {}
    for tag in (" ".join(tag.split()) for row in tags for tag in row):
        seen.setdefault(tag.lower(), Counter())[tag] += 1
    return {tag: min(forms, key=lambda form: (-forms[form], form)) for tag, forms in seen.items()}


def hash_fold(text: str, n_folds: int, salt: str = "") -> int:
    """Which fold an instruction belongs to, by its hash: all its rows go together."""
    return (
        int.from_bytes(hashlib.sha256((salt + text).encode("utf-8", "replace")).digest()[:8], "big")
        % n_folds
    )


def fit_tagger_model(
    rows: TrainingRows, lore: TagReference, recipe: TaggerRecipe
) -> tagger_files.TaggerModel:
    """A tagger from the rows, by one thread: the same bits on any number of cores.

    Raises `ModelError` where too few tags are given twice.
    """
    vectors = _encode_tags(rows, lore)
    with threadpool_limits(1):
        scorer, known = _fit_scorer(rows, recipe), _build_tag_table(rows, lore, vectors)
        network, choice = _fit_second_look(rows, lore, vectors, recipe)
    meta: dict[str, Any] = {"name": recipe.name, "encoder": recipe.encoder, "closeness": "static"}
    meta["fingerprints"] = tagger_files.fingerprint_encoders(recipe.encoder, "static")
    return tagger_files.TaggerModel(
        scorer,
        known,
        network,
        choice,
        encoder.load(recipe.encoder),
        encoder.load("static"),
        meta,
        digest="",
    )


def _list_learned_tags(rows: TrainingRows) -> list[str]:
    """The tags given to `MIN_GIVEN` instructions or more, sorted."""
    counts = Counter(tag for row in rows.tags for tag in row)
    learned = sorted(tag for tag, count in counts.items() if count >= MIN_GIVEN)
    if len(learned) < 2:
        raise ModelError(
            f"too little to learn from: {len(learned)} tags are given to {MIN_GIVEN} instructions or more"
        )
    return learned


def _fit_scorer(rows: TrainingRows, recipe: TaggerRecipe) -> tagger_files.TagScorer:
    """Steps 1 and 2 of the module's docstring."""
    grams, idf = ngrams.learn_vocabulary(rows.words)
    columns = {gram: number for number, gram in enumerate(grams)}
    texts = ngrams.tf_idf_matrix(rows.words, columns, idf)
    near = np.exp(np.float32(recipe.gamma) * (rows.vectors @ rows.vectors.T - 1))
    kernel = (texts @ texts.T).toarray() + near
    kernel[np.diag_indices_from(kernel)] += np.float32(recipe.ridge)
    duals = cho_solve(
        cho_factor(kernel, overwrite_a=True), _build_indicator(rows.tags, _list_learned_tags(rows))
    )
    landmarks = _find_landmarks(rows.vectors, recipe)
    features = np.exp(np.float32(recipe.gamma) * (rows.vectors @ landmarks.T - 1))
    head = np.asarray(_project_features(features, near) @ duals, dtype=np.float32)
    return tagger_files.TagScorer(
        columns, idf, keep_largest(texts.T @ duals, recipe.n_weights), landmarks, head, recipe.gamma
    )


def _build_indicator(tags: Sequence[Sequence[str]], learned: Sequence[str]) -> Matrix:
    """float32 (rows, learned tags): 1 where the row has the tag."""
    column = {tag: number for number, tag in enumerate(learned)}
    out = np.zeros((len(tags), len(learned)), dtype=np.float32)
    for row, given in enumerate(tags):
        out[row, [column[tag] for tag in given if tag in column]] = 1
    return out


def _find_landmarks(vectors: Matrix, recipe: TaggerRecipe) -> Matrix:
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


def _project_features(features: Matrix, targets: Matrix, damping: float = 0.01) -> Matrix:
    """The weights H that bring features @ H closest to the targets (n, ...), kept small by
    `damping`.
    """
    square = features.T.astype(np.float64) @ features + damping * np.eye(features.shape[1])
    return np.asarray(np.linalg.solve(square, features.T @ targets), dtype=np.float32)


def keep_largest(weights: Matrix, n: int) -> sp.csr_array:
    """The `n` largest entries by size, as a sparse matrix."""
    n = min(n, weights.size)
    least = np.partition(np.abs(weights), weights.size - n, axis=None)[weights.size - n]
    return sp.csr_array(np.where(np.abs(weights) >= least, weights, np.float32(0)))


def _encode_tags(rows: TrainingRows, lore: TagReference) -> dict[str, Matrix]:
    """The vector of every tag given here or published, by how it is written."""
    tags = sorted({*lore.published, *(tag for row in rows.tags for tag in row)})
    names = [_spell_tag(tag, lore) for tag in tags]
    return dict(zip(names, encoder.load("static").encode(names), strict=True))


def _spell_tag(tag: str, lore: TagReference) -> str:
    """How a tag is written, with capitals where nobody is known to have written it."""
    return lore.written.get(tag, tag.title())


def _build_tag_table(
    rows: TrainingRows, lore: TagReference, vectors: Mapping[str, Matrix]
) -> tag_candidates.TagTable:
    """The lexicon (every tag given here or published) and what is known of each tag."""
    counts, learned = Counter(tag for row in rows.tags for tag in row), _list_learned_tags(rows)
    column = {tag: number for number, tag in enumerate(learned)}
    tags = sorted({*counts, *lore.published})
    seen = Counter(stem for stems in rows.stems for stem in set(stems))
    rare = float(np.log(1 + len(rows.texts)))
    weights = {
        stem: round(float(np.log((1 + len(rows.texts)) / (1 + n))), 4) for stem, n in seen.items()
    }
    names = tuple(_spell_tag(tag, lore) for tag in tags)
    in_tags = tag_phrases.Lexicon(names, {}, rare).by_stem
    return tag_candidates.TagTable(
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


def _fit_second_look(
    rows: TrainingRows, lore: TagReference, vectors: Mapping[str, Matrix], recipe: TaggerRecipe
) -> tuple[tag_candidates.Perceptron, tagger_files.TagThresholds]:
    """Steps 3 and 4 of the module's docstring."""
    folds = np.array([hash_fold(text, recipe.n_folds, "inner") for text in rows.texts])
    parts = [
        _prepare_fold(rows, np.flatnonzero(folds == fold), lore, vectors, recipe)
        for fold in np.unique(folds)
    ]
    inputs, right, filled = (np.concatenate(each) for each in zip(*parts, strict=True))
    network = _fit_network(inputs[filled], right[filled], recipe)
    chance = np.where(filled, network.probability(inputs), np.float32(0))
    sizes = np.array(
        [len(rows.tags[row]) for fold in np.unique(folds) for row in np.flatnonzero(folds == fold)]
    )
    return network, _search_thresholds(chance, right, sizes)


def _prepare_fold(
    rows: TrainingRows,
    unseen: npt.NDArray[np.int64],
    lore: TagReference,
    vectors: Mapping[str, Matrix],
    recipe: TaggerRecipe,
) -> tuple[Matrix, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Inputs, truth and whether there is a candidate, (rows, WIDTH), for rows that the scorer has
    not seen.
    """
    seen = rows.take(np.setdiff1d(np.arange(len(rows.texts)), unseen).tolist())
    asked = rows.take(unseen.tolist())
    scorer, known = _fit_scorer(seen, recipe), _build_tag_table(seen, lore, vectors)
    scores = scorer.scores(asked.texts, asked.vectors)
    found = tag_candidates.propose_candidates(known, scores, asked.stems)
    inputs = tag_candidates.describe_candidates(known, scores, asked.stems, asked.near, found)
    names = [lowercase_text(tag) for tag in known.lexicon.tags]
    right = [
        [tag >= 0 and names[tag] in given for tag in tags]
        for tags, given in zip(found[0], asked.tags, strict=True)
    ]
    return inputs, np.array(right, dtype=np.bool_), found[0] >= 0


def _fit_network(
    inputs: Matrix, right: npt.NDArray[np.bool_], recipe: TaggerRecipe
) -> tag_candidates.Perceptron:
    """The perceptron, by Adam on the log loss."""
    mean, spread = (
        inputs.mean(axis=0, dtype=np.float64),
        inputs.std(axis=0, dtype=np.float64) + 1e-6,
    )
    model = MLPClassifier(
        recipe.hidden,
        alpha=1e-3,
        batch_size=512,
        learning_rate_init=2e-3,
        max_iter=recipe.n_epochs,
        n_iter_no_change=recipe.n_epochs,
        random_state=recipe.seed,
    )
    with np.errstate(all="ignore"), _silence_warnings():
        model.fit((inputs - mean) / spread, right)
    arrays = [
        [each.astype(np.float32) for each in layer] for layer in (model.coefs_, model.intercepts_)
    ]
    return tag_candidates.Perceptron(
        mean.astype(np.float32), spread.astype(np.float32), arrays[0], arrays[1]
    )


def _silence_warnings() -> Any:
    """Without scikit-learn's warning that the epochs are over: their number is the recipe's."""
    import warnings

    return warnings.catch_warnings(action="ignore")


def _search_thresholds(
    chance: Matrix, right: npt.NDArray[np.bool_], sizes: npt.NDArray[np.int64]
) -> tagger_files.TagThresholds:
    """The floors with the largest mean of micro and macro F1 on these rows."""
    grid = [
        tagger_files.TagThresholds(floor, first, expected)
        for floor in (0.1, 0.15, 0.2, 0.25, 0.3)
        for first in (0.1, 0.15)
        for expected in (1.6, 2.4, 3.2, 4.8)
    ]
    return max(grid, key=lambda choice: _mean_f1(chance, right, sizes, choice))


def _mean_f1(
    chance: Matrix,
    right: npt.NDArray[np.bool_],
    sizes: npt.NDArray[np.int64],
    choice: tagger_files.TagThresholds,
) -> float:
    """Mean of micro and macro F1 when tags are chosen so."""
    chosen = [tagger.choose_tags(row, choice) for row in chance]
    hits = np.array([right[row, picks].sum() for row, picks in enumerate(chosen)])
    totals = np.array([len(picks) for picks in chosen]) + sizes
    return float(hits.sum() / totals.sum() + np.mean(hits / np.maximum(totals, 1)))


def write_tagger(out: Path, made: tagger_files.TaggerModel) -> Path:
    """The two files of a tagger."""
    out.mkdir(parents=True, exist_ok=True)
    for name, content in tagger_files.pack_tagger(*freeze_tagger(made)):
        (out / name).write_bytes(content)
    return out


def freeze_tagger(
    made: tagger_files.TaggerModel,
) -> tuple[dict[str, Any], dict[str, int8_tensors.Array]]:
    """The content of the two files."""
    scorer, known, network = made.scorer, made.known, made.network
    packed = {
        "idf": scorer.idf,
        **int8_tensors.pack_sparse("n_gram_weights", scorer.n_gram_weights),
        **int8_tensors.pack_matrix("landmarks", scorer.landmarks),
        **int8_tensors.pack_matrix("head", scorer.head),
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
