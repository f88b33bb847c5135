"""The score of a duel if both models' answers were equally long.

Judges prefer longer answers. The log-odds of a win are modelled as a bias plus a weight times the
difference in length (the form of AlpacaEval 2.0 without eases, arXiv 2404.04475, which is right
near 50%), and the score at a difference of 0 is the sigmoid of the bias. Its error is the sandwich
estimator of the fit, clustered by question (Liang and Zeger, Biometrika 73, 1986).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from tacos.methods.evaluating.clustered_means import CONFIDENCE_Z, MeanEstimate
from tacos.methods.evaluating.length_control import (
    HIGHEST_WITHOUT_EASES,
    LENGTH_PRIOR_VARIANCE,
    LOWEST_WITHOUT_EASES,
    fit_win_rate,
    scale_length_differences,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def can_be_adjusted(score: float) -> bool:
    """Whether a mean score lies where the adjustment may be believed.

    >>> can_be_adjusted(0.55), can_be_adjusted(0.1)
    (True, False)
    """
    return LOWEST_WITHOUT_EASES <= score <= HIGHEST_WITHOUT_EASES


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
    differences = scale_length_differences(other_lengths, lengths)
    n = scores.size
    fit = fit_win_rate(scores, differences, np.zeros(n))
    score = float(expit(fit.bias))
    _, numbers = np.unique(questions, return_inverse=True)
    n_clusters = int(numbers.max()) + 1
    if n_clusters < 2:
        return MeanEstimate(score, None, None, None, n, n_clusters)
    predicted = expit(fit.bias + fit.length_weight * differences)
    design = np.column_stack([np.ones(n), differences])
    weights = predicted * (1 - predicted)
    curvature = design.T @ (weights[:, np.newaxis] * design)
    curvature[1, 1] += 1 / LENGTH_PRIOR_VARIANCE
    # Residuals of a question add up before they are squared.
    pulls = np.zeros((n_clusters, 2))
    np.add.at(pulls, numbers, (predicted - scores)[:, np.newaxis] * design)
    correction = n_clusters / (n_clusters - 1)
    inverse = np.linalg.inv(curvature)
    variances = correction * inverse @ (pulls.T @ pulls) @ inverse
    # From log-odds to shares, by the slope of the sigmoid.
    error = float(score * (1 - score) * np.sqrt(variances[0, 0]))
    half = CONFIDENCE_Z * error
    return MeanEstimate(score, error, score - half, score + half, n, n_clusters)
