"""Fit one score per sample to all comparisons: a Gaussian product of experts.

Each pair gives two observations, means over its verdicts less position bias (Liusie et al. 2024,
arXiv 2405.05894, use the first one):

    difference = score_i - score_j + noise            variance v_difference
    level      = (score_i + score_j) / 2 + shift      variance v_level = v_shift + v_difference / 4

`shift` is what a judge adds to both samples of a call alike. Differences are free of it but cannot
compare samples of different components; levels can, if the shift is small. The variances are
estimated from the verdicts, so the user does not have to choose between the paper's way (trust the
level fully: with v_shift = 0 the solution IS the mean of raw scores) and the opposite (ignore it).
This is Yates's recovery of inter-block information (1940), with pairs as blocks of size two.

With `shrink`, or with `grades` (a cheap score of every sample, on any scale), scores get a Gaussian
prior: the mean, or a straight line on the grade, with a spread estimated from the scores themselves
(empirical Bayes). A sample with few comparisons is then drawn towards what its grade predicts, the
more so the less certain it is.

Scores stay on the judge's scale, 1..100, and may leave it a little at either end. What it does not
know: a judge's bias for length, or any other that both orders share; a scale that is not linear.
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
from tacos.records import RATINGS

N_TO_TELL = 10
"""Degrees of freedom below which a variance is not estimated."""
NO_NOISE = 1e-9
"""The least variance of a difference, in squared points: at this one all verdicts agree."""


@dataclass(frozen=True, slots=True)
class PairVariances:
    """Variances in squared points: `difference` and `level` of shape (pairs,), and `shift`."""

    difference: Floats
    level: Floats
    shift: float


@dataclass(frozen=True, slots=True)
class ScorePrior:
    """A Gaussian prior of the scores: `mean` of shape (n,), one `variance`."""

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
    """A table RATINGS from a table VERDICTS: a row per sample, or per sample and cluster.

    `scope="global"` fits one score per sample. `homes` (`id`, `cluster`) then names each sample's
    cluster; without it, it is the cluster where the sample was compared most often. With
    `scope="cluster"` each pair counts in its own `cluster`. `grades` has `id` and `grade`.
    `level="ignore"` uses differences only: each component then has the mean of its raw scores, and
    scores of different components cannot be compared. `error` is null where all verdicts agree
    exactly (as a pointwise judge's do), so that there is no noise to estimate it from. `seed` is
    used for standard errors of components of more than `exact` samples only.
    """
    pairs = summarise_pairs(verdicts)
    by_cluster = scope == "cluster"
    nodes, graph = build_comparison_graph(pairs, by_cluster)
    if graph.n == 0:
        return pl.DataFrame(schema=RATINGS)
    variances = estimate_variances(graph, ignore_level=level == "ignore")
    score = fit_scores(graph, variances)

    # Empirical Bayes: the first fit sets the prior of the second.
    prior = None
    if shrink or grades is not None:
        first_error = _score_errors(
            graph,
            variances,
            None,
            seed,
            exact,
        )
        prior = _fit_prior(score, first_error, align_grades(nodes, grades))
        score = fit_scores(graph, variances, prior)

    error = np.full(graph.n, np.nan)
    if variances.difference.max() > NO_NOISE:
        error = _score_errors(
            graph,
            variances,
            prior,
            seed,
            exact,
        )

    scores = _build_score_table(nodes, graph, score, error)
    if not by_cluster:
        # A global fit has null clusters; each sample is filed under its home.
        scores = scores.drop("cluster")
        scores = scores.join(
            find_homes(pairs, homes),
            on="id",
            how="left",
        )
    scores = scores.sort("cluster", "id")
    return scores.select(pl.col(name).cast(dtype) for name, dtype in RATINGS.items())


def _build_score_table(
    nodes: pl.DataFrame,
    graph: ComparisonGraph,
    score: Floats,
    error: Floats,
) -> pl.DataFrame:
    """`nodes` with `score`, `error` (NaN as null), `n_comparisons` and `component`."""
    as_low = np.bincount(graph.a, minlength=graph.n)
    as_high = np.bincount(graph.b, minlength=graph.n)
    table = nodes.with_columns(
        score=pl.Series(score),
        error=pl.Series(error),
        n_comparisons=pl.Series(as_low + as_high),
        component=pl.Series(graph.labels),
    )
    return table.with_columns(pl.col("error").fill_nan(None))


# Variances, by the method of moments


def estimate_variances(
    graph: ComparisonGraph,
    ignore_level: bool,
) -> PairVariances:
    """The variances of differences and levels, by moments.

    Noise within a pair is pooled from `spread`. What is left of the residuals of a fit on
    differences alone is noise between pairs. The shift is how much more a sample's own raw scores
    vary over its pairs than that noise explains. A variance with fewer than 10 degrees of freedom
    is taken as 0.
    """
    n_pairs = len(graph.a)
    within = _variance_ratio(graph.spread.sum(), graph.n_verdicts.sum() - n_pairs)

    # A fit on differences alone: equal weights, levels with infinite variance.
    equal_weights = PairVariances(
        difference=np.ones(n_pairs),
        level=np.full(n_pairs, np.inf),
        shift=0.0,
    )
    score = fit_scores(graph, equal_weights)
    residual = graph.difference - (score[graph.a] - score[graph.b])
    # Each component leaves its level open, so it takes one unknown less.
    n_components = graph.labels.max() + 1
    degrees_of_freedom = n_pairs - graph.n + n_components
    total = _variance_ratio((residual**2).sum(), degrees_of_freedom)
    explained = within * float(np.mean(1 / graph.n_verdicts))
    between = max(total - explained, 0.0)
    difference = np.maximum(between + within / graph.n_verdicts, NO_NOISE)

    shift = np.inf
    if not ignore_level:
        # A raw score is level +- difference / 2; two of them give half the difference's variance.
        noise = float(difference.mean()) / 2
        shift = max(_pool_raw_variance(graph) - noise, 0.0)
    return PairVariances(difference, shift + difference / 4, shift)


def _variance_ratio(
    total: float,
    degrees_of_freedom: float,
) -> float:
    """A variance from a sum of squares; 0 with fewer than `N_TO_TELL` degrees of freedom."""
    if degrees_of_freedom < N_TO_TELL:
        return 0.0
    return float(total / degrees_of_freedom)


def _pool_raw_variance(graph: ComparisonGraph) -> float:
    """How much a sample's raw scores vary over its pairs: the pooled variance within samples."""
    n = graph.n
    half = graph.difference / 2
    raw_low = graph.level + half
    raw_high = graph.level - half
    raw = np.concatenate([raw_low, raw_high])
    sample = np.concatenate([graph.a, graph.b])
    n_scores = np.bincount(sample, minlength=n)
    total = np.bincount(sample, raw, minlength=n)
    mean = total / n_scores
    deviation = raw - mean[sample]
    degrees_of_freedom = len(sample) - n
    return _variance_ratio((deviation**2).sum(), degrees_of_freedom)


# Scores and errors


def fit_scores(
    graph: ComparisonGraph,
    variances: PairVariances,
    prior: ScorePrior | None = None,
) -> Floats:
    """The scores, shape (n,). Without levels each component has the mean of its raw scores."""
    matrix, right = build_equations(graph, variances, prior)
    no_level = np.isinf(variances.shift) or np.isinf(variances.level).all()
    floating = prior is None and bool(no_level)
    if floating:
        solution = solve_equations(
            matrix,
            right[:, None],
            graph.labels,
            floating=True,
        )
        return solution[:, 0] + _average_components(graph)
    # Solved for the distance from the mean level, so that the tolerance applies to what matters.
    centre = graph.level.mean()
    all_at_centre = np.full(graph.n, centre)
    start = matrix @ all_at_centre
    distance = right - start
    solution = solve_equations(
        matrix,
        distance[:, None],
        graph.labels,
        floating=False,
    )
    return np.asarray(centre + solution[:, 0])


def build_equations(
    graph: ComparisonGraph,
    variances: PairVariances,
    prior: ScorePrior | None,
) -> tuple[Any, Floats]:
    """The normal equations: A, sparse, shape (n, n), and their right-hand side, shape (n,).

    A pair of samples i and j with precisions d (of the difference) and m (of the level) adds

        d + m / 4   to A_ii and A_jj,     d * difference + m * level / 2    to right_i,
        m / 4 - d   to A_ij and A_ji,    -d * difference + m * level / 2    to right_j.
    """
    d = 1 / variances.difference
    m = 1 / variances.level
    # Every pair twice, from the side of either sample: shape (2 pairs,).
    rows = np.concatenate([graph.a, graph.b])
    columns = np.concatenate([graph.b, graph.a])
    by_level = m * graph.level / 2
    by_difference = d * graph.difference
    pulls = np.concatenate([by_level + by_difference, by_level - by_difference])

    diagonal: Floats = np.bincount(
        rows,
        np.tile(m / 4 + d, 2),
        minlength=graph.n,
    ).astype(np.float64)
    right: Floats = np.bincount(rows, pulls, minlength=graph.n).astype(np.float64)
    if prior is not None:
        diagonal = diagonal + 1 / prior.variance
        right = right + prior.mean / prior.variance

    shape = (graph.n, graph.n)
    off_diagonal = csr_array((np.tile(m / 4 - d, 2), (rows, columns)), shape=shape)
    return off_diagonal + diagonal_matrix(diagonal), right


def _average_components(graph: ComparisonGraph) -> Floats:
    """The mean raw score of each sample's component, shape (n,)."""
    component = graph.labels[graph.a]
    means = np.bincount(component, graph.level) / np.bincount(component)
    return np.asarray(means[graph.labels])


def _score_errors(
    graph: ComparisonGraph,
    variances: PairVariances,
    prior: ScorePrior | None,
    seed: int,
    exact: int,
) -> Floats:
    """The standard error of each score, shape (n,)."""
    matrix, _ = build_equations(graph, variances, prior)
    factor = _build_factor(graph, variances, prior)
    floating = prior is None and bool(np.isinf(variances.shift))
    return standard_errors(
        matrix,
        graph.labels,
        floating,
        factor,
        seed,
        exact,
    )


def _build_factor(
    graph: ComparisonGraph,
    variances: PairVariances,
    prior: ScorePrior | None,
) -> Any:
    """F with F'F = A, sparse: a row for each difference, then each level, then each prior."""
    n_pairs = len(graph.a)
    n_priors = graph.n if prior is not None else 0
    d = 1 / np.sqrt(variances.difference)
    half = 0.5 / np.sqrt(variances.level)
    prior_value = 1 / np.sqrt(prior.variance) if prior else 0.0

    # values        d  -d   half  half   1 / sqrt(prior variance)
    # columns       a   b   a     b      every sample
    difference_rows = np.arange(n_pairs)
    level_rows = np.arange(n_pairs, 2 * n_pairs)
    samples = np.arange(n_priors)
    rows = [
        difference_rows,
        difference_rows,
        level_rows,
        level_rows,
        2 * n_pairs + samples,
    ]
    columns = [
        graph.a,
        graph.b,
        graph.a,
        graph.b,
        samples,
    ]
    values = [
        d,
        -d,
        half,
        half,
        np.full(n_priors, prior_value),
    ]
    places = (np.concatenate(rows), np.concatenate(columns))
    shape = (2 * n_pairs + n_priors, graph.n)
    return csr_array((np.concatenate(values), places), shape=shape)


def _fit_prior(
    score: Floats,
    error: Floats,
    grade: Floats,
) -> ScorePrior:
    """The prior of the scores, from their mean or their regression on the grade.

    Samples without a grade get the mean. The variance is that of the residuals less the mean
    squared standard error, and at least a tenth of the former.
    """
    mean = np.full(len(score), score.mean())
    graded = np.isfinite(grade)
    if graded.sum() >= N_TO_TELL and grade[graded].std() > 0:
        slope, offset = np.polyfit(grade[graded], score[graded], 1)
        mean[graded] = offset + slope * grade[graded]
    residual = score - mean
    total = float((residual**2).mean())
    noise = float((error**2).mean())
    variance = max(total - noise, total / 10, 1e-6)
    return ScorePrior(mean, variance)
