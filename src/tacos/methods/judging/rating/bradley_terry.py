"""Fit a robust Bradley-Terry model: who wins, given position bias, error rate and length.

The model keeps only which sample of a verdict scored higher (equal scores: half a win each), so it
does not rely on the judge's scale. With f the sample shown first and s the second,

    P(f wins) = (1 - e_j) sigma(theta_f - theta_s + b_j + g tanh((length_f - length_s) / sd))
                + e_j / 2

for judge j. b_j is its position bias, e_j the share of its verdicts that are coin tosses, and g
what length alone is worth (fitted only if lengths are given). The length term has the form of the
length-controlled win rate of AlpacaEval 2.0 (Dubois et al. 2024, arXiv 2404.04475). A pair that
flips with the order thus gives half a win to either side.

The fit is maximum a posteriori with theta ~ N(0, spread^2) and b, g ~ N(0, 2^2), by Gauss-Newton
steps. Standard errors of theta come from the curvature at the solution (the Gauss-Newton form,
positive by construction), with b and g taken as known.

The error rate is a setting. With `error_rate=None` it is fitted under e ~ Beta(1, 19), but the
joint maximum puts it near 0 whatever the truth, because the thetas can explain errors as well, and
a rate of 0 leaves the fit without robustness.

What it does not know: by how much a sample won (`fit_least_squares` uses that); whether long
samples win because they are long or because they are better (g holds both: it compares samples, not
versions of one); that the two orders of a pointwise judge are one.
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
from tacos.methods.judging.rating.presentation_orders import (
    PAIR,
    keep_complete_verdicts,
)
from tacos.records import RATINGS

BIAS_SPREAD = 2.0
"""Prior standard deviation of position bias and of the worth of length, in logits."""
ERROR_PRIOR = (1.0, 19.0)
"""Beta prior of an error rate: 5% on average."""
START_ERROR_RATE = 0.05
N_STEPS = 50


@dataclass(frozen=True, slots=True)
class JudgeEffects:
    """What the fit says about the judges.

    `bias` (logits) and `error_rate` (0..1) are by judge. `length` is what length is worth, in
    logits; None if no lengths were given.
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
    """A table RATINGS, one row per sample, and the effects of the judges.

    `homes` is as in `fit_least_squares`; `lengths` has `id` and `length`; `weights` multiplies a
    judge's verdicts (1 for judges not named); `spread` is the prior standard deviation of theta, in
    logits. Scores are a linear function of theta with the mean and the spread of the samples' mean
    raw scores; `error` is on the same scale. The order of rows does not matter.
    """
    judged = keep_complete_verdicts(verdicts)
    if judged.is_empty():
        no_effects = JudgeEffects(
            bias={},
            error_rate={},
            length=None,
        )
        return pl.DataFrame(schema=RATINGS), no_effects
    ids = pl.concat([judged["low"], judged["high"]]).unique().sort()
    judges = judged["judge"].unique().sort().to_list()
    games = build_games(
        judged,
        ids,
        judges,
        lengths,
        weights or {},
    )

    # Fit, then read the standard errors of theta off the curvature at the solution.
    with_length = lengths is not None
    unknowns = _fit_unknowns(games, spread, with_length, error_rate)
    labels = label_components(games.first, games.second, games.n)
    matrix, factor = _theta_curvature(games, unknowns, spread)
    error = standard_errors(
        matrix,
        labels,
        False,
        factor,
        seed,
    )

    # Put theta on the judge's scale, and each sample into its cluster.
    theta = unknowns[: games.n]
    scores = _scale_scores(judged, ids, theta, error)
    scores = scores.with_columns(component=pl.Series(labels))
    pairs = judged.unique([*PAIR, "cluster"], maintain_order=True)
    scores = scores.join(
        find_homes(pairs, homes),
        on="id",
        how="left",
    )
    scores = scores.sort("cluster", "id")
    scores = scores.select(pl.col(name).cast(dtype) for name, dtype in RATINGS.items())
    return scores, _describe_judges(unknowns, games, judges, with_length)


def _describe_judges(
    unknowns: Floats,
    games: Games,
    judges: list[str],
    with_length: bool,
) -> JudgeEffects:
    """The effects by the names of the judges."""
    bias, rate, length = _split_unknowns(unknowns, games)
    return JudgeEffects(
        bias=dict(zip(judges, bias.tolist(), strict=True)),
        error_rate=dict(zip(judges, rate.tolist(), strict=True)),
        length=float(length) if with_length else None,
    )


# The vector of unknowns, shape (n + 2 J + 1,) for n samples and J judges:
#
#     0 .. n            theta of each sample
#     n .. n + J        position bias of each judge
#     n + J .. n + 2 J  logit of the error rate of each judge
#     n + 2 J           worth of length


def _bias_slice(games: Games) -> slice:
    """Where the position biases stand in the vector of unknowns."""
    return slice(games.n, games.n + games.n_judges)


def _rate_slice(games: Games) -> slice:
    """Where the logits of the error rates stand in the vector of unknowns."""
    start = games.n + games.n_judges
    return slice(start, start + games.n_judges)


def _count_unknowns(games: Games) -> int:
    """The length of the vector of unknowns."""
    return games.n + 2 * games.n_judges + 1


def _split_unknowns(
    x: Floats,
    games: Games,
) -> tuple[Floats, Floats, float]:
    """Position biases (J,), error rates (J,) as shares, and the worth of length."""
    bias = x[_bias_slice(games)]
    rate = expit(x[_rate_slice(games)])
    return bias, rate, float(x[-1])


# Finding the mode


def _fit_unknowns(
    games: Games,
    spread: float,
    with_length: bool,
    error_rate: float | None,
) -> Floats:
    """The unknowns with the highest posterior density, by Gauss-Newton steps."""
    # An unknown that is not fitted is masked: its gradient and curvature are 0, so it stays put.
    free = np.ones(_count_unknowns(games))
    free[_rate_slice(games)] = error_rate is None
    free[-1] = with_length

    x = np.zeros(len(free))
    x[: games.n] = _initial_log_odds(games)
    rate = START_ERROR_RATE if error_rate is None else error_rate
    x[_rate_slice(games)] = logit(np.clip(rate, 1e-9, 0.999))

    for _ in range(N_STEPS):
        value, gradient = _log_loss(x, games, spread, free)
        curvature = CurvatureOperator(games, x, spread, free)
        # A rough solution is enough: the line search and later steps correct it.
        solution, _ = conjugate_gradients(curvature, -gradient[:, None], tolerance=1e-2)
        step = solution[:, 0]
        gain, x = _search_step(
            x,
            step,
            value,
            lambda y: _log_loss(y, games, spread, free)[0],
        )
        if gain < 1e-9 * abs(value) + 1e-9:
            break
    return x


def _search_step(
    x: Floats,
    step: Floats,
    value: float,
    loss_at: Callable[[Floats], float],
) -> tuple[float, Floats]:
    """The gain and the place of the longest of the steps 1, 1/2, 1/4, ... that leads down."""
    for n_halvings in range(20):
        candidate = x + step / 2**n_halvings
        gain = value - loss_at(candidate)
        if gain >= 0:
            return gain, candidate
    return 0.0, x


class CurvatureOperator:
    """The Gauss-Newton curvature at x as a matrix that is never formed.

    It offers what conjugate gradients need: `self @ v` and `diagonal()`.
    """

    def __init__(
        self,
        games: Games,
        x: Floats,
        spread: float,
        free: Floats,
    ) -> None:
        factor = _likelihood_factor(games, x)
        self.factor = factor * free
        squared = self.factor**2
        self.squares = squared.sum(axis=0)

        scale = _prior_scale(games, spread)
        self.prior = 1 / scale**2
        # The curvature of the log of the Beta prior, by the logit of the rate.
        _, rate, _ = _split_unknowns(x, games)
        rates = _rate_slice(games)
        n_prior_verdicts = sum(ERROR_PRIOR)
        self.prior[rates] = n_prior_verdicts * rate * (1 - rate)

    def diagonal(self) -> Floats:
        """The diagonal of the curvature, shape (unknowns,)."""
        return np.asarray(self.squares + self.prior)

    def __matmul__(
        self,
        v: Floats,
    ) -> Floats:
        likelihood = self.factor.T @ (self.factor @ v)
        return np.asarray(likelihood + self.prior[:, None] * v)


def _initial_log_odds(games: Games) -> Floats:
    """Where to start: the log odds of each sample's share of wins, with a win and a loss added."""
    n = games.n
    won_first = np.bincount(games.first, games.win, n)
    won_second = np.bincount(games.second, 1 - games.win, n)
    played_first = np.bincount(games.first, minlength=n)
    played_second = np.bincount(games.second, minlength=n)
    n_won = won_first + won_second
    n_played = played_first + played_second
    share = (n_won + 1) / (n_played + 2)
    return np.asarray(logit(share))


# Likelihood and prior


def _win_chances(
    x: Floats,
    games: Games,
) -> tuple[Floats, Floats, Floats]:
    """Of each game, shape (games,): its judge's error rate, sigma of the odds, P(first wins)."""
    bias, rate, length = _split_unknowns(x, games)
    theta_first = x[games.first]
    theta_second = x[games.second]
    place = bias[games.judge]
    odds = theta_first - theta_second + place + length * games.length
    e = rate[games.judge]
    s = expit(odds)
    p = (1 - e) * s + e / 2
    # Away from 0 and 1, so that logarithms of p and 1 - p stay finite.
    return e, s, np.clip(p, 1e-12, 1 - 1e-12)


def _likelihood_factor(
    games: Games,
    x: Floats,
) -> Any:
    """F, sparse, shape (games, unknowns), with F'F the curvature of the log likelihood."""
    e, s, p = _win_chances(x, games)
    # Fisher information of a Bernoulli variable: (dp/dx)^2 / (p (1 - p)), weighted by judge.
    unit = np.sqrt(games.weight / (p * (1 - p)))
    pull = unit * (1 - e) * s * (1 - s)
    toss = unit * (0.5 - s) * e * (1 - e)

    # Each game touches five unknowns: both thetas, the judge's bias and rate, and the length.
    m = len(p)
    biases = _bias_slice(games)
    rates = _rate_slice(games)
    columns = [
        games.first,
        games.second,
        biases.start + games.judge,
        rates.start + games.judge,
        np.full(m, rates.stop),
    ]
    values = [
        pull,
        -pull,
        pull,
        toss,
        pull * games.length,
    ]
    places = np.arange(0, 5 * m + 1, 5)
    flat_values = np.stack(values, axis=1).ravel()
    flat_columns = np.stack(columns, axis=1).ravel()
    shape = (m, _count_unknowns(games))
    return csr_array((flat_values, flat_columns, places), shape=shape)


def _log_loss(
    x: Floats,
    games: Games,
    spread: float,
    free: Floats,
) -> tuple[float, Floats]:
    """The negative log posterior and its gradient, which is 0 for unknowns that are not `free`."""
    e, s, p = _win_chances(x, games)
    win = games.win
    lost = 1 - win
    log_likelihood = win * np.log(p) + lost * np.log1p(-p)
    value = -(games.weight * log_likelihood).sum()
    prior, prior_gradient = _log_prior(x, games, spread)

    # By the chain rule: slope is by p, pull by the odds, toss by the error rate.
    by_chance = win / p - lost / (1 - p)
    slope = -games.weight * by_chance
    pull = slope * (1 - e) * s * (1 - s)
    toss = slope * (0.5 - s)
    gradient = _sum_by_unknown(x, games, pull, toss)
    return float(value + prior), (gradient + prior_gradient) * free


def _sum_by_unknown(
    x: Floats,
    games: Games,
    pull: Floats,
    toss: Floats,
) -> Floats:
    """The gradient, shape (unknowns,), from derivatives of each game, shape (games,)."""
    n = games.n
    n_judges = games.n_judges
    pull_first = np.bincount(games.first, pull, n)
    pull_second = np.bincount(games.second, pull, n)
    pull_judge = np.bincount(games.judge, pull, n_judges)
    toss_judge = np.bincount(games.judge, toss, n_judges)
    _, rate, _ = _split_unknowns(x, games)

    gradient = np.zeros(len(x))
    gradient[:n] = pull_first - pull_second
    gradient[_bias_slice(games)] = pull_judge
    gradient[_rate_slice(games)] = toss_judge * rate * (1 - rate)
    gradient[-1] = float((pull * games.length).sum())
    return gradient


def _prior_scale(
    games: Games,
    spread: float,
) -> Floats:
    """The prior standard deviation of each unknown, shape (unknowns,).

    It is infinite for error rates, whose prior is not Gaussian.
    """
    scale = np.full(_count_unknowns(games), spread)
    scale[_bias_slice(games)] = BIAS_SPREAD
    scale[_rate_slice(games)] = np.inf
    scale[-1] = BIAS_SPREAD
    return scale


def _log_prior(
    x: Floats,
    games: Games,
    spread: float,
) -> tuple[float, Floats]:
    """The negative log prior and its gradient."""
    variance = _prior_scale(games, spread) ** 2
    _, rate, _ = _split_unknowns(x, games)
    a, b = ERROR_PRIOR
    gaussian = (x**2 / variance).sum() / 2
    beta = a * np.log(rate) + b * np.log1p(-rate)
    gradient = x / variance
    # By the logit of the rate, whose derivative is rate (1 - rate).
    gradient[_rate_slice(games)] -= a * (1 - rate) - b * rate
    return float(gaussian - beta.sum()), gradient


def _theta_curvature(
    games: Games,
    x: Floats,
    spread: float,
) -> tuple[Any, Any]:
    """The Gauss-Newton curvature of theta, sparse, shape (n, n), and F with F'F equal to it.

    F has a row per game and a row per prior.
    """
    n = games.n
    likelihood = _likelihood_factor(games, x)
    of_theta = likelihood[:, :n]
    precision = np.full(n, 1 / spread)
    prior = diagonal_matrix(precision)
    factor = csr_array(vstack([of_theta, prior]))
    return csr_array(factor.T @ factor), factor


# Scores


def _scale_scores(
    judged: pl.DataFrame,
    ids: pl.Series,
    theta: Floats,
    error: Floats,
) -> pl.DataFrame:
    """`id`, `score`, `error`, `n_comparisons`: theta on the judge's scale, sorted by id."""
    sides = pl.concat(
        judged.select(
            *PAIR,
            id=pl.col(side),
            raw=pl.col(f"score_{side}"),
        )
        for side in PAIR
    )
    # Sorted before the mean, so that the order of rows cannot change the last digit of the sum.
    raw = sides.group_by("id").agg(
        pl.col("raw").sort().mean(),
        n_comparisons=pl.struct(PAIR).n_unique(),
    )
    raw = raw.sort("id")
    points: npt.NDArray[Any] = raw["raw"].to_numpy()
    # A logit is worth this many points; thetas that are all equal have no spread to match.
    unit = float(points.std() / theta.std()) if theta.std() > 1e-9 else 1.0
    score = points.mean() + unit * (theta - theta.mean())
    return raw.select(
        "id",
        "n_comparisons",
        score=pl.Series(score),
        error=pl.Series(unit * error),
    )
