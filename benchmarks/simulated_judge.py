"""A simulated judge for the ranking benchmark, fixed before any result was looked at.

True quality is N(0, 1). In one order a sample scores 50 + 15 (quality + position bias + noise): the
bias goes to the sample shown first, the noise is N(0, noise) and new for every score. Scores are
rounded and held within 1..100.

Noise and bias are fitted so that the shares of same verdicts, one-sided ties and flips are those of
640 real GPT-4 pairs in both orders (MT-Bench, `evaluation/mt_bench/judgments_pairwise`: 489, 105,
46). Rounded to whole points no noise and no bias gives them: ties are then too rare (one-sided ones
at most 4% of pairs, the real ones 16%). Rounded to fives, as judges mostly do, one solution gives
them exactly, and that is the judge. One-sided ties include 2 verdicts marked "error", as in the
105.

What it does not know: that a real judge's bias changes sign (of the real flips 19 favour the first
place and 27 the second), that it may be harder on one call than on the next (`shift`, 0 here), and
that quality may not be one number.
"""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy.optimize import fsolve

COUNTS = (489, 105, 46)


@dataclass(frozen=True)
class Judge:
    """`noise` and `bias` in units of quality, `step` in points; `shift`: what a call adds to both
    its scores.
    """

    noise: float = 0.126
    bias: float = 0.276
    step: int = 5
    shift: float = 0.0

    def score(self, quality: np.ndarray) -> np.ndarray:
        """Points of what was perceived, shape kept."""
        return np.clip(np.round((50 + 15 * quality) / self.step) * self.step, 1, 100)


FITTED = Judge()


def ask(
    plan: pl.DataFrame, quality: dict[str, float], judge: Judge, seed: int
) -> pl.DataFrame:
    """A table VERDICTS of a plan (PAIRS, with or without `orders`)."""
    plans = (
        plan if "orders" in plan.columns else plan.with_columns(orders=pl.lit("both"))
    )
    rng = np.random.default_rng([seed, plan.height])
    parts = [
        verdicts(
            plans.filter(pl.col("orders").is_in(["both", order])),
            order,
            quality,
            judge,
            rng,
        )
        for order in ("ab", "ba")
    ]
    return pl.concat(parts)


def verdicts(
    plan: pl.DataFrame,
    order: str,
    quality: dict[str, float],
    judge: Judge,
    rng: np.random.Generator,
) -> pl.DataFrame:
    """The verdicts of one order."""
    seen = np.array(
        [[quality[a], quality[b]] for a, b in plan.select("left", "right").iter_rows()]
    ).reshape(-1, 2)
    seen = (
        seen
        + judge.noise * rng.standard_normal(seen.shape)
        + judge.shift * rng.standard_normal((len(seen), 1))
    )
    seen[:, 0 if order == "ab" else 1] += judge.bias
    points = judge.score(seen)
    return plan.select(
        "pair",
        "cluster",
        "left",
        "right",
        order=pl.lit(order),
        judge=pl.lit("simulated"),
        repetition=pl.lit(0, pl.UInt16),
        score_left=pl.Series(points[:, 0], dtype=pl.Float64),
        score_right=pl.Series(points[:, 1], dtype=pl.Float64),
        reason=pl.lit(""),
        reply=pl.lit(""),
    )


def shares(judge: Judge, n: int = 2_000_000) -> np.ndarray:
    """Shares of same verdicts, one-sided ties and flips over random pairs (the same ones for every
    judge).
    """
    rng = np.random.default_rng(0)
    quality, noise = (
        rng.standard_normal((n, 2)),
        judge.noise * rng.standard_normal((n, 4)),
    )
    one = judge.score(quality[:, 0] + judge.bias + noise[:, 0]) - judge.score(
        quality[:, 1] + noise[:, 1]
    )
    two = judge.score(quality[:, 0] + noise[:, 2]) - judge.score(
        quality[:, 1] + judge.bias + noise[:, 3]
    )
    product, same = np.sign(one) * np.sign(two), np.sign(one) == np.sign(two)
    return np.array(
        [same.mean(), ((product == 0) & ~same).mean(), (product < 0).mean()]
    )


def real_counts(folder: Path) -> tuple[int, int, int]:
    """Same, one-sided (or erroneous) and flipped verdicts in the files of MT-Bench."""
    lines = [
        line
        for file in sorted(folder.glob("*.gz"))
        for line in gzip.decompress(file.read_bytes()).splitlines()
    ]
    both = [(row["g1_winner"], row["g2_winner"]) for row in map(json.loads, lines)]
    same = sum(one == two for one, two in both)
    flips = sum({one, two} == {"model_1", "model_2"} for one, two in both)
    return same, len(both) - same - flips, flips


def fit(counts: tuple[int, int, int], step: int) -> Judge:
    """The judge with those shares, by Newton steps from a small noise and a bias of 0.28."""
    target = np.array(counts) / sum(counts)

    def gap(x: np.ndarray) -> np.ndarray:
        return (shares(Judge(abs(x[0]), abs(x[1]), step)) - target)[[0, 2]]

    noise, bias = fsolve(gap, [0.15, 0.25], epsfcn=1e-3, xtol=1e-3)
    return Judge(round(float(abs(noise)), 3), round(float(abs(bias)), 3), step)


if __name__ == "__main__":
    counts = real_counts(
        Path(__file__).parents[2] / "shared/data/evaluation/mt_bench/judgments_pairwise"
    )
    fitted = fit(counts, 5)
    print(
        "real",
        counts,
        "fitted",
        fitted,
        shares(fitted).round(4),
        "kept",
        FITTED,
        shares(FITTED).round(4),
    )
    whole = [
        shares(Judge(noise, bias, 1))[1]
        for noise in (0.01, 0.1, 0.2, 0.4, 0.8)
        for bias in (0, 0.15, 0.3, 0.6)
    ]
    print("one-sided ties with whole points: at most", max(whole).round(3))
