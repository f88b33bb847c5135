"""Turn verdicts into numbers per pair: who was shown first, and what the first place is worth.

A verdict without both scores is left out; no default stands in for it. A pair judged in one order
only is used after the judge's position bias has been subtracted, and weighs less than one judged in
both.

What it does not know: whether a judge saw the order at all. The two orders of a pointwise judge
agree exactly, so its position bias is 0 and its second order adds nothing.
"""

from __future__ import annotations

import polars as pl

PAIR = ["low", "high"]


def keep_complete_verdicts(verdicts: pl.DataFrame) -> pl.DataFrame:
    """The verdicts with both scores, sorted, whatever the order of rows or the sides of samples.

    Adds `low` and `high` (the two ids, sorted), `score_low` and `score_high`, `difference` (score
    of low minus score of high), `level` (mean of the two), and `sign` (+1 where low was shown
    first, else -1).
    """
    left_score = pl.col("score_left").cast(pl.Float64)
    right_score = pl.col("score_right").cast(pl.Float64)
    complete = verdicts.filter(
        pl.all_horizontal(left_score.is_finite(), right_score.is_finite()),
        pl.col("left") != pl.col("right"),
    )
    is_low = pl.col("left") < pl.col("right")
    low_first = is_low == (pl.col("order") == "ab")
    oriented = complete.with_columns(
        low=pl.when(is_low).then("left").otherwise("right"),
        high=pl.when(is_low).then("right").otherwise("left"),
        score_low=pl.when(is_low).then(left_score).otherwise(right_score),
        score_high=pl.when(is_low).then(right_score).otherwise(left_score),
        sign=pl.when(low_first).then(1.0).otherwise(-1.0),
    )
    measured = oriented.with_columns(
        difference=pl.col("score_low") - pl.col("score_high"),
        level=(pl.col("score_low") + pl.col("score_high")) / 2,
    )
    # A total order of the rows: sums below come out the same for any order of the input.
    return measured.sort(
        *PAIR,
        "cluster",
        "judge",
        "repetition",
        "sign",
        "difference",
        "level",
    )


def estimate_position_bias(verdicts: pl.DataFrame) -> pl.DataFrame:
    """What the first place is worth to each judge, in points: `judge`, `bias`, `error`, `n_pairs`.

    The bias is the mean, over the pairs that a judge saw in both orders, of half the sum of (score
    of the first minus score of the second) over both orders; the qualities of the samples cancel. A
    judge without such a pair gets the mean of first minus second over its verdicts, which is right
    if orders were drawn at random; its `n_pairs` is 0.
    """
    return _estimate_biases(keep_complete_verdicts(verdicts))


def _estimate_biases(judged: pl.DataFrame) -> pl.DataFrame:
    """`estimate_position_bias` of the result of `keep_complete_verdicts`."""
    sittings = judged.group_by(
        *PAIR,
        "cluster",
        "judge",
        "repetition",
        maintain_order=True,
    )
    difference = pl.col("difference")
    by_order = sittings.agg(
        difference.filter(pl.col("sign") > 0).mean().alias("low_first"),
        difference.filter(pl.col("sign") < 0).mean().alias("high_first"),
    )

    # Null where one of the orders is missing; count, mean and std leave nulls out.
    both_orders = (pl.col("low_first") - pl.col("high_first")) / 2
    one_order = pl.col("low_first").fill_null(-pl.col("high_first"))
    n_pairs = both_orders.count()
    bias = pl.when(n_pairs > 0).then(both_orders.mean()).otherwise(one_order.mean())
    biases = by_order.group_by("judge").agg(
        bias.alias("bias"),
        (both_orders.std() / n_pairs.sqrt()).alias("error"),
        n_pairs.alias("n_pairs"),
    )
    return biases.sort("judge")


def summarise_pairs(verdicts: pl.DataFrame) -> pl.DataFrame:
    """One row per pair and cluster: its verdicts, less position bias and the judges' own levels.

    Columns: `low`, `high`, `cluster`, `difference` and `level` (means over verdicts, in points),
    `n_verdicts`, and `spread`, the sum of squares of the differences around their mean (n_verdicts
    - 1 degrees of freedom).
    """
    judged = keep_complete_verdicts(verdicts)
    overall = judged["level"].mean()
    biases = _estimate_biases(judged).select("judge", "bias")
    with_bias = judged.join(
        biases,
        on="judge",
        maintain_order="left",
    )

    # Judges use the scale at different heights: each one's mean level moves to the mean of all.
    level_of_judge = pl.col("level").mean().over("judge")
    centred = with_bias.with_columns(
        difference=pl.col("difference") - pl.col("sign") * pl.col("bias"),
        level=pl.col("level") - level_of_judge + overall,
    )
    deviation = pl.col("difference") - pl.col("difference").mean()
    return centred.group_by(*PAIR, "cluster", maintain_order=True).agg(
        pl.col("difference").mean(),
        pl.col("level").mean(),
        pl.len().alias("n_verdicts"),
        (deviation**2).sum().alias("spread"),
    )
