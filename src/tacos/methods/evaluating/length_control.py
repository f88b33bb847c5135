"""Win rates at equal length, as AlpacaEval 2.0 defines them (Dubois et al., arXiv 2404.04475).

The probability that the model beats the baseline on an instruction is modelled as

    sigmoid(bias + length weight * tanh(length difference) + ease of the instruction)

and the length-controlled win rate is the mean of it with the length term left out. AlpacaEval's own
fit downloads the eases at run time, cross-validates an L1 penalty that scikit-learn removes, and
adds two made-up baselines. Here the length weight has a Gaussian prior instead, so the fit is
convex, deterministic and needs nothing but annotations: on the 57 models of the leaderboard whose
annotations are public its mean error is .59 points (`tests/unit/methods/evaluating`).

Without eases a rate is only right near 50%: below 30% it is further from the leaderboard than the
raw win rate is (6.2 against 4.8 points).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LENGTH_PRIOR_MEAN = -1.4
"""Negative, since the length difference is the baseline's length minus the model's."""
LENGTH_PRIOR_VARIANCE = 0.25
EASE_RIDGE = 0.25
"""The weight of the squared eases: a Gaussian prior of standard deviation 2 around 0."""
LOWEST_WITHOUT_EASES = 0.3
HIGHEST_WITHOUT_EASES = 0.7
"""Raw win rates between which a fit without eases may be believed."""
N_ITERATIONS = 2000
N_STEPS = 50
"""Of Newton's method, which needs about 8."""
LARGEST_STEP = 2.0
SMALLEST_STEP = 1e-10
LARGEST_BIAS = 20.0
"""In log-odds. Where every preference is 0 or 1, no bias is the best one."""
N_DRAWS = 1000
"""Of the bootstrap."""


@dataclass(frozen=True, slots=True)
class LengthFit:
    """A model's fit: `bias` and `length_weight` in log-odds; `win_rate` is from 0 to 1."""

    win_rate: float
    bias: float
    length_weight: float


def scale_length_differences(baseline: Ints, model: Ints) -> Floats:
    """tanh of the baseline's lengths minus the model's, in standard deviations, shape (n,).

    Lengths are characters. Where all differences are equal they say nothing, and are 0.
    """
    differences = (baseline - model).astype(np.float64)
    deviation = float(differences.std(ddof=1)) if differences.size > 1 else 0.0
    if deviation == 0:
        return np.zeros_like(differences)
    return np.tanh(differences / deviation)


def estimate_eases(
    preferences: Floats,
    lengths: Floats,
    models: Ints,
    instructions: Ints,
) -> Floats:
    """How easily any model beats the baseline on each instruction, in log-odds.

    One fit over all models: a bias and a length weight for each model, an ease for each
    instruction. All arguments have shape (n,): `preferences` for the model from 0 to 1, `lengths`
    from `scale_length_differences`, and the numbers of model and instruction from 0.
    """
    n_models = int(models.max()) + 1
    n_instructions = int(instructions.max()) + 1

    def measure_loss(weights: Floats) -> tuple[float, Floats]:
        biases = weights[:n_models]
        slopes = weights[n_models : 2 * n_models]
        eases = weights[2 * n_models :]
        logits = biases[models] + slopes[models] * lengths + eases[instructions]
        loss, residuals = _measure_cross_entropy(logits, preferences)
        distances = slopes - LENGTH_PRIOR_MEAN
        loss += np.square(distances).sum() / (2 * LENGTH_PRIOR_VARIANCE)
        loss += EASE_RIDGE / 2 * np.square(eases).sum()
        for_biases = np.bincount(models, residuals, n_models)
        for_slopes = np.bincount(models, residuals * lengths, n_models)
        for_eases = np.bincount(instructions, residuals, n_instructions)
        gradient = np.concatenate(
            [
                for_biases,
                for_slopes + distances / LENGTH_PRIOR_VARIANCE,
                for_eases + EASE_RIDGE * eases,
            ]
        )
        return float(loss), gradient

    start = np.zeros(2 * n_models + n_instructions)
    return _minimise(measure_loss, start)[2 * n_models :]


def fit_win_rate(preferences: Floats, lengths: Floats, eases: Floats) -> LengthFit:
    """The fit of one model: `preferences` for it from 0 to 1, `lengths` and `eases`, shape (n,)."""

    def measure_loss(weights: Floats) -> tuple[float, Floats]:
        bias, slope = weights
        loss, residuals = _measure_cross_entropy(
            bias + slope * lengths + eases, preferences
        )
        distance = slope - LENGTH_PRIOR_MEAN
        loss += distance**2 / (2 * LENGTH_PRIOR_VARIANCE)
        for_slope = residuals @ lengths + distance / LENGTH_PRIOR_VARIANCE
        return float(loss), np.array([residuals.sum(), for_slope])

    bias, slope = _minimise(measure_loss, np.array([0.0, LENGTH_PRIOR_MEAN]))
    return LengthFit(float(expit(bias + eases).mean()), float(bias), float(slope))


@dataclass(frozen=True, slots=True)
class RateDraws:
    """Win rates at equal length of resampled instructions, from 0 to 1."""

    rates: Floats
    """Shape (draws,)."""

    @property
    def error(self) -> float:
        """The standard error."""
        return float(self.rates.std(ddof=1))

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval."""
        low, high = np.percentile(self.rates, [2.5, 97.5])
        return float(low), float(high)


def bootstrap_win_rate(
    preferences: Floats,
    lengths: Floats,
    eases: Floats,
    seed: int,
    n_draws: int = N_DRAWS,
) -> RateDraws:
    """The fit of `fit_win_rate` to instructions drawn with replacement, `n_draws` times.

    The same seed draws the same instructions, so that the rates of two models can be subtracted
    draw by draw. (AlpacaEval prints the spread of its predictions instead, which is six times too
    small.)
    """
    n = preferences.size
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(n, np.full(n, 1 / n), size=n_draws)
    weights = counts.astype(np.float64)
    return RateDraws(_fit_weighted_rates(preferences, lengths, eases, weights))


def _fit_weighted_rates(
    preferences: Floats, lengths: Floats, eases: Floats, weights: Floats
) -> Floats:
    """The win rate at equal length for each row of `weights`, shape (draws, n): Newton's method on
    all of them at once.
    """
    n_draws = len(weights)
    biases = np.zeros(n_draws)
    slopes = np.full(n_draws, LENGTH_PRIOR_MEAN)
    for _ in range(N_STEPS):
        logits = biases[:, None] + slopes[:, None] * lengths + eases
        chances = expit(logits)
        residuals = weights * (chances - preferences)
        curvatures = weights * chances * (1 - chances)
        distances = slopes - LENGTH_PRIOR_MEAN
        bias_steps, slope_steps = _solve_newton_steps(
            residuals, curvatures, lengths, distances
        )
        # Where all preferences are 0 or 1, the bias would go on for ever.
        biases = np.clip(biases - bias_steps, -LARGEST_BIAS, LARGEST_BIAS)
        slopes = slopes - slope_steps
        largest_step = max(np.abs(bias_steps).max(), np.abs(slope_steps).max())
        if largest_step < SMALLEST_STEP:
            break
    # Without the length term: both outputs are equally long.
    at_equal_length = expit(biases[:, None] + eases)
    wins = (weights * at_equal_length).sum(axis=1)
    rates: Floats = wins / weights.sum(axis=1)
    return rates


def _solve_newton_steps(
    residuals: Floats, curvatures: Floats, lengths: Floats, distances: Floats
) -> tuple[Floats, Floats]:
    """The steps of bias and length weight for each draw, by the first and second derivatives of
    its loss; `residuals` and `curvatures` have shape (draws, n), `distances` (those of the length
    weights from the prior's mean) shape (draws,).
    """
    for_bias = residuals.sum(axis=1)
    for_slope = residuals @ lengths + distances / LENGTH_PRIOR_VARIANCE
    # A little is added, so that no step is infinite where every chance is 0 or 1.
    bias_bias = curvatures.sum(axis=1) + 1e-9
    bias_slope = curvatures @ lengths
    slope_slope = curvatures @ np.square(lengths)
    slope_slope += 1 / LENGTH_PRIOR_VARIANCE
    # The inverse of a matrix of two rows and two columns.
    determinant = bias_bias * slope_slope - np.square(bias_slope)
    bias_steps = (slope_slope * for_bias - bias_slope * for_slope) / determinant
    slope_steps = (bias_bias * for_slope - bias_slope * for_bias) / determinant
    # Far from the minimum a whole step may lead further away.
    return (
        np.clip(bias_steps, -LARGEST_STEP, LARGEST_STEP),
        np.clip(slope_steps, -LARGEST_STEP, LARGEST_STEP),
    )


def _measure_cross_entropy(logits: Floats, preferences: Floats) -> tuple[float, Floats]:
    """The summed cross-entropy and its derivative by the logits."""
    loss = (np.logaddexp(0, logits) - preferences * logits).sum()
    return float(loss), expit(logits) - preferences


def _minimise(measure_loss, start: Floats) -> Floats:  # type: ignore[no-untyped-def]
    """The minimum of a convex loss that gives its gradient, too."""
    # Takes a while to import, which not every command needs.
    from scipy.optimize import minimize

    found = minimize(
        measure_loss,
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": N_ITERATIONS, "ftol": 1e-12, "gtol": 1e-7},
    )
    return np.asarray(found.x, dtype=np.float64)
