"""Means of items that come in clusters, such as both turns of one question, with intervals.

Items of one cluster are not independent, so the standard error is taken over clusters (Miller,
"Adding error bars to evals", arXiv 2411.00640, 2024). Two models that answered the same questions
are compared by the differences of their paired items, which is far sharper than comparing their
two intervals.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Key = TypeVar("Key", bound=Hashable)
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CONFIDENCE_Z = 1.96
"""Half the width of a 95% interval, in standard errors."""
POWER_Z = 0.84
"""What 80% power adds to it."""


@dataclass(frozen=True, slots=True)
class MeanEstimate:
    """A mean with its 95% interval.

    `error` is the standard error; it and the interval are None where there is one cluster only.
    """

    mean: float
    error: float | None
    low: float | None
    high: float | None
    n: int
    n_clusters: int

    def smallest_detectable_difference(self) -> float | None:
        """The true difference that an experiment of this error finds in 80 of 100 repetitions.

        At a two-sided level of 5%: 2.8 standard errors (Miller 2024, section 5).
        """
        if self.error is None:
            return None
        return (CONFIDENCE_Z + POWER_Z) * self.error


def estimate_mean(
    values: Floats,
    clusters: Ints,
    scale: tuple[float, float] = (-np.inf, np.inf),
) -> MeanEstimate:
    """The mean of `values` (n,); `clusters` (n,) are the numbers of their clusters.

    `scale` is the least and the largest value that there can be: no interval goes beyond.

    >>> wins = np.array([1.0, 1.0, 1.0, 1.0, 0.0])
    >>> estimate_mean(wins, np.arange(5), (0, 1)).high
    1.0

    Raises ValueError if there is no value, or a value is not finite: what is missing is not 0.
    """
    if values.size == 0:
        raise ValueError("there is no value to take a mean of")
    if not np.isfinite(values).all():
        raise ValueError("a value is missing or not finite")
    n = values.size
    mean = float(values.mean())
    _, numbers = np.unique(clusters, return_inverse=True)
    n_clusters = int(numbers.max()) + 1
    if n_clusters < 2:
        return MeanEstimate(mean, None, None, None, n, n_clusters)
    # The deviations of a cluster add up before they are squared: that is the clustering.
    sums = np.bincount(numbers, values - mean)
    # As for a plain variance, one cluster's worth of freedom went into the mean.
    correction = n_clusters / (n_clusters - 1)
    error = float(np.sqrt(correction * np.square(sums).sum()) / n)
    half = CONFIDENCE_Z * error
    low, high = (float(np.clip(mean + end, *scale)) for end in (-half, half))
    return MeanEstimate(mean, error, low, high, n, n_clusters)


def estimate_difference(
    values: Mapping[Key, float],
    others: Mapping[Key, float],
    clusters: Mapping[Key, int],
) -> MeanEstimate:
    """The mean of `values` minus `others`, by the paired differences of their common items.

    `clusters` gives the cluster of each item. Raises ValueError if one side has an item that the
    other lacks: means over different items are not comparable.
    """
    if values.keys() != others.keys():
        n_unpaired = len(values.keys() ^ others.keys())
        raise ValueError(f"{n_unpaired} items have a value on one side only")
    items = list(values)
    differences = np.array([values[item] - others[item] for item in items])
    numbers = np.array([clusters[item] for item in items])
    return estimate_mean(differences, numbers)
