"""Verdicts as numbers: who was shown first, what the place alone was worth, and what a pair says
over all its verdicts.

A verdict whose scores are missing is missing: it is left out, and nothing stands in for it. A pair
with one order only is used after the judge's position bias has been taken off, and weighs less than
one with both.

What it does not know: whether a judge saw the order at all. A pointwise judge's two orders agree
exactly, so its position bias comes out as 0 and its second order adds nothing.
"""

from __future__ import annotations

import polars as pl

PAIR = ["low", "high"]


def keep_complete_verdicts(verdicts: pl.DataFrame) -> pl.DataFrame:
    """The verdicts with both scores, in an order of their own, whatever the order or the sides of
    the table.

    Adds `low` and `high` (the two ids, sorted), `difference` (score of low minus high), `level`
    (mean of the two), `score_low`, `score_high` and `sign` (+1 where low was shown first, else -1).
    """
    is_low = pl.col("left") < pl.col("right")
    scores = [pl.col(name).cast(pl.Float64) for name in ("score_left", "score_right")]
    low_first = is_low == (pl.col("order") == "ab")
    return (
        verdicts.filter(
            pl.all_horizontal(score.is_finite() for score in scores),
            pl.col("left") != pl.col("right"),
        )
        .with_columns(
            low=pl.when(is_low).then("left").otherwise("right"),
            high=pl.when(is_low).then("right").otherwise("left"),
            score_low=pl.when(is_low).then(scores[0]).otherwise(scores[1]),
            score_high=pl.when(is_low).then(scores[1]).otherwise(scores[0]),
            sign=pl.when(low_first).then(1.0).otherwise(-1.0),
        )
        .with_columns(
            difference=pl.col("score_low") - pl.col("score_high"),
            level=(pl.col("score_low") + pl.col("score_high")) / 2,
        )
        .sort(*PAIR, "cluster", "judge", "repetition", "sign", "difference", "level")
    )


def estimate_position_bias(verdicts: pl.DataFrame) -> pl.DataFrame:
    """What being shown first is worth to each judge, in points: `judge`, `bias`, `error`,
    `n_pairs`.

    From pairs that a judge saw in both orders: half of (first minus second) summed over both, which
    is free of the samples' qualities. A judge with no such pair gets the mean of first minus second
    over its verdicts, which is right where orders were drawn at random; its `n_pairs` is 0.
    """
    return _estimate_biases(keep_complete_verdicts(verdicts))


def _estimate_biases(judged: pl.DataFrame) -> pl.DataFrame:
    """`estimate_position_bias` of verdicts made `keep_complete_verdicts`."""
    by_order = judged.group_by(*PAIR, "cluster", "judge", "repetition", maintain_order=True).agg(
        pl.col("difference").filter(pl.col("sign") > 0).mean().alias("first"),
        pl.col("difference").filter(pl.col("sign") < 0).mean().alias("second"),
    )
    advantage = (pl.col("first") - pl.col("second")) / 2
    one_order = pl.col("first").fill_null(-pl.col("second"))
    return (
        by_order.group_by("judge")
        .agg(
            pl.when(advantage.count() > 0)
            .then(advantage.mean())
            .otherwise(one_order.mean())
            .alias("bias"),
            (advantage.std() / advantage.count().sqrt()).alias("error"),
            advantage.count().alias("n_pairs"),
        )
        .sort("judge")
    )


def summarise_pairs(verdicts: pl.DataFrame) -> pl.DataFrame:
    """One row per pair and cluster: what all its verdicts say, freed of position bias and of the
    judges' own levels.

    Columns: `low`, `high`, `cluster`, `difference` and `level` (means over verdicts, in points),
    `n_verdicts`, and `spread`, the sum of squares of the differences around their mean (n_verdicts
    - 1 degrees of freedom).
    """
    judged = keep_complete_verdicts(verdicts)
    overall = judged["level"].mean()
    centred = judged.join(
        _estimate_biases(judged).select("judge", "bias"), on="judge", maintain_order="left"
    ).with_columns(
        difference=pl.col("difference") - pl.col("sign") * pl.col("bias"),
        level=pl.col("level") - pl.col("level").mean().over("judge") + overall,
    )
    return centred.group_by(*PAIR, "cluster", maintain_order=True).agg(
        pl.col("difference").mean(),
        pl.col("level").mean(),
        pl.len().alias("n_verdicts"),
        ((pl.col("difference") - pl.col("difference").mean()) ** 2).sum().alias("spread"),
    )
