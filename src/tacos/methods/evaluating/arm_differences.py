"""By how much models of one arm do better than those of another, over seeds and items.

Each arm is trained with several seeds, and all of its models answer the same items. Both scatter:
another seed gives another model, other items other means. A bootstrap draws seeds within each arm
and items for all of them alike, since they are crossed (Owen, "The pigeonhole bootstrap", Annals of
Applied Statistics 1(2), 2007): drawn anew for each seed, items would seem to be more than they are.
Where seeds and items interact, that errs on the side of wide intervals.

A few seeds drawn with replacement scatter too little, by the share (n - 1) / n of their variance;
draws are stretched by as much. And a scatter that a few seeds tell is uncertain itself: intervals
are those of Student's t with Welch and Satterthwaite's degrees of freedom, not the normal's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEVEL = 0.05
POWER = 0.8
N_DRAWS = 10_000
ALIKE = 1e-12
"""Arms with a smaller difference in all draws are alike; what is left is rounding."""
DRAWS_AT_ONCE = 500
"""Bounds the memory: 8 bytes for each of these and each cluster of items."""


@dataclass(frozen=True, slots=True)
class ArmDifference:
    """The mean of one arm minus that of another.

    `error` is its standard error with `freedom` degrees of freedom, `low` and `high` the ends of
    the 95% interval, `p_value` two-sided. All five are None where an arm has one seed, there is one
    cluster of items, or no item tells the arms apart: how far it scatters is then unknown.
    """

    difference: float
    error: float | None
    freedom: float | None
    low: float | None
    high: float | None
    p_value: float | None
    n_seeds: int
    n_other_seeds: int
    n_items: int

    def smallest_detectable(self, n_tests: int) -> float | None:
        """The true difference that is found in 80 of 100 repetitions, beside `n_tests` - 1 others.

        As Holm's procedure may, it asks for a level of 5% / `n_tests`.
        """
        if self.error is None or self.freedom is None:
            return None
        found = stdtrit(self.freedom, 1 - LEVEL / n_tests / 2)
        power = stdtrit(self.freedom, POWER)
        return float((found + power) * self.error)


def compare_arms(
    values: Floats,
    others: Floats,
    clusters: Ints,
    seed: int,
    *,
    is_trained: bool = True,
) -> ArmDifference:
    """The difference of `values` (n_seeds, n_items) and `others` (n_other_seeds, n_items).

    `clusters` (n_items,) are the numbers of the items' clusters; items without a common origin are
    clusters of their own. `is_trained` is False where the others have no seed, such as the model
    before training, or a constant: their single row does not scatter.

    Raises ValueError if a value is missing.
    """
    if values.shape[1:] != others.shape[1:] or values.shape[1:] != clusters.shape:
        raise ValueError("both arms need a value for each item")
    if values.size == 0 or others.size == 0:
        raise ValueError("there is no value to compare")
    if not (np.isfinite(values).all() and np.isfinite(others).all()):
        raise ValueError("a value is missing or not finite")
    difference = float(values.mean() - others.mean())
    n_seeds, n_items = values.shape
    _, numbers, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    sums = _sum_clusters(values, numbers)
    other_sums = _sum_clusters(others, numbers)
    unknown = ArmDifference(
        difference, None, None, None, None, None, n_seeds, len(others), n_items
    )
    scatters = len(sizes) > 1 and n_seeds > 1 and (len(others) > 1 or not is_trained)
    if not scatters:
        return unknown
    draws = np.concatenate([*_draw_differences(sums, other_sums, sizes, seed)])
    if np.abs(draws).max() < ALIKE:
        # As answers of "yes" and "no" may be: an interval of no width would be a false promise.
        return replace(unknown, difference=0.0)
    error = float(draws.std())
    freedom = _count_freedom(sums, other_sums, sizes)
    half = float(stdtrit(freedom, 1 - LEVEL / 2)) * error
    p_value = 1.0
    if difference != 0:
        # Without any scatter, whatever differs does so for sure.
        ratio = abs(difference) / error if error > 0 else np.inf
        p_value = float(2 * stdtr(freedom, -ratio))
    return ArmDifference(
        difference=difference,
        error=error,
        freedom=freedom,
        low=difference - half,
        high=difference + half,
        p_value=p_value,
        n_seeds=n_seeds,
        n_other_seeds=len(others),
        n_items=n_items,
    )


def adjust_by_holm(p_values: Sequence[float]) -> list[float]:
    """The p-values for several tests at once, in the same order (Holm 1979).

    A test passes at 5% if its adjusted value is below .05.

    >>> adjust_by_holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    n_tests = len(p_values)
    order = sorted(range(n_tests), key=lambda test: p_values[test])
    adjusted = [1.0] * n_tests
    largest = 0.0
    for place, test in enumerate(order):
        # No test passes where one with a smaller value has failed.
        largest = max(largest, (n_tests - place) * p_values[test])
        adjusted[test] = min(1.0, largest)
    return adjusted


def _sum_clusters(values: Floats, numbers: npt.NDArray[np.intp]) -> Floats:
    """The sums of each row's clusters, shape (n_seeds, n_clusters)."""
    return np.array([np.bincount(numbers, row) for row in values])


def _draw_differences(
    sums: Floats,
    other_sums: Floats,
    sizes: npt.NDArray[np.intp],
    seed: int,
) -> Iterator[Floats]:
    """`N_DRAWS` differences between arms whose seeds and clusters are drawn with replacement."""
    generator = np.random.default_rng(seed)
    for _ in range(N_DRAWS // DRAWS_AT_ONCE):
        drawn = _draw_weights(generator, len(sums)) @ sums
        other_drawn = _draw_weights(generator, len(other_sums)) @ other_sums
        weights = _draw_weights(generator, len(sizes))
        differences = (weights * (drawn - other_drawn)).sum(axis=1)
        yield differences / (weights @ sizes)


def _draw_weights(generator: np.random.Generator, n: int) -> Floats:
    """How often each of `n` is drawn, as shares, shape (`DRAWS_AT_ONCE`, n)."""
    if n == 1:
        return np.ones((DRAWS_AT_ONCE, 1))
    picks = generator.integers(n, size=(DRAWS_AT_ONCE, n))
    picks += n * np.arange(DRAWS_AT_ONCE)[:, np.newaxis]
    counts = np.bincount(picks.ravel(), minlength=n * DRAWS_AT_ONCE)
    shares = counts.reshape(DRAWS_AT_ONCE, n) / n
    # What drawing with replacement lacks in variance.
    stretch = np.sqrt(n / (n - 1))
    stretched: Floats = 1 / n + stretch * (shares - 1 / n)
    return stretched


def _count_freedom(
    sums: Floats,
    other_sums: Floats,
    sizes: npt.NDArray[np.intp],
) -> float:
    """Welch and Satterthwaite's degrees of freedom of the three sources of scatter."""
    n_items = sizes.sum()
    variances = []
    freedoms = []
    for arm in (sums, other_sums):
        if len(arm) > 1:
            means = arm.sum(axis=1) / n_items
            variances.append(means.var(ddof=1) / len(arm))
            freedoms.append(len(arm) - 1)
    by_cluster = sums.mean(axis=0) - other_sums.mean(axis=0)
    deviations = by_cluster - sizes * (by_cluster.sum() / n_items)
    n_clusters = len(sizes)
    correction = n_clusters / (n_clusters - 1)
    variances.append(correction * np.square(deviations).sum() / n_items**2)
    freedoms.append(n_clusters - 1)
    parts = np.array(variances)
    if parts.sum() == 0:
        return float(min(freedoms))
    return float(parts.sum() ** 2 / (np.square(parts) / freedoms).sum())
