"""A robust Bradley-Terry model of who wins: position bias, error rate, length covariate, judge
weights.

Of a verdict it keeps only which sample scored higher (equal scores: half a win each), so it needs
no trust in the judge's scale. With f the sample shown first and s the other,

    P(f wins) = (1 - e_j) sigma(theta_f - theta_s + b_j + g tanh((length_f - length_s) / sd)) + e_j
    / 2

for judge j: b_j is its position bias, e_j the share of verdicts that are a coin's toss, g what
length alone is worth (fitted only where lengths are given; the form is that of the
length-controlled win rate of AlpacaEval 2.0, Dubois et al. 2024). A pair that flips with the order
thus gives half a win to either side. Maximum a posteriori: theta ~ N(0, spread^2), b and g ~ N(0,
2^2); Gauss-Newton steps. Standard errors of theta come from the curvature at the solution (the
Gauss-Newton form, positive by construction), b and g being taken as known.

The error rate is a setting unless asked for (`error_rate=None`: e ~ Beta(1, 19)): the joint maximum
puts it near 0 whatever the truth, since the thetas can explain errors as well, and a rate of 0
would leave the fit without robustness.

What it does not know: by how much a sample won (`least_squares` uses that); whether long samples
win because they are long or because they are better (g holds both: it compares samples, not
versions of one); that a pointwise judge's two orders are one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import csr_array, vstack
from scipy.special import expit, logit

from tacos.methods.judging.rating.comparison_graph import find_homes
from tacos.methods.judging.rating.games import Games, build_games
from tacos.methods.judging.rating.normal_equations import (
    Floats,
    conjugate_gradients,
    diagonal_matrix,
    label_components,
    standard_errors,
)
from tacos.methods.judging.rating.presentation_orders import PAIR, keep_complete_verdicts
from tacos.records import SCORES

BIAS_SPREAD = 2.0
ERROR_PRIOR = (1.0, 19.0)
N_STEPS = 50


@dataclass(frozen=True, slots=True)
class JudgeEffects:
    """What the fit found of the judges: position bias and error rate by name, the worth of length
    (logits; null: not asked).
    """

    bias: dict[str, float]
    error_rate: dict[str, float]
    length: float | None


def fit_bradley_terry(
    verdicts: pl.DataFrame,
    homes: pl.DataFrame | None = None,
    lengths: pl.DataFrame | None = None,
    weights: Mapping[str, float] | None = None,
    error_rate: float | None = 0.05,
    spread: float = 1.5,
    seed: int = 1,
) -> tuple[pl.DataFrame, JudgeEffects]:
    """A table SCORES, one row per sample, and what was found of the judges.

    `homes` as in `least_squares`; `lengths` has `id` and `length`; `weights` multiplies a judge's
    verdicts (1 where it is not named); `spread` is the prior standard deviation of theta, in
    logits. Scores are theta on a straight line that gives them the mean and the spread of the
    samples' mean raw scores; `error` is on the same line. Equal for any order of rows.
    """
    judged = keep_complete_verdicts(verdicts)
    if judged.is_empty():
        return pl.DataFrame(schema=SCORES), JudgeEffects({}, {}, None)
    ids = pl.concat([judged["low"], judged["high"]]).unique().sort()
    judges = judged["judge"].unique().sort().to_list()
    games = build_games(judged, ids, judges, lengths, weights or {})
    found = _fit_unknowns(games, spread, lengths is not None, error_rate)
    labels = label_components(games.first, games.second, games.n)
    matrix, factor = _theta_curvature(games, found, spread)
    error = standard_errors(matrix, labels, False, factor, seed)
    table = _scale_scores(judged, ids, found[: games.n], error).with_columns(
        component=pl.Series(labels)
    )
    home = find_homes(judged.unique([*PAIR, "cluster"], maintain_order=True), homes)
    named = table.join(home, on="id", how="left").sort("cluster", "id")
    bias, rate, length = _split_unknowns(found, games)
    habits = JudgeEffects(
        dict(zip(judges, bias.tolist(), strict=True)),
        dict(zip(judges, rate.tolist(), strict=True)),
        float(length) if lengths is not None else None,
    )
    return named.select(pl.col(name).cast(dtype) for name, dtype in SCORES.items()), habits


def _split_unknowns(x: Floats, games: Games) -> tuple[Floats, Floats, float]:
    """Biases, error rates and the worth of length out of the vector of unknowns (thetas, biases,
    logits of rates, length).
    """
    n, j = games.n, games.n_judges
    return x[n : n + j], expit(x[n + j : n + 2 * j]), float(x[-1])


def _fit_unknowns(
    games: Games, spread: float, with_length: bool, error_rate: float | None
) -> Floats:
    """The unknowns with the highest posterior density: Gauss-Newton steps, each solved by conjugate
    gradients.
    """
    rates = slice(games.n + games.n_judges, games.n + 2 * games.n_judges)
    free = np.ones(games.n + 2 * games.n_judges + 1)
    free[rates], free[-1] = error_rate is None, with_length
    x = np.zeros(len(free))
    x[: games.n] = _initial_log_odds(games)
    x[rates] = logit(np.clip(0.05 if error_rate is None else error_rate, 1e-9, 0.999))
    for _ in range(N_STEPS):
        value, gradient = _log_loss(x, games, spread, free)
        step = conjugate_gradients(
            CurvatureOperator(games, x, spread, free), -gradient[:, None], 1e-2
        )[0][:, 0]
        gain, x = _search_step(x, step, value, lambda y: _log_loss(y, games, spread, free)[0])
        if gain < 1e-9 * abs(value) + 1e-9:
            break
    return x


def _search_step(
    x: Floats, step: Floats, value: float, at: Callable[[Floats], float]
) -> tuple[float, Floats]:
    """The gain and the place of the longest of the steps 1, 1/2, 1/4, ... that leads down."""
    for halving in range(20):
        there = x + step / 2**halving
        gain = value - at(there)
        if gain >= 0:
            return gain, there
    return 0.0, x


class CurvatureOperator:
    """The Gauss-Newton curvature at x as a matrix that is never formed: `self @ v` and
    `diagonal()`.
    """

    def __init__(self, games: Games, x: Floats, spread: float, free: Floats) -> None:
        _, rate, _ = _split_unknowns(x, games)
        self.factor = _likelihood_factor(games, x) * free
        self.squares = (self.factor**2).sum(axis=0)
        scale = _prior_scale(games, spread)
        rates = slice(games.n + games.n_judges, games.n + 2 * games.n_judges)
        self.prior = 1 / scale**2
        self.prior[rates] = sum(ERROR_PRIOR) * rate * (1 - rate)

    def diagonal(self) -> Floats:
        """The diagonal of the curvature."""
        return np.asarray(self.squares + self.prior)

    def __matmul__(self, v: Floats) -> Floats:
        return np.asarray(self.factor.T @ (self.factor @ v) + self.prior[:, None] * v)


def _win_chances(x: Floats, games: Games) -> tuple[Floats, Floats, Floats]:
    """Of each game: the error rate of its judge, sigma of the odds, and the chance that the first
    wins.
    """
    bias, rate, length = _split_unknowns(x, games)
    e = rate[games.judge]
    s = expit(x[games.first] - x[games.second] + bias[games.judge] + length * games.length)
    return e, s, np.clip((1 - e) * s + e / 2, 1e-12, 1 - 1e-12)


def _likelihood_factor(games: Games, x: Floats) -> Any:
    """F, shape (games, unknowns), with F'F the curvature of the log likelihood."""
    e, s, p = _win_chances(x, games)
    unit = np.sqrt(games.weight / (p * (1 - p)))
    pull, toss = unit * (1 - e) * s * (1 - s), unit * (0.5 - s) * e * (1 - e)
    m, n, j = len(p), games.n, games.n_judges
    columns = [
        games.first,
        games.second,
        n + games.judge,
        n + j + games.judge,
        np.full(m, n + 2 * j),
    ]
    values = np.stack([pull, -pull, pull, toss, pull * games.length], axis=1)
    places = np.arange(0, 5 * m + 1, 5)
    return csr_array(
        (values.ravel(), np.stack(columns, axis=1).ravel(), places), shape=(m, n + 2 * j + 1)
    )


def _initial_log_odds(games: Games) -> Floats:
    """Where to start: the log odds of each sample's share of wins, with a win and a loss added."""
    won = np.bincount(games.first, games.win, games.n) + np.bincount(
        games.second, 1 - games.win, games.n
    )
    played = np.bincount(games.first, minlength=games.n) + np.bincount(
        games.second, minlength=games.n
    )
    return np.asarray(logit((won + 1) / (played + 2)))


def _log_loss(x: Floats, games: Games, spread: float, free: Floats) -> tuple[float, Floats]:
    """The negative log posterior and its gradient, which is 0 for the unknowns that are not `free`."""
    _, rate, _ = _split_unknowns(x, games)
    e, s, p = _win_chances(x, games)
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
    prior, prior_gradient = _log_prior(x, games, spread)
    return float(value + prior), (gradient + prior_gradient) * free


def _prior_scale(games: Games, spread: float) -> Floats:
    """The prior standard deviation of each unknown (error rates have a prior of another form)."""
    n, j = games.n, games.n_judges
    return np.concatenate(
        [np.full(n, spread), np.full(j, BIAS_SPREAD), np.full(j, np.inf), [BIAS_SPREAD]]
    )


def _log_prior(x: Floats, games: Games, spread: float) -> tuple[float, Floats]:
    """The negative log prior and its gradient."""
    n, j = games.n, games.n_judges
    scale = _prior_scale(games, spread)
    _, rate, _ = _split_unknowns(x, games)
    a, b = ERROR_PRIOR
    value = float((x**2 / scale**2).sum() / 2 - (a * np.log(rate) + b * np.log1p(-rate)).sum())
    gradient = x / scale**2
    gradient[n + j : n + 2 * j] -= a * (1 - rate) - b * rate
    return value, gradient


def _theta_curvature(games: Games, x: Floats, spread: float) -> tuple[Any, Any]:
    """The Gauss-Newton curvature of the thetas, sparse, and F with F'F equal to it (a row per game
    and per prior).
    """
    likelihood = _likelihood_factor(games, x)[:, : games.n]
    factor = csr_array(vstack([likelihood, diagonal_matrix(np.full(games.n, 1 / spread))]))
    return csr_array(factor.T @ factor), factor


def _scale_scores(
    judged: pl.DataFrame, ids: pl.Series, theta: Floats, error: Floats
) -> pl.DataFrame:
    """`id`, `score`, `error`, `n_comparisons`: theta on the judge's scale."""
    sides = pl.concat(
        judged.select(*PAIR, id=pl.col(side), raw=pl.col(f"score_{side}"))
        for side in ("low", "high")
    )
    raw = (
        sides.group_by("id")
        .agg(pl.col("raw").sort().mean(), n_comparisons=pl.struct(PAIR).n_unique())
        .sort("id")
    )
    points: npt.NDArray[Any] = raw["raw"].to_numpy()
    unit = float(points.std() / theta.std()) if theta.std() > 1e-9 else 1.0
    score = points.mean() + unit * (theta - theta.mean())
    return raw.select("id", "n_comparisons", score=pl.Series(score), error=pl.Series(unit * error))
