"""The score of a duel if both models' answers were equally long.

Judges prefer longer answers. The log-odds of a win are modelled as a bias plus a weight times the
relative difference in length (the form of AlpacaEval 2.0 without eases, arXiv 2404.04475, which is
right near 50%), and the score at a difference of 0 is the sigmoid of the bias.

AlpacaEval measures differences in standard deviations of themselves and expects a strong taste for
length. Two models that write alike would then be 15 points apart for three characters. Here a
difference is relative, (b - a) / (a + b), and the weight has a prior around 0: what the data does
not tell about the taste widens the interval and moves nothing. The error is the sandwich estimator
of the fit, clustered by question (Liang and Zeger, Biometrika 73, 1986), plus that of the prior.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from tacos.methods.evaluating.clustered_means import CONFIDENCE_Z, MeanEstimate
from tacos.methods.evaluating.length_control import (
    HIGHEST_WITHOUT_EASES,
    LOWEST_WITHOUT_EASES,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WEIGHT_DEVIATION = 2.0
"""Of the prior. At this weight an answer twice as long as its equal wins 66% of the points."""
N_STEPS = 50
TOLERANCE = 1e-10


def can_be_adjusted(score: float) -> bool:
    """Whether a mean score lies where the adjustment may be believed.

    >>> can_be_adjusted(0.55), can_be_adjusted(0.1)
    (True, False)
    """
    return LOWEST_WITHOUT_EASES <= score <= HIGHEST_WITHOUT_EASES


def compare_lengths(lengths: Ints, other_lengths: Ints) -> Floats:
    """By how much `lengths` (n,) exceed the others, from -1 to 1; 0 where both are empty.

    >>> compare_lengths(np.array([200, 0, 0]), np.array([100, 50, 0])).round(2).tolist()
    [0.33, -1.0, 0.0]
    """
    sums = lengths + other_lengths
    return np.asarray((lengths - other_lengths) / np.maximum(sums, 1), np.float64)


def adjust_for_length(
    scores: Floats,
    lengths: Ints,
    other_lengths: Ints,
    questions: Ints,
) -> MeanEstimate:
    """The mean of `scores` at equal length, all of shape (n,).

    `scores` are of the first model, from 0 to 1; lengths are characters of its answers and the
    other's. The turns of a question are a cluster: `questions` are their numbers.
    """
    n = scores.size
    design = np.column_stack([np.ones(n), compare_lengths(lengths, other_lengths)])
    # Of the bias nothing is known before.
    precision = np.diag([0.0, WEIGHT_DEVIATION**-2])
    weights = _fit_weights(design, scores, precision)
    predicted = expit(design @ weights)
    score = float(expit(weights[0]))
    _, numbers = np.unique(questions, return_inverse=True)
    n_clusters = int(numbers.max()) + 1
    if n_clusters < 2:
        return MeanEstimate(score, None, None, None, n, n_clusters)
    # Residuals of a question add up before they are squared.
    pulls = np.zeros((n_clusters, 2))
    np.add.at(pulls, numbers, (predicted - scores)[:, np.newaxis] * design)
    correction = n_clusters / (n_clusters - 1)
    inverse = np.linalg.inv(_measure_curvature(design, predicted) + precision)
    scatter = correction * pulls.T @ pulls + precision
    variances = inverse @ scatter @ inverse
    # The ends in log-odds: an interval of a share stays within 0 and 1.
    half = CONFIDENCE_Z * float(np.sqrt(variances[0, 0]))
    low, high = (float(expit(weights[0] + end)) for end in (-half, half))
    error = score * (1 - score) * half / CONFIDENCE_Z
    return MeanEstimate(score, error, low, high, n, n_clusters)


def _fit_weights(design: Floats, scores: Floats, precision: Floats) -> Floats:
    """Bias and weight by Newton's method: the loss is convex."""
    weights = np.zeros(2)
    for _ in range(N_STEPS):
        predicted = expit(design @ weights)
        slope = design.T @ (predicted - scores) + precision @ weights
        curvature = _measure_curvature(design, predicted) + precision
        step = np.linalg.solve(curvature, slope)
        weights -= step
        if np.abs(step).max() < TOLERANCE:
            break
    return weights


def _measure_curvature(design: Floats, predicted: Floats) -> Floats:
    """The second derivatives of the cross-entropy, shape (2, 2)."""
    spread = predicted * (1 - predicted)
    curvature: Floats = design.T @ (spread[:, np.newaxis] * design)
    return curvature
