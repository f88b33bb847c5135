"""How far raters agree: majority, Fleiss' and Cohen's kappa, Gwet's AC1, Wilson intervals.

Kappa compares agreement with what chance gives, where chance knows how often each answer is given.
Where one answer is rare (nearly all tags are right) chance agreement is near 1 and kappa turns
unstable: raters who agree on 95% of the items can have kappa 0. Gwet's AC1 does not, so both are
given, with the plain share of agreement and an interval by resampling items.

A missing rating is missing (None or -1), never a category. A figure that is undefined (fewer than
two ratings anywhere, or one answer only for kappa) is None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

Ints = npt.NDArray[np.int64]
Statistic = Callable[[Ints], float | None]
"""A figure of ratings, shape (items, raters)."""
MISSING = -1


class ConfidenceInterval(NamedTuple):
    """A figure with its interval; `n` is what it rests on. All None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    def row(self) -> tuple[int, float | None, float | None, float | None]:
        """n first, as tables have it."""
        return self.n, self.value, self.low, self.high


def wilson_interval(n_yes: int, n: int, level: float = 0.95) -> ConfidenceInterval:
    """The share n_yes / n with Wilson's score interval.

    >>> [round(x, 3) for x in wilson_interval(9, 10)[:3]]
    [0.9, 0.596, 0.982]
    """
    if n == 0:
        return ConfidenceInterval(None, None, None, 0)
    z = float(ndtri(0.5 + level / 2))
    share, factor = n_yes / n, 1 + z * z / n
    middle = (share + z * z / (2 * n)) / factor
    half = z * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))) / factor
    return ConfidenceInterval(share, max(0.0, middle - half), min(1.0, middle + half), n)


def majority_answer(answers: Sequence[bool | None]) -> bool | None:
    """What more than half of the given answers say; None for a tie or where there is no answer.

    >>> majority_answer([True, True, False]), majority_answer([True, False]), majority_answer([None, False])
    (True, None, False)
    """
    given = [answer for answer in answers if answer is not None]
    n_yes = sum(given)
    return None if 2 * n_yes == len(given) else 2 * n_yes > len(given)


def tally_ratings(ratings: Ints, n_categories: int = 2) -> Ints:
    """Ratings, shape (items, raters), as counts, shape (items, categories); items with fewer than
    two ratings leave.
    """
    counts = np.stack(
        [(ratings == category).sum(axis=1) for category in range(n_categories)], axis=1
    )
    return np.asarray(counts[counts.sum(axis=1) >= 2], np.int64)


def pairwise_agreement(ratings: Ints, n_categories: int = 2) -> float | None:
    """The share of agreeing pairs of raters, the mean over items."""
    counts = tally_ratings(ratings, n_categories)
    if len(counts) == 0:
        return None
    n = counts.sum(axis=1)
    return float(((counts * (counts - 1)).sum(axis=1) / (n * (n - 1))).mean())


def _category_shares(counts: Ints) -> npt.NDArray[np.float64]:
    """How often each category is given, the mean over items."""
    return np.asarray((counts / counts.sum(axis=1, keepdims=True)).mean(axis=0))


def fleiss_kappa(ratings: Ints, n_categories: int = 2) -> float | None:
    """Fleiss' kappa (1971) of ratings, shape (items, raters); items may have different numbers of
    ratings.
    """
    found = pairwise_agreement(ratings, n_categories)
    chance = (
        _category_shares(tally_ratings(ratings, n_categories)) if found is not None else np.ones(1)
    )
    return _correct_for_chance(found, float((chance**2).sum()))


def gwet_ac1(ratings: Ints, n_categories: int = 2) -> float | None:
    """Gwet's AC1 (2008): chance agreement is the sum of p (1 - p) over the q categories, divided by
    q - 1.
    """
    found = pairwise_agreement(ratings, n_categories)
    chance = (
        _category_shares(tally_ratings(ratings, n_categories)) if found is not None else np.ones(1)
    )
    return _correct_for_chance(found, float((chance * (1 - chance)).sum() / (n_categories - 1)))


def cohen_kappa(pairs: Ints, n_categories: int = 2) -> float | None:
    """Cohen's kappa (1960) of two raters, shape (items, 2), over the items that both rated."""
    rated = pair_ratings(*pairs.T)
    if len(rated) == 0:
        return None
    own = [np.bincount(column, minlength=n_categories) / len(rated) for column in rated.T]
    return _correct_for_chance(
        float((rated[:, 0] == rated[:, 1]).mean()), float((own[0] * own[1]).sum())
    )


def pair_ratings(first: npt.ArrayLike, second: npt.ArrayLike) -> Ints:
    """The two ratings of each item that both raters rated, shape (items, 2)."""
    pairs = np.stack([np.asarray(first, np.int64), np.asarray(second, np.int64)], axis=1)
    return np.asarray(pairs[(pairs != MISSING).all(axis=1)], np.int64)


def _correct_for_chance(found: float | None, chance: float) -> float | None:
    """(agreement - chance) / (1 - chance), None where there is none or chance agreement is certain."""
    return None if found is None or np.isclose(chance, 1.0) else (found - chance) / (1 - chance)


def bootstrap_interval(
    statistic: Statistic, items: Ints, seed: int = 1, n_draws: int = 1000, level: float = 0.95
) -> ConfidenceInterval:
    """`statistic` of `items` with a percentile interval over draws of items with replacement.

    Draws in which it is undefined are left out; where that is more than one in ten there is no
    interval.
    """
    value, n = (statistic(items) if len(items) else None), len(items)
    if value is None:
        return ConfidenceInterval(None, None, None, n)
    rng = np.random.default_rng(seed)
    found = [statistic(items[rng.integers(n, size=n)]) for _ in range(n_draws)]
    defined = [one for one in found if one is not None]
    if len(defined) < 0.9 * n_draws:
        return ConfidenceInterval(value, None, None, n)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return ConfidenceInterval(value, low, high, n)
