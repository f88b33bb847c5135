"""The paper's rating (its section 3.3): the average of a sample's raw scores over both orders.

A sample has one score per cluster where it was compared. Nothing ties one pair to the next but the
judge's absolute scale, so each pair is a component of its own.
"""

from __future__ import annotations

import polars as pl

from tacos.methods.judging.rating.normal_equations import label_components
from tacos.methods.judging.rating.presentation_orders import keep_complete_verdicts
from tacos.records import SCORES


def average_raw_scores(verdicts: pl.DataFrame) -> pl.DataFrame:
    """A table SCORES, one row per (sample, cluster), from a table VERDICTS.

    A pair's score of a sample is the mean of its two orders (of as many as there are: a missing
    verdict is left out, so that a pair judged in one order keeps that order's position bias); a
    sample's score is the mean over its pairs. `n_comparisons` counts pairs. `error` is the standard
    error of the mean over pairs, null with fewer than two.
    """
    judged = keep_complete_verdicts(verdicts)
    sides = pl.concat(
        judged.select(
            "cluster", "low", "high", "sign", id=pl.col(side), score=pl.col(f"score_{side}")
        )
        for side in ("low", "high")
    )
    orders = sides.group_by("id", "cluster", "low", "high", "sign").agg(
        pl.col("score").sort().mean()
    )
    pairs = orders.group_by("id", "cluster", "low", "high").agg(pl.col("score").sort().mean())
    table = pairs.group_by("id", "cluster").agg(
        pl.col("score").sort().mean(),
        (pl.col("score").sort().std() / pl.len().sqrt()).alias("error"),
        pl.len().alias("n_comparisons"),
    )
    return (
        table.join(_find_components(judged), on=["id", "cluster"])
        .sort("cluster", "id")
        .select(pl.col(name).cast(dtype) for name, dtype in SCORES.items())
    )


def _find_components(judged: pl.DataFrame) -> pl.DataFrame:
    """`id`, `cluster`, `component`: which samples are tied to each other by comparisons within a
    cluster.
    """
    nodes = (
        pl.concat(judged.select("cluster", id=pl.col(side)) for side in ("low", "high"))
        .unique()
        .sort("cluster", "id")
    )
    index = nodes.with_row_index("node")
    ends = [
        judged.join(
            index, left_on=["cluster", side], right_on=["cluster", "id"], maintain_order="left"
        )["node"].to_numpy()
        for side in ("low", "high")
    ]
    return nodes.with_columns(component=pl.Series(label_components(ends[0], ends[1], nodes.height)))
