"""How much better a selection is than as many random rows, with an interval.

Two measures, neither of which takes the word of the judge that selected:

- `predict_gain`: what the scores of the rows taken are worth in points of reference grades, where
  the judge's reliability was measured on rows that it had not seen. With z the mean score of the
  rows taken, in standard deviations from the mean of all rated rows, and r the reliability, it is
  sqrt(r) x SPREAD x z (linear regression; Kelley 1927; see `objective`). sqrt(r) differs by data
  set, so its interval is the prediction interval of one more set (Student's t, Hahn and Meeker
  1991, section 4.7), not that of their mean; where labels on this data tell it, that of the labels.
- `measure_gain`: the mean grade of the rows taken by a judge that took no part, less that of all
  rated rows, which as many random ones have on average. The interval is how far a random draw
  without replacement strays (Cochran 1977, section 2.5). A taste for length that both judges share
  shows in it; so the same is measured among rows of equal length.

What they do not know: whether this data is like the data sets that r was measured on, and whether
the reference grades say what a training run would.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tacos.methods.selecting.objective import SPREAD

Floats = npt.NDArray[np.float64]

FEWEST_SETS = 3
"""With fewer data sets, how far a reliability differs between them is not known."""
N_DRAWS = 20_000
SEED = 1
TAILS = (0.025, 0.975)
TAIL = 1.96
"""Standard errors from the middle of a 95% interval to its ends."""
LOG_SPREAD_ERROR = 0.23
"""Standard deviation of the logarithm of SPREAD between data sets: it is 12 to 23 on eight, and the
range of eight normal draws is 2.85 standard deviations wide on average (Tippett 1925)."""
N_LENGTHS = 20
"""Groups of equal length, each a twentieth of the rated rows."""


class Gain(NamedTuple):
    """Points of 100 by which the mean of `n` rows lies above that of as many random rows of
    `n_pool`; `low` and `high` are the ends of its 95% interval.
    """

    value: float
    low: float
    high: float
    n: int
    n_pool: int

    @property
    def is_above(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0

    @property
    def is_below(self) -> bool:
        """Whether the whole interval lies below 0."""
        return self.high < 0


def predict_gain(
    taken: npt.ArrayLike,
    rated: npt.ArrayLike,
    reliability: float,
    by_set: Sequence[float] = (),
    interval: tuple[float, float] | None = None,
) -> Gain | None:
    """The gain to expect of rows with the scores `taken`, shape (n,), out of those with the scores
    `rated`, shape (n_pool,), in points of reference grades.

    `by_set` are the reliabilities on single data sets; or `interval` is that of the one on this
    data. None where nothing tells how far the reliability is off.

    >>> predict_gain([9.0] * 50, [1.0, 9.0] * 50, 0.1) is None
    True
    """
    scores = np.asarray(taken, np.float64)
    pool = np.asarray(rated, np.float64)
    rng = np.random.default_rng(SEED)
    roots = _draw_roots(rng, reliability, by_set, interval)
    if roots is None or not len(scores):
        return None
    spread = float(pool.std())
    z = 0.0 if spread == 0 else float(scores.mean() - pool.mean()) / spread
    n = len(scores)
    points = SPREAD * np.exp(LOG_SPREAD_ERROR * rng.standard_normal(N_DRAWS))
    # What scores do not explain of the rows taken, and the luck of the random ones.
    unexplained = 1.0 - roots**2
    left_to_chance = 1.0 - n / max(len(pool), n)
    noise = points * np.sqrt((unexplained + left_to_chance) / n)
    gains = roots * points * z + noise * rng.standard_normal(N_DRAWS)
    low, high = np.quantile(gains, TAILS).tolist()
    value = math.sqrt(reliability) * SPREAD * z
    # The middle of skewed draws is not the value itself.
    return Gain(value, min(low, value), max(high, value), n, len(pool))


def measure_gain(taken: npt.ArrayLike, rated: npt.ArrayLike) -> Gain:
    """The gain of rows with the grades `taken` over as many random ones of those `rated`.

    >>> measure_gain([3.0, 3.0], [1.0, 3.0, 3.0, 1.0])
    Gain(value=1.0, low=-0.1316..., high=2.1316..., n=2, n_pool=4)
    """
    grades = np.asarray(taken, np.float64)
    pool = np.asarray(rated, np.float64)
    value = float(grades.mean() - pool.mean())
    half = TAIL * math.sqrt(_vary_draw(pool, len(grades)))
    return Gain(value, value - half, value + half, len(grades), len(pool))


def measure_gain_at_equal_length(
    grades: npt.ArrayLike,
    lengths: npt.ArrayLike,
    is_taken: npt.ArrayLike,
) -> Gain:
    """The gain over random rows that are as long: all of shape (n_pool,), `is_taken` boolean.

    Rows are compared within twentieths of the pool by length.
    """
    pool = np.asarray(grades, np.float64)
    taken = np.asarray(is_taken, np.bool_)
    groups = _group_lengths(np.asarray(lengths, np.float64))
    n = int(taken.sum())
    value = 0.0
    variance = 0.0
    for group in np.unique(groups):
        in_group = groups == group
        of_group = pool[in_group]
        n_taken = int((in_group & taken).sum())
        if n_taken == 0:
            continue
        share = n_taken / n
        value += share * float(pool[in_group & taken].mean() - of_group.mean())
        variance += share**2 * _vary_draw(of_group, n_taken)
    half = TAIL * math.sqrt(variance)
    return Gain(value, value - half, value + half, n, len(pool))


def _draw_roots(
    rng: np.random.Generator,
    reliability: float,
    by_set: Sequence[float],
    interval: tuple[float, float] | None,
) -> Floats | None:
    """Draws of sqrt(r), the correlation of scores and grades, shape (N_DRAWS,); None: no telling.

    They may be negative: a judge can be worse than none on one more data set.
    """
    middle = math.sqrt(reliability)
    if interval is not None:
        low, high = (math.sqrt(end) for end in interval)
        normal = rng.standard_normal(N_DRAWS)
        # The ends lie at different distances, since shares cannot be below 0 or above 1.
        below = (middle - low) / TAIL
        above = (high - middle) / TAIL
        return np.clip(middle + np.where(normal < 0, below, above) * normal, -1, 1)
    n_sets = len(by_set)
    if n_sets < FEWEST_SETS:
        return None
    error = float(np.sqrt(by_set).std(ddof=1)) * math.sqrt(1 + 1 / n_sets)
    draws = middle + error * rng.standard_t(n_sets - 1, N_DRAWS)
    return np.clip(draws, -1, 1)


def _vary_draw(pool: Floats, n: int) -> float:
    """The variance of the mean of n rows drawn without replacement."""
    if len(pool) < 2 or n >= len(pool):
        return 0.0
    return float(pool.var(ddof=1)) * (1 - n / len(pool)) / n


def _group_lengths(lengths: Floats) -> npt.NDArray[np.int64]:
    """The twentieth of each length, 0 to 19; equal lengths are in the same one."""
    cuts = np.quantile(lengths, np.linspace(0, 1, N_LENGTHS + 1)[1:-1])
    return np.searchsorted(cuts, lengths, side="left").astype(np.int64)
