"""Weigh what a selection is worth: the quality to expect of its rows, and the tags they cover.

A judge's reliability r is the share of the variance of reference grades that its score explains on
rows that the judge has not seen, r = corr(score, grade) ** 2. The grade to expect of a row whose
score lies z standard deviations above the mean is (linear regression; Kelley 1927)

    E[grade | score] = mean grade + sqrt(r) x SPREAD x z

and an objective in points of these grades is

    sum over the rows taken of E[grade | score]  +  (1 - r) x price x number of distinct tags

With r = 0 the score says nothing, and only tags count. With r = 1 it says everything, and rows are
taken by score. In between, a weak judge leaves more to diversity: at a price of 1.5, one more tag
is worth 0.28 standard deviations of the score for r = 0.1, 0.09 for 0.4 and 0.02 for 0.8. Scores
count by z, so that their own scale does not matter.

After a shortlist z is taken over the shortlisted rows, which are those that the judge has scored.
Their scores spread less than those of all rows would, so a given difference counts for more points:
the scores of a shortlist weigh more against tags than those of a whole pool. A reliability falls
with the spread in the same way (restriction of range: what a judge explains of rows that are all
good is less), but the cards measure it on whole sources, and what the rows left out would have got
is not known, so nothing is corrected. The price of a tag rises where that costs coverage
(`coverage_floor`).

What it does not know: whether the judge is as reliable on this data as where it was measured.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

Floats = npt.NDArray[np.float64]

SPREAD = 15.0
"""The standard deviation of reference grades (1 to 100) within a data set, in points: 12 to 23 on
the eight sources of `benchmarks/bench_selection.py`."""


class Objective(NamedTuple):
    """What is maximised: the sum of `quality`, and `tag_price` for each distinct tag.

    `quality` has shape (rows,): the expected grade less the mean grade, in points.
    """

    quality: Floats
    tag_price: float


def build_objective(
    score: npt.ArrayLike,
    reliability: float,
    tag_price: float,
) -> Objective:
    """The objective for rows with these scores, shape (rows,), none of them missing.

    >>> build_objective([10, 30], reliability=1.0, tag_price=3.0)
    Objective(quality=array([-15.,  15.]), tag_price=0.0)
    >>> build_objective([10, 30], reliability=0.0, tag_price=3.0)
    Objective(quality=array([0., 0.]), tag_price=3.0)
    """
    scores = np.asarray(score, np.float64)
    mean = float(scores.mean()) if len(scores) else 0.0
    spread = float(scores.std()) if len(scores) else 0.0
    # Scores that are all the same, but for rounding, say nothing about any row.
    farthest = max(scores.max(initial=0.0), -scores.min(initial=0.0))
    smallest = 1e-9 * float(farthest)
    is_flat = spread <= smallest
    points_per_score = 0.0 if is_flat else SPREAD * math.sqrt(reliability) / spread
    # In place: there may be millions of rows.
    quality = scores - mean
    quality *= points_per_score
    quality += 0.0  # no row is worth -0.0 points
    return Objective(quality, (1.0 - reliability) * tag_price)


def expect_gain(reliability: float, share: float) -> float:
    """How many points the best `share` of rows by score are expected to lie above random rows.

    Scores and grades are taken to be jointly normal: sqrt(r) x SPREAD x phi(t) / share, with t the
    standard normal quantile that `share` lies above. Whole pools gain nothing.

    >>> round(expect_gain(reliability=1.0, share=0.2), 1)
    21.0
    >>> round(expect_gain(reliability=0.25, share=0.2), 1)
    10.5
    """
    if not 0 < share < 1:
        return 0.0
    cut = ndtri(share)
    density = math.exp(-(cut**2) / 2) / math.sqrt(2 * math.pi)
    mean_deviation = density / share
    return math.sqrt(reliability) * SPREAD * mean_deviation
