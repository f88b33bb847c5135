"""Estimate a judge's reliability: how much of the variance of true quality its score explains.

A score X is true quality T (as this judge sees it) plus noise E that is independent of it. Then

    reliability = corr(X, T) ** 2 = Var(T) / Var(X) = 1 - Var(E) / Var(X)

(classical test theory; Lord and Novick 1968, section 3.3). Three sources tell Var(E):

- `estimate_from_errors`: the standard errors of scores that were fitted to verdicts. They rest on
  how far verdicts of one pair differ by order (flips) and by repetition, and on how far those of
  different pairs contradict each other.
- `estimate_from_repeats`: the variance of a sample's grades over repetitions and judges, over their
  number, is that of the error of their mean.
- `estimate_from_agreement`: the share a of labelled pairs in which the judge agrees with people. If
  scores and quality are jointly normal, a = 1/2 + arcsin(rho) / pi (Greiner 1909), so
  reliability = sin(pi (a - 1/2)) ** 2.

The first two compare a judge with itself. A fault that all its verdicts share, such as a taste for
length, counts as quality there: they are upper bounds of what its scores say of other readers'
grades. The last one compares it with people, whose own errors count against it.
"""

from __future__ import annotations

import math

import polars as pl

N_TO_TELL = 10
"""Samples with an error, or degrees of freedom, below which nothing is estimated."""


def estimate_from_errors(scores: pl.DataFrame) -> float | None:
    """The reliability, 0..1, of a table SCORES: 1 less mean squared error over variance.

    Only rows with a score and an error above 0 count, each compared with the mean of its component,
    as scores of different components share no scale. None if fewer than 10 rows have one.
    """
    complete = scores.drop_nulls(["score", "error"])
    uncertain = complete.filter(pl.col("error") > 0)
    deviation = pl.col("score") - pl.col("score").mean().over("component")
    table = uncertain.select(
        square=deviation**2,
        squared_error=pl.col("error") ** 2,
    )
    # Each component's mean takes one degree of freedom.
    n_free = table.height - uncertain["component"].n_unique()
    if n_free < N_TO_TELL:
        return None
    variance = float(table["square"].sum()) / n_free
    noise = float(table["squared_error"].sum()) / table.height
    return _share_of_truth(noise, variance)


def estimate_from_repeats(grades: pl.DataFrame) -> float | None:
    """The reliability, 0..1, of mean grades, from a table with `id` and `grade`, a row per sitting.

    With a column `judge`, each judge is centred first: that one is stricter than another is no
    noise. None if too few samples were graded more than once, or if every sample got the same grade
    each time, as at temperature 0: such repeats say nothing.
    """
    sittings = grades.drop_nulls("grade")
    grade = pl.col("grade").cast(pl.Float64)
    if "judge" in sittings.columns:
        sittings = sittings.with_columns(grade - grade.mean().over("judge"))
    by_sample = sittings.group_by("id")
    samples = by_sample.agg(
        mean=grade.mean(),
        n=pl.len(),
        square=((grade - grade.mean()) ** 2).sum(),
    ).sort("id")
    n_free = int(samples["n"].sum()) - samples.height
    if n_free < N_TO_TELL or samples.height < N_TO_TELL:
        return None
    # One sitting's noise, pooled within samples; the mean of n sittings has 1/n of it.
    within = float(samples["square"].sum()) / n_free
    if within == 0:
        return None
    mean_share = samples.select((1 / pl.col("n")).mean()).item()
    variance = samples.select(pl.col("mean").var()).item()
    return _share_of_truth(within * mean_share, variance)


def estimate_from_agreement(agreement: float) -> float:
    """The reliability, 0..1, of a judge that agrees with people on this share of pairs.

    No better than chance is 0.

    >>> estimate_from_agreement(0.5), estimate_from_agreement(1.0)
    (0.0, 1.0)
    >>> round(estimate_from_agreement(0.75), 2)
    0.5
    """
    above_chance = max(agreement - 0.5, 0.0)
    return math.sin(math.pi * above_chance) ** 2


def _share_of_truth(noise: float, variance: float) -> float:
    """1 - noise / variance, within 0..1; scores that are all the same say nothing."""
    if variance <= 0:
        return 0.0
    return min(max(1.0 - noise / variance, 0.0), 1.0)
