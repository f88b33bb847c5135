"""Drops rare tags as noise: those seen fewer than alpha times (InsTag, section 3.2).

InsTag sets alpha to 20 for 306,044 queries. As there, counts are those of the raw spellings, before
anything is merged. Strings that are no tags at all (empty, or longer than any phrase) are dropped
here too, with a reason of their own.
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
"""A rule without exception in 20 samples holds in at least 84% of all (Wilson, 95%); fewer samples
are no evidence.
"""
MAX_CHARS = 200
"""A tag is not longer than this."""


def choose_alpha(
    alpha: int | Literal["auto"],
    n_samples: int,
    at: int = INSTAG_SAMPLES,
) -> int:
    """Alpha as given; for "auto", InsTag's 20 at `at` samples, scaled to `n_samples`, at least 1.

    The number of distinct tags grows roughly with the square root of the text (Heaps' law), and so
    does the count at which the tail begins. On 300 tagged instructions, alpha = 2 would leave 17%
    of them without any tag, so nothing is dropped there; tags seen once are dropped from about
    1,700 samples on.

    >>> [choose_alpha("auto", n) for n in (300, 1_029, 2_996, 52_002, 306_044, 3_000_000)]
    [1, 1, 2, 8, 20, 63]
    """
    if alpha != "auto":
        return alpha
    scale = math.sqrt(n_samples / at)
    return max(1, round(INSTAG_ALPHA * scale))


def choose_min_support(
    min_support: int | Literal["auto"],
    n_samples: int,
) -> int:
    """The fewest samples a rule may rest on, as given; for "auto", twice the automatic alpha.

    The automatic value is at least `MIN_SUPPORT`.

    >>> [choose_min_support("auto", n) for n in (300, 52_002, 306_044)]
    [20, 20, 40]
    """
    if min_support != "auto":
        return min_support
    alpha = choose_alpha("auto", n_samples)
    scaled = alpha * INSTAG_SUPPORT // INSTAG_ALPHA
    return max(MIN_SUPPORT, scaled)


def drop_rare_tags(
    vocabulary: pl.DataFrame,
    alpha: int,
) -> tuple[pl.DataFrame, StepCounts]:
    """`vocabulary` (by `VOCABULARY`) without names seen fewer than `alpha` times.

    The count of a name is that of all its raw tags together.
    """
    marked = vocabulary.with_columns(why=_explain_drop(alpha))
    # The reason of an earlier step, if there is one, stays in front.
    reasons = pl.concat_str(
        pl.col("reason"),
        pl.format("frequency: {}", "why"),
        separator="; ",
    )
    dropped = pl.when(pl.col("why").is_not_null())
    after = marked.with_columns(
        canonical=pl.when(pl.col("why").is_null()).then("canonical"),
        step=dropped.then(pl.lit("frequency")).otherwise("step"),
        reason=dropped.then(reasons.str.strip_prefix("; ")).otherwise("reason"),
    )
    n_in = _count_names(vocabulary)
    n_out = _count_names(after)
    step = StepCounts(
        "frequency",
        n_in=n_in,
        n_out=n_out,
        n_merged=0,
        n_dropped=n_in - n_out,
    )
    return after.drop("why"), step


def find_alpha(
    vocabulary: pl.DataFrame,
    n: int,
) -> tuple[int, int]:
    """The smallest alpha that leaves at most `n` names of `vocabulary`, and how many it leaves.

    >>> find_alpha(pl.DataFrame({"canonical": ["a", "b", "b", "c"], "count": [5, 1, 1, 1]}), 2)
    (2, 2)
    """
    kept = vocabulary.drop_nulls("canonical")
    total = pl.col("count").cast(pl.UInt64).sum()
    totals = kept.group_by("canonical").agg(total)
    counts = totals["count"].sort(descending=True)
    alpha = 1
    if n < len(counts):
        # counts[n] is the most frequent name too many.
        alpha = int(counts[n]) + 1
    is_left = counts >= alpha
    return alpha, int(is_left.sum())


def _explain_drop(alpha: int) -> pl.Expr:
    """Why a name is dropped; null if it stays, or was dropped before."""
    name = pl.col("canonical")
    is_empty = name.str.strip_chars().str.len_chars() == 0
    is_too_long = name.str.len_chars() > MAX_CHARS
    # Counts are UInt32, and their sum may be larger.
    total = pl.col("count").cast(pl.UInt64).sum().over("canonical")
    is_rare = total < alpha
    rare = pl.format("seen {} times, fewer than alpha = {}", total, pl.lit(alpha))
    return (
        pl.when(name.is_null())
        .then(None)
        .when(is_empty)
        .then(pl.lit("empty"))
        .when(is_too_long)
        .then(pl.lit(f"longer than {MAX_CHARS} characters"))
        .when(is_rare)
        .then(rare)
    )


def _count_names(vocabulary: pl.DataFrame) -> int:
    """How many distinct canonical names there are."""
    return vocabulary["canonical"].drop_nulls().n_unique()
