"""What the verdicts say of their judge: flips, ties, position, length, transitivity, collapsed
scores.

Every figure says how many rows it rests on; a figure without rows is null. What depends on the
order shown (flips, one-sided ties, first position) is null for a pointwise judge, which cannot see
it: printed "n/a", never 0%.

What it does not know: who is right. A judge without a flip may still be wrong, and a preference for
length may be earned.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from tacos.methods.judging.rating.presentation_orders import PAIR, keep_complete_verdicts

COLLAPSE_SHARE = 0.5
COLLAPSE_VALUES = 3
COLLAPSE_ROWS = 20


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number and how many rows it rests on (pairs, verdicts, samples, ...); null where it cannot
    be told.
    """

    value: float | None
    n: int


@dataclass(frozen=True, slots=True)
class JudgeDiagnostics:
    """What `diagnose_judge` finds; shares are in 0..1."""

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
    """Triples compared all round (ties left out) that go in a circle; a quarter is chance."""
    top_score_share: Measurement
    """The share of the most common score among all scores given."""
    collapsed: bool
    """Half of the scores, or more, are one and the same, or only three values or fewer occur (20
    scores or more).
    """


def diagnose_judge(
    verdicts: pl.DataFrame, lengths: pl.DataFrame, pointwise: bool
) -> JudgeDiagnostics:
    """The diagnostics of a table VERDICTS; `lengths` has `id` and `length`. One judge at a time
    says most.
    """
    judged = keep_complete_verdicts(verdicts)
    winner = judged.with_columns(winner=pl.col("difference").sign().cast(pl.Int8))
    flips, half_ties = _measure_flips(winner)
    decided = winner.filter(pl.col("winner") != 0)
    points = pl.concat([judged["score_low"], judged["score_high"]])
    common = int(points.value_counts()["count"].max() or 0)  # type: ignore[arg-type]
    return JudgeDiagnostics(
        n_verdicts=judged.height,
        n_missing=verdicts.height - judged.height,
        flip_rate=_hide_from_pointwise(flips, pointwise),
        one_sided_tie_rate=_hide_from_pointwise(half_ties, pointwise),
        tie_rate=_measure_share(winner["winner"] == 0),
        first_share=_hide_from_pointwise(
            _measure_share(decided["winner"] == decided["sign"].cast(pl.Int8)), pointwise
        ),
        length_correlation=_correlate_with_length(judged, lengths),
        violation_rate=_measure_intransitivity(winner),
        top_score_share=Measurement(common / len(points) if len(points) else None, len(points)),
        collapsed=len(points) >= COLLAPSE_ROWS
        and (common >= COLLAPSE_SHARE * len(points) or points.n_unique() <= COLLAPSE_VALUES),
    )


def measure_judge_agreement(verdicts: pl.DataFrame) -> list[tuple[str, str, Measurement]]:
    """For each two judges of a panel: the share of the pairs both judged in which they prefer the
    same side.

    What a judge prefers is the sign of its score differences summed over orders and repetitions; a
    tie is an answer, too. By chance, two judges without ties agree on half.
    """
    judged = keep_complete_verdicts(verdicts)
    preferred = judged.group_by("judge", *PAIR).agg(
        pl.col("difference").sum().round(9).sign().alias("winner")
    )
    wide = preferred.sort("judge", *PAIR).pivot(
        "judge", index=PAIR, values="winner", sort_columns=True
    )
    judges = [name for name in wide.columns if name not in PAIR]
    both = {pair: wide.select(pair).drop_nulls() for pair in combinations(judges, 2)}
    return [
        (one, other, _measure_share(found[one] == found[other]))
        for (one, other), found in both.items()
    ]


def _measure_share(hits: pl.Series) -> Measurement:
    """The share of true values."""
    return Measurement(float(hits.sum()) / len(hits) if len(hits) else None, len(hits))


def _hide_from_pointwise(figure: Measurement, pointwise: bool) -> Measurement:
    """Null for a judge that cannot see the order."""
    return Measurement(None, 0) if pointwise else figure


def _measure_flips(winner: pl.DataFrame) -> tuple[Measurement, Measurement]:
    """Flips and one-sided ties among pairs that a judge saw in both orders."""
    orders = winner.group_by(*PAIR, "cluster", "judge", "repetition").agg(
        pl.col("winner").filter(pl.col("sign") > 0).first().alias("one"),
        pl.col("winner").filter(pl.col("sign") < 0).first().alias("two"),
    )
    both = orders.drop_nulls(["one", "two"])
    product = both["one"] * both["two"]
    return _measure_share(product < 0), _measure_share(
        (product == 0) & (both["one"] != both["two"])
    )


def _correlate_with_length(judged: pl.DataFrame, lengths: pl.DataFrame) -> Measurement:
    """Spearman's correlation over samples; null with fewer than three, or where either does not
    vary.
    """
    sides = pl.concat(
        judged.select(id=pl.col(side), score=pl.col(f"score_{side}")) for side in ("low", "high")
    )
    means = sides.group_by("id").agg(pl.col("score").mean())
    table = means.join(lengths.select("id", "length").unique("id"), on="id").drop_nulls().sort("id")
    if table.height < 3 or table["score"].n_unique() < 2 or table["length"].n_unique() < 2:
        return Measurement(None, table.height)
    return Measurement(
        float(table.select(pl.corr("score", "length", method="spearman")).item()), table.height
    )


def _measure_intransitivity(winner: pl.DataFrame) -> Measurement:
    """Circles (a beats b, b beats c, c beats a) among triples in which each beat another over all
    verdicts.

    Triples are found by sparse products of edges that lead from fewer to more opponents, so that a
    sample that was compared with everything costs nothing.
    """
    net = (
        winner.group_by(PAIR)
        .agg(pl.col("winner").cast(pl.Int64).sum())
        .filter(pl.col("winner") != 0)
    )
    if net.is_empty():
        return Measurement(None, 0)
    ids = pl.concat([net["low"], net["high"]]).unique().sort()
    a, b = (net[side].cast(pl.Enum(ids)).to_physical().to_numpy().astype(np.int64) for side in PAIR)
    sign = np.sign(net["winner"].to_numpy())
    degree = np.bincount(np.concatenate([a, b]), minlength=len(ids))
    upward = (degree[a] < degree[b]) | ((degree[a] == degree[b]) & (a < b))
    start, end, beats = (
        np.where(upward, a, b),
        np.where(upward, b, a),
        np.where(upward, sign, -sign),
    )
    won, lost = (_adjacency_matrix(start[beats == s], end[beats == s], len(ids)) for s in (1, -1))
    every = won + lost
    n_triples = int((every @ every).multiply(every).sum())
    circles = (won @ won).multiply(lost).sum() + (lost @ lost).multiply(won).sum()
    return Measurement(float(circles) / n_triples if n_triples else None, n_triples)


def _adjacency_matrix(start: np.ndarray, end: np.ndarray, n: int) -> csr_array:
    """A sparse adjacency matrix."""
    return csr_array((np.ones(len(start)), (start, end)), shape=(n, n))
