"""One score per sample from all comparisons: a Gaussian product of experts, weighted by what the
verdicts themselves show.

Each pair gives two observations (means over its verdicts, freed of position bias; Liusie et al.
2024, arXiv 2405.05894, have the first one):

    difference = score_i - score_j + noise            variance v_difference
    level      = (score_i + score_j) / 2 + shift      variance v_level = v_shift + v_difference / 4

`shift` is what a judge adds to both samples of a call alike. Differences are free of it but cannot
compare samples of different components; the level can, if the shift is small. The variances are
estimated from the verdicts, so that neither the paper's choice (trust the level fully: with v_shift
= 0 the solution IS the mean of raw scores) nor the opposite (ignore it) has to be made by hand: it
is Yates's recovery of inter-block information (1940), with pairs as blocks of size two.

With `shrink`, or with `grades` (a cheap score of every sample, whatever its scale), scores get a
Gaussian prior: the mean, or a straight line on the grade, with a spread estimated from the scores
themselves (empirical Bayes). A sample with few comparisons is then drawn towards what its grade
predicts, more so the less certain it is.

Scores stay on the judge's scale, 1..100, and may leave it a little at either end. What it does not
know: a judge's bias for length, or any other that both orders share; a scale that bends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from tacos.methods.judging.rating.comparison_graph import (
    ComparisonGraph,
    align_grades,
    build_comparison_graph,
    find_homes,
)
from tacos.methods.judging.rating.normal_equations import (
    EXACT,
    Floats,
    diagonal_matrix,
    solve_equations,
    standard_errors,
)
from tacos.methods.judging.rating.presentation_orders import summarise_pairs
from tacos.records import SCORES

N_TO_TELL = 10
"""Degrees of freedom below which a variance is not estimated."""


@dataclass(frozen=True, slots=True)
class PairVariances:
    """What is estimated before the scores, in squared points: `difference` and `level` per pair."""

    difference: Floats
    level: Floats
    shift: float


@dataclass(frozen=True, slots=True)
class ScorePrior:
    """A Gaussian prior of each score: `mean` of shape (n,), one `variance`."""

    mean: Floats
    variance: float


def fit_least_squares(
    verdicts: pl.DataFrame,
    scope: Literal["global", "cluster"] = "global",
    homes: pl.DataFrame | None = None,
    grades: pl.DataFrame | None = None,
    shrink: bool = False,
    level: Literal["auto", "ignore"] = "auto",
    seed: int = 1,
    exact: int = EXACT,
) -> pl.DataFrame:
    """A table SCORES from a table VERDICTS: a row per sample (`global`), or per sample and cluster
    (`cluster`).

    `homes` (`id`, `cluster`) names each sample's cluster in a global fit; without it, it is the one
    where the sample was compared most often. In a fit by cluster each pair counts in its own
    `cluster`. `grades` has `id` and `grade`. `level="ignore"` uses differences only: each component
    then has the mean of its raw scores, and scores of different components cannot be compared.
    `error` is null where the verdicts leave nothing to tell it from (all agree exactly, as a
    pointwise judge's do). `seed` is used for standard errors of components above `exact` samples
    only.
    """
    pairs = summarise_pairs(verdicts)
    nodes, graph = build_comparison_graph(pairs, by_cluster=scope == "cluster")
    if graph.n == 0:
        return pl.DataFrame(schema=SCORES)
    variances = estimate_variances(graph, ignore_level=level == "ignore")
    score = fit_scores(graph, variances)
    prior = None
    if shrink or grades is not None:
        prior = _fit_prior(
            score, _score_errors(graph, variances, None, seed, exact), align_grades(nodes, grades)
        )
        score = fit_scores(graph, variances, prior)
    told = variances.difference.max() > 1e-9
    error = (
        _score_errors(graph, variances, prior, seed, exact) if told else np.full(graph.n, np.nan)
    )
    counts = np.bincount(graph.a, minlength=graph.n) + np.bincount(graph.b, minlength=graph.n)
    table = nodes.with_columns(
        score=pl.Series(score),
        error=pl.Series(error),
        n_comparisons=pl.Series(counts),
        component=pl.Series(graph.labels),
    ).with_columns(pl.col("error").fill_nan(None))
    named = (
        table
        if scope == "cluster"
        else table.drop("cluster").join(find_homes(pairs, homes), on="id", how="left")
    )
    return named.sort("cluster", "id").select(
        pl.col(name).cast(dtype) for name, dtype in SCORES.items()
    )


def estimate_variances(graph: ComparisonGraph, ignore_level: bool) -> PairVariances:
    """The variances of differences and levels, by moments.

    Noise within a pair is pooled from `spread`; what is left of the residuals of a fit on
    differences alone is noise between pairs. The shift comes from how much a sample's own raw
    scores vary over its pairs, more than that noise explains. Where fewer than 10 degrees of
    freedom are left for one, it is taken as 0.
    """
    within = _variance_ratio(graph.spread.sum(), graph.n_verdicts.sum() - len(graph.a))
    plain = PairVariances(np.ones(len(graph.a)), np.full(len(graph.a), np.inf), 0.0)
    alone = fit_scores(graph, plain)
    rest = graph.difference - (alone[graph.a] - alone[graph.b])
    free = len(graph.a) - graph.n + graph.labels.max() + 1
    between = max(
        _variance_ratio((rest**2).sum(), free) - within * float(np.mean(1 / graph.n_verdicts)), 0.0
    )
    difference = np.maximum(between + within / graph.n_verdicts, 1e-9)
    shift = (
        np.inf
        if ignore_level
        else max(_pool_raw_variance(graph) - float(difference.mean()) / 2, 0.0)
    )
    return PairVariances(difference, shift + difference / 4, shift)


def _variance_ratio(total: float, free: float) -> float:
    """A variance from a sum of squares; 0 where fewer than `N_TO_TELL` degrees of freedom are left."""
    return float(total / free) if free >= N_TO_TELL else 0.0


def _pool_raw_variance(graph: ComparisonGraph) -> float:
    """How much a sample's raw scores vary over its pairs: the pooled variance within samples."""
    node = np.concatenate([graph.a, graph.b])
    raw = np.concatenate([graph.level + graph.difference / 2, graph.level - graph.difference / 2])
    count = np.bincount(node, minlength=graph.n)
    mean = np.bincount(node, raw, minlength=graph.n) / count
    return _variance_ratio(((raw - mean[node]) ** 2).sum(), len(node) - graph.n)


def build_equations(
    graph: ComparisonGraph, variances: PairVariances, prior: ScorePrior | None
) -> tuple[Any, Floats]:
    """The normal equations A and their right-hand side."""
    d, m = 1 / variances.difference, 1 / variances.level
    here, there = np.concatenate([graph.a, graph.b]), np.concatenate([graph.b, graph.a])
    pull, push = m * graph.level / 2, d * graph.difference
    own: Floats = np.bincount(here, np.tile(m / 4 + d, 2), minlength=graph.n).astype(np.float64)
    right: Floats = np.bincount(
        here, np.concatenate([pull + push, pull - push]), minlength=graph.n
    ).astype(np.float64)
    if prior is not None:
        own, right = own + 1 / prior.variance, right + prior.mean / prior.variance
    off = csr_array((np.tile(m / 4 - d, 2), (here, there)), shape=(graph.n, graph.n))
    return off + diagonal_matrix(own), right


def fit_scores(
    graph: ComparisonGraph, variances: PairVariances, prior: ScorePrior | None = None
) -> Floats:
    """The scores, shape (n,). Without levels each component is centred on the mean of its raw
    scores.
    """
    matrix, right = build_equations(graph, variances, prior)
    floating = prior is None and bool(np.isinf(variances.shift) or np.isinf(variances.level).all())
    centre = graph.level.mean()
    if floating:
        return solve_equations(matrix, right[:, None], graph.labels, True)[
            :, 0
        ] + _average_components(graph)
    start = matrix @ np.full(graph.n, centre)
    return np.asarray(
        centre + solve_equations(matrix, (right - start)[:, None], graph.labels, False)[:, 0]
    )


def _average_components(graph: ComparisonGraph) -> Floats:
    """The mean raw score of each sample's component, shape (n,)."""
    where = graph.labels[graph.a]
    return np.asarray((np.bincount(where, graph.level) / np.bincount(where))[graph.labels])


def _score_errors(
    graph: ComparisonGraph,
    variances: PairVariances,
    prior: ScorePrior | None,
    seed: int,
    exact: int,
) -> Floats:
    """The standard error of each score, shape (n,)."""
    matrix, _ = build_equations(graph, variances, prior)
    floating = prior is None and bool(np.isinf(variances.shift))
    return standard_errors(
        matrix, graph.labels, floating, _build_factor(graph, variances, prior), seed, exact
    )


def _build_factor(
    graph: ComparisonGraph, variances: PairVariances, prior: ScorePrior | None
) -> Any:
    """F with F'F = A: a row for each difference, level and prior."""
    m = len(graph.a)
    d, h = 1 / np.sqrt(variances.difference), 0.5 / np.sqrt(variances.level)
    n_prior = graph.n if prior is not None else 0
    rows = np.concatenate(
        [np.tile(np.arange(m), 2), np.tile(np.arange(m, 2 * m), 2), 2 * m + np.arange(n_prior)]
    )
    columns = np.concatenate([graph.a, graph.b, graph.a, graph.b, np.arange(n_prior)])
    ends = np.full(n_prior, 1 / np.sqrt(prior.variance) if prior else 0.0)
    return csr_array(
        (np.concatenate([d, -d, h, h, ends]), (rows, columns)), shape=(2 * m + n_prior, graph.n)
    )


def _fit_prior(score: Floats, error: Floats, grade: Floats) -> ScorePrior:
    """The prior whose mean is the mean score, or its regression on the grade, and whose spread is
    what noise leaves.

    Samples without a grade get the mean. The variance is that of the residuals less the mean
    squared standard error, and at least a tenth of the former.
    """
    mean = np.full(len(score), score.mean())
    seen = np.isfinite(grade)
    if seen.sum() >= N_TO_TELL and grade[seen].std() > 0:
        slope, offset = np.polyfit(grade[seen], score[seen], 1)
        mean[seen] = offset + slope * grade[seen]
    total = float(((score - mean) ** 2).mean())
    return ScorePrior(mean, max(total - float((error**2).mean()), total / 10, 1e-6))
