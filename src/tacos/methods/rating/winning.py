"""A robust Bradley-Terry model of who wins: position bias, error rate, length covariate, judge weights.

Of a verdict it keeps only which sample scored higher (equal scores: half a win each), so it needs no trust in the
judge's scale. With f the sample shown first and s the other,

    P(f wins) = (1 - e_j) sigma(theta_f - theta_s + b_j + g tanh((length_f - length_s) / sd)) + e_j / 2

for judge j: b_j is its position bias, e_j the share of verdicts that are a coin's toss, g what length alone is worth
(fitted only where lengths are given; the form is that of the length-controlled win rate of AlpacaEval 2.0, Dubois et
al. 2024). A pair that flips with the order thus gives half a win to either side. Maximum a posteriori: theta ~ N(0,
spread^2), b and g ~ N(0, 2^2); L-BFGS with exact gradients. Standard errors of theta come from the curvature at the
solution (the Gauss-Newton form, positive by construction), b and g being taken as known.

The error rate is a setting unless asked for (`error_rate=None`: e ~ Beta(1, 19)): the joint maximum puts it near 0
whatever the truth, since the thetas can explain errors as well, and a rate of 0 would leave the fit without robustness.

What it does not know: by how much a sample won (`least_squares` uses that); whether long samples win because they are
long or because they are better (g holds both: it compares samples, not versions of one); that a pointwise judge's two
orders are one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import expit, logit

from tacos.methods.rating.equations import Floats, Ints, components, diagonal, standard_errors
from tacos.methods.rating.gaussian import home_of
from tacos.methods.rating.orders import PAIR, usable
from tacos.records import SCORES

BIAS_SPREAD = 2.0
ERROR_PRIOR = (1.0, 19.0)


@dataclass(frozen=True, slots=True)
class Games:
    """Verdicts as games: who was `first` and `second`, the `win` of the first (0, 1/2, 1), `judge`, `length`,
    `weight`."""

    n: int
    n_judges: int
    first: Ints
    second: Ints
    win: Floats
    judge: Ints
    length: Floats
    weight: Floats


@dataclass(frozen=True, slots=True)
class Habits:
    """What the fit found of the judges: position bias and error rate by name, the worth of length (logits; null: not
    asked)."""

    bias: dict[str, float]
    error_rate: dict[str, float]
    length: float | None


def bradley_terry(
    verdicts: pl.DataFrame,
    homes: pl.DataFrame | None = None,
    lengths: pl.DataFrame | None = None,
    weights: Mapping[str, float] | None = None,
    error_rate: float | None = 0.05,
    spread: float = 1.5,
    seed: int = 1,
) -> tuple[pl.DataFrame, Habits]:
    """A table SCORES, one row per sample, and what was found of the judges.

    `homes` as in `least_squares`; `lengths` has `id` and `length`; `weights` multiplies a judge's verdicts (1 where it
    is not named); `spread` is the prior standard deviation of theta, in logits. Scores are theta on a straight line
    that gives them the mean and the spread of the samples' mean raw scores; `error` is on the same line. Equal for any
    order of rows.
    """
    judged = usable(verdicts)
    if judged.is_empty():
        return pl.DataFrame(schema=SCORES), Habits({}, {}, None)
    ids = pl.concat([judged["low"], judged["high"]]).unique().sort()
    judges = judged["judge"].unique().sort().to_list()
    games = games_of(judged, ids, judges, lengths, weights or {})
    found = fit(games, spread, lengths is not None, error_rate)
    labels = components(games.first, games.second, games.n)
    matrix, factor = curvature(games, found, spread)
    error = standard_errors(matrix, labels, False, factor, seed)
    table = scaled(judged, ids, found[: games.n], error).with_columns(component=pl.Series(labels))
    home = home_of(judged.unique([*PAIR, "cluster"], maintain_order=True), homes)
    named = table.join(home, on="id", how="left").sort("cluster", "id")
    bias, rate, length = split(found, games)
    habits = Habits(
        dict(zip(judges, bias.tolist(), strict=True)),
        dict(zip(judges, rate.tolist(), strict=True)),
        float(length) if lengths is not None else None,
    )
    return named.select(pl.col(name).cast(dtype) for name, dtype in SCORES.items()), habits


def games_of(
    judged: pl.DataFrame,
    ids: pl.Series,
    judges: list[str],
    lengths: pl.DataFrame | None,
    weights: Mapping[str, float],
) -> Games:
    """The verdicts as games between numbers."""
    low, high = (judged[side].cast(pl.Enum(ids)).to_physical().to_numpy().astype(np.int64) for side in PAIR)
    sign = judged["sign"].to_numpy()
    first, second = np.where(sign > 0, low, high), np.where(sign > 0, high, low)
    win = (np.sign(judged["difference"].to_numpy() * sign) + 1) / 2
    judge = judged["judge"].cast(pl.Enum(judges)).to_physical().to_numpy().astype(np.int64)
    weight = np.array([weights.get(name, 1.0) for name in judges])[judge]
    return Games(len(ids), len(judges), first, second, win, judge, length_terms(ids, lengths, first, second), weight)


def length_terms(ids: pl.Series, lengths: pl.DataFrame | None, first: Ints, second: Ints) -> Floats:
    """tanh of the difference in length over its standard deviation; 0 where lengths are not given or not known."""
    if lengths is None:
        return np.zeros(len(first))
    table = ids.to_frame("id").join(
        lengths.select("id", "length").unique("id"), on="id", how="left", maintain_order="left"
    )
    length = table["length"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    gap = np.nan_to_num(length[first] - length[second])
    return np.asarray(np.tanh(gap / max(float(gap.std()), 1e-9)))


def split(x: Floats, games: Games) -> tuple[Floats, Floats, float]:
    """Biases, error rates and the worth of length out of the vector of unknowns (thetas, biases, logits of rates,
    length)."""
    n, j = games.n, games.n_judges
    return x[n : n + j], expit(x[n + j : n + 2 * j]), float(x[-1])


def fit(games: Games, spread: float, with_length: bool, error_rate: float | None) -> Floats:
    """The unknowns with the highest posterior density."""
    rates = slice(games.n + games.n_judges, games.n + 2 * games.n_judges)
    free = np.ones(games.n + 2 * games.n_judges + 1)
    free[rates], free[-1] = error_rate is None, with_length
    start = np.zeros(len(free))
    start[rates] = logit(np.clip(0.05 if error_rate is None else error_rate, 1e-9, 0.999))
    options: Any = {"maxiter": 1000, "maxfun": 2000, "ftol": 1e-12, "gtol": 1e-5}
    found = minimize(loss, start, (games, spread, free), "L-BFGS-B", jac=True, options=options)
    return np.asarray(found.x)


def loss(x: Floats, games: Games, spread: float, free: Floats) -> tuple[float, Floats]:
    """The negative log posterior and its gradient, which is 0 for the unknowns that are not `free`."""
    bias, rate, length = split(x, games)
    e = rate[games.judge]
    s = expit(x[games.first] - x[games.second] + bias[games.judge] + length * games.length)
    p = np.clip((1 - e) * s + e / 2, 1e-12, 1 - 1e-12)
    value = -(games.weight * (games.win * np.log(p) + (1 - games.win) * np.log1p(-p))).sum()
    slope = -games.weight * (games.win / p - (1 - games.win) / (1 - p))
    pull = slope * (1 - e) * s * (1 - s)
    gradient = np.concatenate(
        [
            np.bincount(games.first, pull, games.n) - np.bincount(games.second, pull, games.n),
            np.bincount(games.judge, pull, games.n_judges),
            np.bincount(games.judge, slope * (0.5 - s), games.n_judges) * rate * (1 - rate),
            [float((pull * games.length).sum())],
        ]
    )
    prior, prior_gradient = log_prior(x, games, spread)
    return float(value + prior), (gradient + prior_gradient) * free


def log_prior(x: Floats, games: Games, spread: float) -> tuple[float, Floats]:
    """The negative log prior and its gradient."""
    n, j = games.n, games.n_judges
    scale = np.concatenate([np.full(n, spread), np.full(j, BIAS_SPREAD), np.full(j, np.inf), [BIAS_SPREAD]])
    _, rate, _ = split(x, games)
    a, b = ERROR_PRIOR
    value = float((x**2 / scale**2).sum() / 2 - (a * np.log(rate) + b * np.log1p(-rate)).sum())
    gradient = x / scale**2
    gradient[n + j : n + 2 * j] -= a * (1 - rate) - b * rate
    return value, gradient


def curvature(games: Games, x: Floats, spread: float) -> tuple[Any, Any]:
    """The Gauss-Newton curvature of the thetas, and F with F'F equal to it (a row per game and per prior)."""
    bias, rate, length = split(x, games)
    e = rate[games.judge]
    s = expit(x[games.first] - x[games.second] + bias[games.judge] + length * games.length)
    p = np.clip((1 - e) * s + e / 2, 1e-12, 1 - 1e-12)
    root = (1 - e) * s * (1 - s) * np.sqrt(games.weight / (p * (1 - p)))
    m, here = len(root), np.arange(games.n)
    rows = np.concatenate([np.arange(m), np.arange(m), m + here])
    columns = np.concatenate([games.first, games.second, here])
    values = np.concatenate([root, -root, np.full(games.n, 1 / spread)])
    factor = csr_array((values, (rows, columns)), shape=(m + games.n, games.n))
    pair = csr_array(
        (np.tile(-(root**2), 2), (columns[: 2 * m], np.roll(columns[: 2 * m], m))), shape=(games.n, games.n)
    )
    own: Floats = np.bincount(columns[: 2 * m], np.tile(root**2, 2), games.n).astype(np.float64) + 1 / spread**2
    return pair + diagonal(own), factor


def scaled(judged: pl.DataFrame, ids: pl.Series, theta: Floats, error: Floats) -> pl.DataFrame:
    """`id`, `score`, `error`, `n_comparisons`: theta on the judge's scale."""
    sides = pl.concat(judged.select(*PAIR, id=pl.col(side), raw=pl.col(f"score_{side}")) for side in ("low", "high"))
    raw = sides.group_by("id").agg(pl.col("raw").sort().mean(), n_comparisons=pl.struct(PAIR).n_unique()).sort("id")
    points: npt.NDArray[Any] = raw["raw"].to_numpy()
    unit = float(points.std() / theta.std()) if theta.std() > 1e-9 else 1.0
    score = points.mean() + unit * (theta - theta.mean())
    return raw.select("id", "n_comparisons", score=pl.Series(score), error=pl.Series(unit * error))
