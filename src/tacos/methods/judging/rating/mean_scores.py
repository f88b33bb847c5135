"""Rate as the paper does (section 3.3): average a sample's raw scores over both orders.

A sample has one score per cluster in which it was compared. Nothing connects one pair to the next
but the judge's absolute scale, so samples that share no pair are in components of their own.
"""

from __future__ import annotations

import polars as pl

from tacos.methods.judging.rating.normal_equations import Ints, label_components
from tacos.methods.judging.rating.presentation_orders import (
    PAIR,
    keep_complete_verdicts,
)
from tacos.records import RATINGS


def average_raw_scores(verdicts: pl.DataFrame) -> pl.DataFrame:
    """A table RATINGS, one row per (sample, cluster), from a table VERDICTS.

    A pair's score of a sample is the mean over its orders. A missing verdict is left out, so a pair
    judged in one order keeps the position bias of that order. A sample's score is the mean over its
    pairs; `n_comparisons` counts pairs; `error` is the standard error of the mean over pairs, null
    with fewer than two.
    """
    judged = keep_complete_verdicts(verdicts)
    sides = pl.concat(_select_side(judged, side) for side in PAIR)

    # The mean of means: first over repetitions and judges, then over orders, then over pairs.
    # Sorting first keeps the order of rows from changing the last digit of a sum.
    sorted_score = pl.col("score").sort()
    mean_score = sorted_score.mean()
    standard_error = sorted_score.std() / pl.len().sqrt()
    by_sample = (
        sides.group_by("id", "cluster", *PAIR, "sign")
        .agg(mean_score)
        .group_by("id", "cluster", *PAIR)
        .agg(mean_score)
        .group_by("id", "cluster")
        .agg(
            mean_score,
            standard_error.alias("error"),
            pl.len().alias("n_comparisons"),
        )
    )

    scores = by_sample.join(_find_components(judged), on=["id", "cluster"])
    scores = scores.sort("cluster", "id")
    return scores.select(pl.col(name).cast(dtype) for name, dtype in RATINGS.items())


def _select_side(
    judged: pl.DataFrame,
    side: str,
) -> pl.DataFrame:
    """A row per verdict with the score of the sample on one side."""
    return judged.select(
        "cluster",
        *PAIR,
        "sign",
        id=pl.col(side),
        score=pl.col(f"score_{side}"),
    )


def _find_components(judged: pl.DataFrame) -> pl.DataFrame:
    """`id`, `cluster`, `component`: which samples comparisons within a cluster connect."""
    ends = pl.concat(judged.select("cluster", id=pl.col(side)) for side in PAIR)
    nodes = ends.unique().sort("cluster", "id")
    low, high = (_number_samples(judged, side, nodes) for side in PAIR)
    labels = label_components(low, high, nodes.height)
    return nodes.with_columns(component=pl.Series(labels))


def _number_samples(
    judged: pl.DataFrame,
    side: str,
    nodes: pl.DataFrame,
) -> Ints:
    """The row number in `nodes` of the sample on one side of each verdict, shape (verdicts,)."""
    numbered = judged.join(
        nodes.with_row_index("node"),
        left_on=["cluster", side],
        right_on=["cluster", "id"],
        maintain_order="left",
    )
    return numbered["node"].to_numpy()
