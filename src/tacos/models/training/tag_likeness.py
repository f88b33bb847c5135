"""Fits the weights of `tacos.methods.tags.tag_likeness` to pairs of tags that readers judged.

    python -m tacos.models.training.tag_likeness benchmarks/tag_pairs.jsonl

A line of the file is a pair: `left`, `right`, `answers` (reader -> relation), `part` ("fit", or
"held": never fitted to) and the hash of the prompt. A pair counts as the share of its readers who
said "same". Prints the constants to be written into the module.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tacos.methods.tags import merge_steps, semantic_merging, tag_likeness, tag_matching
from tacos.models import encoder as encoders
from tacos.records import TAG_PAIRS, Encoder

Doubles = npt.NDArray[np.float64]

REGULARISATION = 0.3
"""C of the logistic regression."""
N_FOLDS = 10
N_DECIMALS = 3
"""Decimals of the weights."""


@dataclass(frozen=True)
class JudgedPairs:
    """Pairs that readers judged, and their features."""

    table: pl.DataFrame
    """left, right, part."""
    features: Doubles
    """Shape (pairs, features)."""
    excluded: npt.NDArray[np.bool_]
    """Pairs that are never merged."""
    same: Doubles
    """The share of the readers who said "same", shape (pairs,)."""


@dataclass(frozen=True)
class Weights:
    """A logistic regression on the features as they are."""

    bias: float
    weights: Doubles

    def estimate(self, pairs: JudgedPairs) -> Doubles:
        """The probability that the tags of each pair mean the same, shape (pairs,)."""
        logits = pairs.features @ self.weights + self.bias
        chances: Doubles = 1 / (1 + np.exp(-logits))
        chances[pairs.excluded] = 0
        return chances


def read_pairs(path: Path, encoder: Encoder) -> JudgedPairs:
    """Read a file of judgements, and measure the features of its pairs."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    table = pl.DataFrame(
        [(row["left"], row["right"], row["part"]) for row in rows],
        ["left", "right", "part"],
        orient="row",
    )
    same = [
        np.mean([answer == tag_matching.SAME for answer in row["answers"].values()])
        for row in rows
    ]
    pairs = _measure_cosines(table, encoder)
    words = tag_likeness.read_pairs(pairs, signs=True)
    features = tag_likeness.measure_words(words, pairs["cosine"].to_numpy())
    return JudgedPairs(
        table,
        features=tag_likeness.add_rest(features, words, encoder),
        excluded=np.array([tag_likeness.is_excluded(pair) for pair in words]),
        same=np.array(same, np.float64),
    )


def _measure_cosines(table: pl.DataFrame, encoder: Encoder) -> pl.DataFrame:
    """The pairs by `TAG_PAIRS`."""
    names = pl.concat([table["left"], table["right"]]).to_list()
    vectors = merge_steps.encode_phrases(names, encoder, signs=True)
    rows = np.arange(table.height)
    cosines = semantic_merging.pair_cosines(vectors, rows, rows + table.height)
    cosine = pl.Series(cosines.round(4), dtype=pl.Float32)
    return table.select("left", "right", cosine=cosine).cast(TAG_PAIRS)


def fit_weights(pairs: JudgedPairs, rows: Sequence[int]) -> Weights:
    """Fit to some rows; where readers disagree, both answers count, by their share."""
    places = np.asarray(rows)
    features = pairs.features[places]
    shares = pairs.same[places]
    scaler = StandardScaler().fit(features)
    scaled = scaler.transform(features)
    model = LogisticRegression(C=REGULARISATION, max_iter=1000)
    model.fit(
        np.concatenate([scaled, scaled]),
        np.repeat([1, 0], len(places)),
        sample_weight=np.concatenate([shares, 1 - shares]),
    )
    weights = model.coef_[0] / scaler.scale_
    bias = model.intercept_[0] - weights @ scaler.mean_
    return Weights(
        round(float(bias), N_DECIMALS),
        weights=np.round(weights, N_DECIMALS),
    )


def fit_shipped(pairs: JudgedPairs) -> Weights:
    """Fit to all pairs of the part "fit"."""
    is_fitted = (pairs.table["part"] == "fit").to_numpy()
    return fit_weights(pairs, np.flatnonzero(is_fitted).tolist())


def cross_validate(pairs: JudgedPairs, seed: int = 1) -> Doubles:
    """Probabilities of pairs that were not fitted to; "held" ones by the fit to all others."""
    is_fitted = (pairs.table["part"] == "fit").to_numpy()
    rows = np.flatnonzero(is_fitted)
    chances = fit_shipped(pairs).estimate(pairs)
    order = np.random.default_rng(seed).permutation(rows)
    for fold in np.array_split(order, N_FOLDS):
        others = np.setdiff1d(rows, fold)
        estimated = fit_weights(pairs, others.tolist()).estimate(pairs)
        chances[fold] = estimated[fold]
    return chances


def _print_constants(path: Path) -> None:
    """Print the constants of the module."""
    fitted = fit_shipped(read_pairs(path, encoders.load("minilm")))
    print(f"BIAS = {fitted.bias}")
    print("WEIGHTS = {")
    for name, weight in zip(tag_likeness.FEATURES, fitted.weights, strict=True):
        print(f'    "{name}": {weight},')
    print("}")


if __name__ == "__main__":
    _print_constants(Path(sys.argv[1]))
