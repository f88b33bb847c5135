"""The frequency filter: tags seen fewer than alpha times are noise (InsTag, section 3.2: 20, of
306,044 queries).

Counts are those of the raw spellings, before anything is merged, as InsTag has it. What is no tag
at all (empty, or longer than a phrase can be) leaves here too, with a reason of its own.
"""

from __future__ import annotations

import math
from typing import Literal

import polars as pl

from tacos.methods.tags.tag_trace import StepCounts

INSTAG_ALPHA = 20
INSTAG_SAMPLES = 306_044
INSTAG_SUPPORT = 40
MIN_SUPPORT = 20
"""A rule seen without exception in 20 samples holds in at least 84% of all (Wilson, 95%); fewer are
no evidence.
"""
MAX_CHARS = 200


def choose_alpha(alpha: int | Literal["auto"], n_samples: int, at: int = INSTAG_SAMPLES) -> int:
    """Alpha as given, or for "auto" 20 `at` so many samples, scaled by the square root of their
    number, at least 1.

    The number of distinct tags grows about as the square root of the text (Heaps' law), and so does
    the count at which the tail begins. On 300 tagged instructions alpha = 2 would leave 17% of them
    without any tag, so nothing is dropped there; from about 1,700 samples on, tags seen once are.

    >>> [choose_alpha("auto", n) for n in (300, 1_029, 2_996, 52_002, 306_044, 3_000_000)]
    [1, 1, 2, 8, 20, 63]
    """
    if alpha != "auto":
        return alpha
    return max(1, round(INSTAG_ALPHA * math.sqrt(n_samples / at)))


def choose_min_support(min_support: int | Literal["auto"], n_samples: int) -> int:
    """The fewest samples a rule may rest on: as given, or for "auto" twice the automatic alpha, at
    least 20.

    >>> [choose_min_support("auto", n) for n in (300, 52_002, 306_044)]
    [20, 20, 40]
    """
    if min_support != "auto":
        return min_support
    return max(MIN_SUPPORT, choose_alpha("auto", n_samples) * INSTAG_SUPPORT // INSTAG_ALPHA)


def drop_rare_tags(vocabulary: pl.DataFrame, alpha: int) -> tuple[pl.DataFrame, StepCounts]:
    """`vocabulary` (by `VOCABULARY`) without the names that their raw tags together bring fewer
    than `alpha` times.
    """
    name = pl.col("canonical")
    total = pl.col("count").cast(pl.UInt64).sum().over("canonical")
    empty = name.str.strip_chars().str.len_chars() == 0
    why = (
        pl.when(name.is_null())
        .then(None)
        .when(empty)
        .then(pl.lit("empty"))
        .when(name.str.len_chars() > MAX_CHARS)
        .then(pl.lit(f"longer than {MAX_CHARS} characters"))
        .when(total < alpha)
        .then(pl.format("seen {} times, fewer than alpha = {}", total, pl.lit(alpha)))
    )
    marked = vocabulary.with_columns(why.alias("why"))
    gone = pl.col("why").is_not_null()
    before = pl.concat_str(
        [pl.col("reason"), pl.lit("frequency: ") + pl.col("why")], separator="; "
    )
    after = marked.with_columns(
        pl.when(~gone).then(name).alias("canonical"),
        pl.when(gone).then(pl.lit("frequency")).otherwise("step").alias("step"),
        pl.when(gone).then(before.str.strip_prefix("; ")).otherwise("reason").alias("reason"),
    ).drop("why")
    n_in, n_out = _count_names(vocabulary), _count_names(after)
    return after, StepCounts("frequency", n_in, n_out, 0, n_in - n_out)


def find_alpha(vocabulary: pl.DataFrame, n: int) -> tuple[int, int]:
    """The smallest alpha that leaves at most `n` (at least 0) names of `vocabulary`, and how many
    it leaves.

    >>> find_alpha(pl.DataFrame({"canonical": ["a", "b", "b", "c"], "count": [5, 1, 1, 1]}), 2)
    (2, 2)
    """
    totals = (
        vocabulary.drop_nulls("canonical")
        .group_by("canonical")
        .agg(pl.col("count").cast(pl.UInt64).sum())
    )
    counts = totals["count"].sort(descending=True)
    alpha = int(counts[n]) + 1 if n < len(counts) else 1
    return alpha, int((counts >= alpha).sum())


def _count_names(vocabulary: pl.DataFrame) -> int:
    """How many distinct canonical names there are."""
    return vocabulary["canonical"].drop_nulls().n_unique()
