"""What a judge gives points for beside quality, as far as a second judge tells it: length, sources,
topics.

The score of a row is regressed (ordinary least squares) on the grade that a second judge gave it,
the logarithm of its length, and whether it is of a source or a topic. The coefficient of length, or
of the group, is then what the first judge gives for it to rows that are alike to the second one.
Errors are robust to unequal variance (HC1: White 1980; MacKinnon and White 1985).

What it does not know: whether rows differ there in a quality that the second judge does not see.
Then the first judge is right, and this is no fault of it. A taste that both judges share does not
show, as it is in both numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]

FEWEST = 50
"""Rows of a source, and of all others, below which nothing is told of it."""
FEWEST_OF_TOPIC = 10
"""Rated rows of a topic, below which nothing is told of it."""
TAIL = 1.96
"""Standard errors from the middle of a 95% interval to its ends."""


class Taste(NamedTuple):
    """Points of the judge's own scale with their 95% interval; `n` rows tell it."""

    points: float
    low: float
    high: float
    n: int

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def measure_length_taste(
    scores: npt.ArrayLike,
    grades: npt.ArrayLike,
    lengths: npt.ArrayLike,
    sources: Sequence[str],
) -> Taste | None:
    """Points that a response twice as long gets more, at the same grade and of the same source; all
    of shape (rows,). None for fewer than `FEWEST` rows.
    """
    names = sorted(set(sources))
    # One source is what the others are compared with.
    dummies = [_flag(sources, name) for name in names[1:]]
    columns = [_count_doublings(lengths), np.asarray(grades, np.float64), *dummies]
    return _fit_first(columns, np.asarray(scores, np.float64))


def measure_source_taste(
    scores: npt.ArrayLike,
    grades: npt.ArrayLike,
    lengths: npt.ArrayLike,
    sources: Sequence[str],
    source: str,
) -> Taste | None:
    """Points that rows of a source get more than all others, at the same grade and length. None
    where one of the two groups has fewer than `FEWEST` rows.
    """
    is_own = _flag(sources, source)
    if min(is_own.sum(), len(is_own) - is_own.sum()) < FEWEST:
        return None
    columns = [is_own, np.asarray(grades, np.float64), _count_doublings(lengths)]
    return _fit_first(columns, np.asarray(scores, np.float64))


def find_topic_tastes(
    scores: npt.ArrayLike,
    grades: npt.ArrayLike,
    lengths: npt.ArrayLike,
    topics: Mapping[str, Collection[int]],
) -> dict[str, Taste]:
    """Topics whose rows get more or fewer points than all others for certain, at the same grade and
    length; `topics` has the places of each one's rows. A taste's `n` is the rows of its topic.

    So many topics are looked at that some would stand out by chance: the intervals hold for all of
    them at once (Bonferroni), with Student's t for topics of few rows.
    """
    values = np.asarray(scores, np.float64)
    beside = [np.asarray(grades, np.float64), _count_doublings(lengths)]
    told = {
        topic: places
        for topic, places in topics.items()
        if FEWEST_OF_TOPIC <= len(places) <= len(values) - FEWEST_OF_TOPIC
    }
    tastes = {}
    for topic, places in told.items():
        is_own = np.zeros(len(values))
        is_own[list(places)] = 1.0
        tail = float(special.stdtrit(len(places) - 1, 1 - 0.025 / len(told)))
        taste = _fit_first([is_own, *beside], values, tail)
        if taste is not None and taste.is_shown:
            tastes[topic] = taste._replace(n=len(places))
    return tastes


def _flag(sources: Sequence[str], name: str) -> Floats:
    """1 for rows of a source, 0 for others."""
    return np.array([source == name for source in sources], np.float64)


def _count_doublings(lengths: npt.ArrayLike) -> Floats:
    """The logarithm of lengths to base 2; an empty response counts as one character."""
    return np.log2(np.maximum(np.asarray(lengths, np.float64), 1.0))


def _fit_first(
    columns: Sequence[Floats],
    scores: Floats,
    tail: float = TAIL,
) -> Taste | None:
    """The coefficient of the first column, beside the others and a constant; `tail` standard errors
    on each side.
    """
    n = len(scores)
    design = np.column_stack([*columns, np.ones(n)])
    if n < FEWEST or np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    inverse = np.linalg.inv(design.T @ design)
    weights = inverse @ (design.T @ scores)
    rest = scores - design @ weights
    # HC1: each row's own squared rest, and the degrees of freedom that the fit takes.
    middle = design.T @ (design * (rest**2)[:, None])
    correction = n / (n - design.shape[1])
    variance = float((inverse @ middle @ inverse)[0, 0]) * correction
    half = tail * float(np.sqrt(variance))
    points = float(weights[0])
    return Taste(points, points - half, points + half, n)
