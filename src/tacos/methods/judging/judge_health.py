"""Diagnose a judge from its verdicts: flips, ties, position, length, transitivity, collapse.

Where the judge gives value and correctness, the diagnostics are of the score made of them, and
both numbers have some of their own. Every figure says how many rows it rests on; a figure without
rows is null. What depends on the order shown (flips, one-sided ties, first position) is null for a
pointwise judge, which cannot see it: printed "n/a", never 0%.

What it does not know: who is right. A judge that never flips may still be wrong, and a preference
for length may be justified.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import csr_array

from tacos.methods.judging.comparisons import NUMBERS, average_verdict_numbers
from tacos.methods.judging.rating.presentation_orders import (
    PAIR,
    keep_complete_verdicts,
)
from tacos.records import VERDICTS, add_missing_columns

COLLAPSE_SHARE = 0.5
COLLAPSE_VALUES = 3
COLLAPSE_ROWS = 20
N_AT_ONCE = 500_000
"""Rows that are ranked together."""
MOST_WHOLE = 2**62
"""What whole numbers of 8 bytes hold, and more."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number, and how many rows it rests on (pairs, verdicts, samples, ...).

    `value` is None where it cannot be told.
    """

    value: float | None
    n: int


@dataclass(frozen=True, slots=True)
class NumberDiagnostics:
    """What is known of one of the two numbers that a judge gives, as in `JudgeDiagnostics`."""

    flip_rate: Measurement
    length_correlation: Measurement
    top_score_share: Measurement
    collapsed: bool


@dataclass(frozen=True, slots=True)
class JudgeDiagnostics:
    """The result of `diagnose_judge`; shares are in 0..1."""

    n_verdicts: int
    n_missing: int
    """Rows of the table without both scores."""
    flip_rate: Measurement
    """Pairs judged in both orders whose winner changed with the order."""
    one_sided_tie_rate: Measurement
    """Pairs judged in both orders that are a tie in exactly one."""
    tie_rate: Measurement
    """Verdicts with equal scores."""
    first_share: Measurement
    """Verdicts with a winner in which it was the sample shown first; half is fair."""
    length_correlation: Measurement
    """Spearman's correlation over samples of mean raw score and length of the response."""
    violation_rate: Measurement
    """Triples with all three pairs compared (ties left out) that go in a circle; 1/4 is chance."""
    top_score_share: Measurement
    """The share of the most common score among all scores given."""
    collapsed: bool
    """Half of the scores or more are the same, or only three values occur (20 scores or more)."""
    numbers: dict[str, NumberDiagnostics]
    """Of "value" and "correctness"; empty where the judge gave one score only."""
    number_correlation: Measurement
    """Spearman's correlation over samples of mean value and mean correctness: near 1, the judge
    gives one number twice."""


def diagnose_judge(
    verdicts: pl.DataFrame,
    lengths: pl.DataFrame,
    pointwise: bool,
) -> JudgeDiagnostics:
    """The diagnostics of a table VERDICTS, best with one judge at a time.

    `lengths` has `id` and `length`.
    """
    judged = keep_complete_verdicts(verdicts)
    with_winner = _add_winner(judged)
    decided = with_winner.filter(pl.col("winner") != 0)
    first_won = decided["winner"] == decided["sign"].cast(pl.Int8)
    flip_rate, one_sided_tie_rate = _measure_flips(with_winner)
    first_share = _measure_share(first_won)
    if pointwise:
        flip_rate = one_sided_tie_rate = first_share = Measurement(None, 0)
    top_score_share, collapsed = _measure_collapse(judged)
    return JudgeDiagnostics(
        n_verdicts=judged.height,
        n_missing=verdicts.height - judged.height,
        flip_rate=flip_rate,
        one_sided_tie_rate=one_sided_tie_rate,
        tie_rate=_measure_share(with_winner["winner"] == 0),
        first_share=first_share,
        length_correlation=_correlate_with_length(judged, lengths),
        violation_rate=_measure_intransitivity(with_winner),
        top_score_share=top_score_share,
        collapsed=collapsed,
        numbers=_diagnose_numbers(verdicts, lengths, pointwise),
        number_correlation=correlate_ranks(
            average_verdict_numbers(verdicts),
            "value",
            "correctness",
        ),
    )


def correlate_ranks(
    table: pl.DataFrame,
    one: str,
    other: str,
) -> Measurement:
    """Spearman's correlation of two columns of numbers, over the rows that have both.

    Null with fewer than three rows, or where either does not vary.
    """
    both = drop_null_rows(table.select(one, other))
    n_rows = both.height
    if n_rows < 3:
        return Measurement(None, n_rows)
    if any(both[name].min() == both[name].max() for name in (one, other)):
        return Measurement(None, n_rows)
    ranks = _rank_around_mean(both[one])
    other_ranks = _rank_around_mean(both[other])
    variances = _multiply(ranks, ranks) * _multiply(other_ranks, other_ranks)
    correlation = _multiply(ranks, other_ranks) / math.sqrt(variances)
    return Measurement(correlation, n_rows)


def drop_null_rows(table: pl.DataFrame) -> pl.DataFrame:
    """The rows without a null; the table itself, not a copy, where there is none."""
    has_nulls = any(column.null_count() for column in table.iter_columns())
    return table.drop_nulls() if has_nulls else table


def _rank_around_mean(values: pl.Series) -> npt.NDArray[np.int32]:
    """Twice the distance of each value's rank from the mean rank, shape (values,); equal values
    share the mean of their ranks.

    Whole numbers of 4 bytes: ranks of 8 bytes and an order of all rows take five times as much.
    """
    numbers = values.to_numpy()
    n_rows = len(numbers)
    ordered = np.sort(numbers)
    ranks = np.empty(n_rows, np.int32)
    for first in range(0, n_rows, N_AT_ONCE):
        some = numbers[first : first + N_AT_ONCE]
        # Looked up in order, neighbours lie near each other in memory.
        order = np.argsort(some)
        n_below = np.searchsorted(ordered, some[order], "left")
        n_up_to = np.searchsorted(ordered, some[order], "right")
        ranks[first : first + N_AT_ONCE][order] = n_below + n_up_to - n_rows
    return ranks


def _multiply(ranks: npt.NDArray[np.int32], others: npt.NDArray[np.int32]) -> int:
    """The sum of their products, without rounding."""
    n_rows = len(ranks)
    # As many as cannot overflow: no rank around the mean is larger than the number of rows.
    n_at_once = max(1, MOST_WHOLE // n_rows**2)
    product = 0
    for first in range(0, n_rows, n_at_once):
        some = ranks[first : first + n_at_once].astype(np.int64)
        product += int(some @ others[first : first + n_at_once])
    return product


def measure_judge_agreement(
    verdicts: pl.DataFrame,
) -> list[tuple[str, str, Measurement]]:
    """For each two judges of a panel: the share of their common pairs in which they agree.

    A judge's answer is the sign of its score differences summed over orders and repetitions; a tie
    is an answer, too. By chance, two judges without ties agree on half.
    """
    judged = keep_complete_verdicts(verdicts)
    by_judge = judged.group_by("judge", *PAIR)
    answers = by_judge.agg(pl.col("difference").sum().round(9).sign().alias("winner"))
    # One column per judge, one row per pair.
    wide = answers.sort("judge", *PAIR).pivot(
        "judge",
        index=PAIR,
        values="winner",
        sort_columns=True,
    )
    judges = [name for name in wide.columns if name not in PAIR]
    agreements = []
    for one, other in combinations(judges, 2):
        common = wide.select(one, other).drop_nulls()
        share = _measure_share(common[one] == common[other])
        agreements.append((one, other, share))
    return agreements


def _add_winner(judged: pl.DataFrame) -> pl.DataFrame:
    """Verdicts with `winner`: +1 where low won, -1 where high won, 0 for a tie."""
    winner = pl.col("difference").sign().cast(pl.Int8)
    return judged.with_columns(winner=winner)


def _diagnose_numbers(
    verdicts: pl.DataFrame,
    lengths: pl.DataFrame,
    pointwise: bool,
) -> dict[str, NumberDiagnostics]:
    """The diagnostics of value and of correctness, each as if it were the score."""
    complete = add_missing_columns(verdicts, VERDICTS)
    diagnostics = {}
    for number in NUMBERS:
        scored = complete.with_columns(
            score_left=f"{number}_left",
            score_right=f"{number}_right",
        )
        judged = keep_complete_verdicts(scored)
        if judged.is_empty():
            continue
        flip_rate, _ = _measure_flips(_add_winner(judged))
        top_score_share, collapsed = _measure_collapse(judged)
        diagnostics[number] = NumberDiagnostics(
            flip_rate=Measurement(None, 0) if pointwise else flip_rate,
            length_correlation=_correlate_with_length(judged, lengths),
            top_score_share=top_score_share,
            collapsed=collapsed,
        )
    return diagnostics


def _measure_share(hits: pl.Series) -> Measurement:
    """The share of true values."""
    if hits.is_empty():
        return Measurement(None, 0)
    return Measurement(float(hits.sum()) / len(hits), len(hits))


def _measure_flips(with_winner: pl.DataFrame) -> tuple[Measurement, Measurement]:
    """Flips and one-sided ties among pairs that a judge saw in both orders."""
    winner = pl.col("winner")
    sittings = with_winner.group_by(*PAIR, "cluster", "judge", "repetition")
    is_low_first = pl.col("sign") > 0
    by_order = sittings.agg(
        winner.filter(is_low_first).first().alias("low_first"),
        winner.filter(~is_low_first).first().alias("high_first"),
    )
    both = by_order.drop_nulls(["low_first", "high_first"])
    # Opposite winners give -1; a tie in either order gives 0.
    product = both["low_first"] * both["high_first"]
    is_flip = product < 0
    differs = both["low_first"] != both["high_first"]
    is_one_sided_tie = (product == 0) & differs
    return (
        _measure_share(is_flip),
        _measure_share(is_one_sided_tie),
    )


def _measure_collapse(judged: pl.DataFrame) -> tuple[Measurement, bool]:
    """The share of the most common score, and whether the scores have collapsed."""
    scores = pl.concat([judged["score_low"], judged["score_high"]])
    n_scores = len(scores)
    if n_scores == 0:
        return Measurement(None, 0), False
    counts = scores.value_counts()["count"]
    n_common = int(counts.max() or 0)  # type: ignore[arg-type]
    share = Measurement(n_common / n_scores, n_scores)
    if n_scores < COLLAPSE_ROWS:
        return share, False
    is_one_score = n_common >= COLLAPSE_SHARE * n_scores
    has_few_values = scores.n_unique() <= COLLAPSE_VALUES
    return share, is_one_score or has_few_values


def _correlate_with_length(
    judged: pl.DataFrame,
    lengths: pl.DataFrame,
) -> Measurement:
    """Spearman's correlation over samples of mean score and length."""
    low = judged.select(id="low", score="score_low")
    high = judged.select(id="high", score="score_high")
    scores = pl.concat([low, high])
    mean_scores = scores.group_by("id").agg(pl.col("score").mean())
    length_by_id = lengths.select("id", "length").unique("id")
    with_length = mean_scores.join(length_by_id, on="id")
    return correlate_ranks(with_length.sort("id"), "score", "length")


def _measure_intransitivity(with_winner: pl.DataFrame) -> Measurement:
    """Circles (a beats b, b beats c, c beats a) among triples with a winner in every pair.

    Triples are counted by sparse products of edges that lead from fewer to more opponents, so that
    a sample compared with everything costs nothing.
    """
    # The sign says who won a pair over all sittings; pairs that are even are left out.
    net_win = pl.col("winner").cast(pl.Int64).sum()
    net_wins = with_winner.group_by(PAIR).agg(net_win)
    net_wins = net_wins.filter(pl.col("winner") != 0)
    if net_wins.is_empty():
        return Measurement(None, 0)
    won, lost = _direct_edges(net_wins)

    # A path start -> middle -> end beside a direct edge start -> end is a triple; in a circle both
    # edges of the path point one way and the direct edge the other.
    every = won + lost
    n_triples = _count_triples(every, every)
    if n_triples == 0:
        return Measurement(None, 0)
    n_circles_one_way = _count_triples(won, lost)
    n_circles_other_way = _count_triples(lost, won)
    n_circles = n_circles_one_way + n_circles_other_way
    share = float(n_circles) / int(n_triples)
    return Measurement(share, int(n_triples))


def _direct_edges(net_wins: pl.DataFrame) -> tuple[Any, Any]:
    """Two adjacency matrices, sparse, shape (samples, samples): edges won and lost by their start.

    Every edge leads from fewer to more opponents (ties: from the lower number), so that each triple
    has exactly one path of two edges beside a direct one.
    """
    ids = pl.concat([net_wins["low"], net_wins["high"]])
    ids = ids.unique().sort()
    n = len(ids)
    low = _number_samples(net_wins["low"], ids)
    high = _number_samples(net_wins["high"], ids)
    low_wins = np.sign(net_wins["winner"].to_numpy())

    sides = np.concatenate([low, high])
    n_opponents = np.bincount(sides, minlength=n)
    of_low = n_opponents[low]
    of_high = n_opponents[high]
    is_tie = of_low == of_high
    low_is_first = is_tie & (low < high)
    upward = (of_low < of_high) | low_is_first
    start = np.where(upward, low, high)
    end = np.where(upward, high, low)
    start_wins = np.where(upward, low_wins, -low_wins)
    is_won = start_wins == 1
    is_lost = start_wins == -1
    won = _adjacency_matrix(start[is_won], end[is_won], n)
    lost = _adjacency_matrix(start[is_lost], end[is_lost], n)
    return won, lost


def _count_triples(path: Any, direct: Any) -> Any:
    """Triples with two edges of `path` in a row and one of `direct` from start to end."""
    two_steps = path @ path
    return two_steps.multiply(direct).sum()


def _number_samples(
    samples: pl.Series,
    ids: pl.Series,
) -> npt.NDArray[np.int64]:
    """The place of each sample in `ids`."""
    return samples.cast(pl.Enum(ids)).to_physical().to_numpy().astype(np.int64)


def _adjacency_matrix(
    start: npt.NDArray[np.int64],
    end: npt.NDArray[np.int64],
    n: int,
) -> Any:
    """A sparse adjacency matrix, shape (n, n)."""
    return csr_array((np.ones(len(start)), (start, end)), shape=(n, n))
