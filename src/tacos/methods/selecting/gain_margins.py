"""Measure how near a row came to a selection by gain: its score, and the worth of its new tags.

A greedy selection takes the row with the largest gain, its expected quality plus the price of its
new tags (`objective`, `tag_coverage`). Quality is a straight line of the score, so a gain can be
told in points of the score: the score, plus so many points for each tag that no other row selected
has. The last row taken is the one with the least gain beside all others.

What it does not know: limits. A row that a quota passed by may have more than the last row taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import NamedTuple

import polars as pl

from tacos.methods.selecting.objective import build_objective

Tags = Mapping[str, Collection[str]]


class RowGain(NamedTuple):
    """What a row adds to a selection.

    `worth` is that of its `n_new_tags`, in points of the score; None where scores count for nothing
    and rows are taken by their new tags alone.
    """

    id: str
    score: float
    n_new_tags: int
    worth: float | None

    @property
    def total(self) -> float:
        """Score and new tags together; the number of new tags where scores count for nothing."""
        if self.worth is None:
            return float(self.n_new_tags)
        return self.score + self.worth


class GainMargin(NamedTuple):
    """The gain of a row that was not selected (`own`), and of each of its rivals by id."""

    own: RowGain
    rivals: dict[str, RowGain]

    def find_last(self, among: Collection[str] | None = None) -> RowGain | None:
        """The rival with the least gain, of all or of those `among` them; None without any."""
        gains = [
            gain for id_, gain in self.rivals.items() if among is None or id_ in among
        ]
        return min(
            gains,
            key=lambda gain: (gain.total, gain.score, gain.id),
            default=None,
        )


def measure_margin(
    scores: pl.DataFrame,
    row: str,
    rivals: Collection[str],
    selected: Collection[str],
    tags: Tags,
    reliability: float,
    tag_price: float,
) -> GainMargin | None:
    """The gain of a row that was not selected beside those of its rivals.

    `scores` has `id` and `score`, of all rows that the selection ranked; of several scores of a row
    the best counts. `rivals` are the rows `selected` that were taken by their gain, none of them
    must-keep. `reliability` and `tag_price` are those of the selection. None if the row or all
    rivals have no score.

    >>> scores = pl.DataFrame({"id": ["a", "b", "c"], "score": [90.0, 80.0, 10.0]})
    >>> found = measure_margin(scores, "c", ["a", "b"], ["a", "b"], {}, 1.0, 0.0)
    >>> found.own.total, found.find_last().id
    (10.0, 'b')
    """
    scored = scores.drop_nulls("score")
    best = scored.group_by("id").agg(pl.col("score").max())
    score_of = dict(best.iter_rows())
    scored_rivals = sorted(set(rivals) & set(score_of))
    if row not in score_of or not scored_rivals:
        return None
    points_per_tag = _convert_tag_price(scored, reliability, tag_price)
    n_carriers = Counter(tag for id_ in selected for tag in set(tags.get(id_, ())))

    def measure(id_: str, n_own: int) -> RowGain:
        """The gain of a row that is counted `n_own` times among the carriers of its tags."""
        own_tags = set(tags.get(id_, ()))
        n_new = sum(n_carriers[tag] == n_own for tag in own_tags)
        worth = None
        if points_per_tag is not None:
            worth = points_per_tag * n_new
        return RowGain(id_, score_of[id_], n_new, worth)

    gains = {id_: measure(id_, n_own=1) for id_ in scored_rivals}
    return GainMargin(measure(row, n_own=0), gains)


def _convert_tag_price(
    scores: pl.DataFrame,
    reliability: float,
    tag_price: float,
) -> float | None:
    """Points of the score that one new tag is worth; None where scores count for nothing."""
    if not tag_price:
        return 0.0
    values = scores["score"].to_numpy()
    quality, price = build_objective(values, reliability, tag_price)
    highest = int(values.argmax())
    lowest = int(values.argmin())
    points = float(quality[highest] - quality[lowest])
    if points <= 0:
        return None
    return price * float(values[highest] - values[lowest]) / points
