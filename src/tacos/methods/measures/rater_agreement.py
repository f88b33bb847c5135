"""Measures how far raters agree: majority, Fleiss' and Cohen's kappa, Gwet's AC1.

Kappa compares the observed agreement with the agreement expected by chance, which depends on how
often each answer is given. Where one answer is rare (nearly all tags are right), chance agreement
is close to 1 and kappa becomes unstable: raters who agree on 95% of the items can have a kappa
of 0. Gwet's AC1 does not suffer from this, so both are reported, together with the plain share of
agreement. Intervals of agreement come from resampling items, intervals of shares from Wilson's
score.

A missing rating (None or -1) is never a category. A figure that is undefined is None: fewer than
two ratings on every item, or, for kappa, only one answer given at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Answer = TypeVar("Answer", bound=Hashable)
Statistic = Callable[[Ints], float | None]
"""A figure computed from ratings, shape (items, raters)."""
MISSING = -1
"""The code of a missing rating."""
MIN_DEFINED_SHARE = 0.9
"""A bootstrap interval needs the statistic to be defined in at least this share of the draws."""


class ConfidenceInterval(NamedTuple):
    """A figure with its interval; `n` is the number of items behind it. None where undefined."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    def row(self) -> tuple[int, float | None, float | None, float | None]:
        """(n, value, low, high): the order of the columns in tables."""
        return self.n, self.value, self.low, self.high


# Intervals


def wilson_interval(
    n_yes: int,
    n: int,
    level: float = 0.95,
) -> ConfidenceInterval:
    """The share n_yes / n with Wilson's score interval (Wilson 1927).

    >>> [round(x, 3) for x in wilson_interval(9, 10)[:3]]
    [0.9, 0.596, 0.982]
    """
    # Imported here: scipy.stats takes about a second to import, and few commands need it.
    from scipy.stats import binomtest

    if n == 0:
        return ConfidenceInterval(
            None,
            None,
            None,
            0,
        )
    test = binomtest(n_yes, n)
    interval = test.proportion_ci(confidence_level=level, method="wilson")
    return ConfidenceInterval(
        value=n_yes / n,
        low=float(interval.low),
        high=float(interval.high),
        n=n,
    )


def bootstrap_interval(
    statistic: Statistic,
    items: Ints,
    seed: int = 1,
    n_draws: int = 1000,
    level: float = 0.95,
) -> ConfidenceInterval:
    """`statistic` of `items`, shape (items, raters), with a percentile bootstrap interval.

    Each draw resamples the items with replacement. Draws in which the statistic is undefined are
    left out; if they are more than one in ten, there is no interval.
    """
    n = len(items)
    value = statistic(items) if n else None
    if value is None:
        return ConfidenceInterval(
            None,
            None,
            None,
            n,
        )
    rng = np.random.default_rng(seed)
    defined: list[float] = []
    for _ in range(n_draws):
        resampled = rng.integers(n, size=n)
        drawn_value = statistic(items[resampled])
        if drawn_value is not None:
            defined.append(drawn_value)
    if len(defined) < MIN_DEFINED_SHARE * n_draws:
        return ConfidenceInterval(
            value,
            None,
            None,
            n,
        )
    # the two ends of the middle `level` of the draws
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(defined, tails).tolist()
    return ConfidenceInterval(
        value,
        low,
        high,
        n,
    )


# Agreement


def majority_answer(answers: Sequence[Answer | None]) -> Answer | None:
    """The answer of more than half of those who answered; None if there is none, or no answer.

    >>> majority_answer([True, True, False])
    True
    >>> majority_answer([True, False]) is None
    True
    >>> majority_answer(["a", "b", None, "a", "tie"]) is None
    True
    """
    valid = [answer for answer in answers if answer is not None]
    if not valid:
        return None
    [(answer, n_votes)] = Counter(valid).most_common(1)
    return answer if 2 * n_votes > len(valid) else None


def pairwise_agreement(
    ratings: Ints,
    n_categories: int = 2,
) -> float | None:
    """The share of agreeing pairs of raters per item, averaged over items.

    `ratings` has shape (items, raters).
    """
    counts = tally_ratings(ratings, n_categories)  # shape (items, categories)
    if len(counts) == 0:
        return None
    n_ratings = counts.sum(axis=1)
    n_pairs = n_ratings * (n_ratings - 1)
    agreeing_pairs = (counts * (counts - 1)).sum(axis=1)
    shares = agreeing_pairs / n_pairs
    return float(shares.mean())


def fleiss_kappa(
    ratings: Ints,
    n_categories: int = 2,
) -> float | None:
    """Fleiss' kappa (Fleiss 1971) of ratings, shape (items, raters).

    Items may have different numbers of ratings.
    """
    observed = pairwise_agreement(ratings, n_categories)
    if observed is None:
        return None
    shares = _category_shares(ratings, n_categories)
    chance = (shares**2).sum()
    return _correct_for_chance(observed, float(chance))


def gwet_ac1(
    ratings: Ints,
    n_categories: int = 2,
) -> float | None:
    """Gwet's AC1 (Gwet 2008) of ratings, shape (items, raters).

    Chance agreement is the sum of p (1 - p) over the q categories, divided by q - 1.
    """
    observed = pairwise_agreement(ratings, n_categories)
    if observed is None:
        return None
    shares = _category_shares(ratings, n_categories)
    disagreement = (shares * (1 - shares)).sum()
    chance = disagreement / (n_categories - 1)
    return _correct_for_chance(observed, float(chance))


def cohen_kappa(
    pairs: Ints,
    n_categories: int = 2,
) -> float | None:
    """Cohen's kappa (Cohen 1960) of two raters, shape (items, 2), over the items both rated."""
    rated = pair_ratings(*pairs.T)
    n_items = len(rated)
    if n_items == 0:
        return None
    first = rated[:, 0]
    second = rated[:, 1]
    observed = (first == second).mean()
    first_shares = np.bincount(first, minlength=n_categories) / n_items
    second_shares = np.bincount(second, minlength=n_categories) / n_items
    chance = (first_shares * second_shares).sum()
    return _correct_for_chance(float(observed), float(chance))


# Counting ratings


def tally_ratings(
    ratings: Ints,
    n_categories: int = 2,
) -> Ints:
    """Counts per category, shape (items, categories), from ratings, shape (items, raters).

    Items with fewer than two ratings are left out: no pair of raters can agree on them.
    """
    columns = []
    for category in range(n_categories):
        is_given = ratings == category
        columns.append(is_given.sum(axis=1))
    counts = np.stack(columns, axis=1)
    n_ratings = counts.sum(axis=1)
    return np.asarray(counts[n_ratings >= 2], np.int64)


def pair_ratings(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
) -> Ints:
    """The ratings of the items that both raters rated, shape (items, 2)."""
    # shape (raters, items) -> (items, raters)
    columns = [
        np.asarray(first, np.int64),
        np.asarray(second, np.int64),
    ]
    pairs = np.stack(columns, axis=1)
    is_complete = (pairs != MISSING).all(axis=1)
    return np.asarray(pairs[is_complete], np.int64)


def _category_shares(
    ratings: Ints,
    n_categories: int,
) -> Floats:
    """How often each category is given, averaged over items, shape (categories,)."""
    counts = tally_ratings(ratings, n_categories)
    n_ratings = counts.sum(axis=1, keepdims=True)
    shares = counts / n_ratings
    return np.asarray(shares.mean(axis=0))


def _correct_for_chance(
    observed: float,
    chance: float,
) -> float | None:
    """(observed - chance) / (1 - chance); None where agreement by chance is certain."""
    if np.isclose(chance, 1.0):
        return None
    return (observed - chance) / (1 - chance)
