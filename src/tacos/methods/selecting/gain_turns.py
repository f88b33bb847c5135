"""Follow a selection by gain turn by turn: what each row added when it was taken, and what another
row would have added then.

A greedy selection takes the row with the largest gain, its expected quality plus the price of its
new tags (`objective`, `tag_coverage`). Quality is a straight line of the score, so a gain can be
told in points of the score: the score, plus so many points for each tag that no row taken before
has. The rows that were taken are taken again in the same order by the same rule.

What it does not know: limits. A row that adds more than the one taken was passed by for a limit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import polars as pl

from tacos.methods.selecting.objective import build_objective
from tacos.methods.selecting.tag_coverage import take_covering

Tags = Mapping[str, Collection[str]]
ROUNDING = 1e-9
"""Points of the score that are no difference."""


class RowGain(NamedTuple):
    """What a row adds to the rows before it.

    `worth` is that of its `new_tags`, in points of the score; None where scores count for nothing
    and rows are taken by their new tags alone.
    """

    id: str
    score: float
    new_tags: tuple[str, ...]
    worth: float | None

    @property
    def total(self) -> float:
        """Score and new tags together; the number of new tags where scores count for nothing."""
        if self.worth is None:
            return float(len(self.new_tags))
        return self.score + self.worth


@dataclass(frozen=True)
class GainTurns:
    """The rows of a selection in the order taken, after the rows `start`, which were in already.

    `points_per_tag` is what a new tag is worth; see `convert_tag_price`.
    """

    turns: Sequence[RowGain]
    start: Collection[str]
    tags: Tags
    points_per_tag: float | None

    def find(self, id_: str) -> int | None:
        """The place of a row among the turns, from 0; None if it was not taken by gain."""
        return self._places.get(id_)

    @cached_property
    def _places(self) -> dict[str, int]:
        """Row -> its turn."""
        return {gain.id: turn for turn, gain in enumerate(self.turns)}

    def follow(self, id_: str, score: float) -> list[RowGain]:
        """What a row that was not taken would have added, at each turn."""
        own_tags = set(self.tags.get(id_, ())) - _collect_tags(self.start, self.tags)
        gains = []
        for taken in self.turns:
            gain = _measure_gain(id_, score, own_tags, self.points_per_tag)
            gains.append(gain)
            own_tags = own_tags.difference(self.tags.get(taken.id, ()))
        return gains


def trace_turns(
    steps: Sequence[Mapping[str, float]],
    start: Collection[str],
    tags: Tags,
    points_per_tag: float | None,
    *,
    is_ordered: bool = False,
) -> GainTurns:
    """Take the rows of a selection again, step by step.

    `steps` are the rows taken in each step (id -> score), the better of equal gains first; where
    the steps are in the order taken already (`is_ordered`), that order holds.

    >>> steps = [{"a": 9.0, "b": 8.5, "c": 8.0}]
    >>> tags = {"a": ["x"], "b": ["x"], "c": ["y"]}
    >>> [(gain.id, gain.total) for gain in trace_turns(steps, [], tags, 2.0).turns]
    [('a', 11.0), ('c', 10.0), ('b', 8.5)]
    """
    turns: list[RowGain] = []
    taken = list(start)
    covered = _collect_tags(start, tags)
    for step in steps:
        ordered = list(step)
        if not is_ordered:
            ordered = list(_order_step(step, taken, tags, points_per_tag))
        for id_ in ordered:
            new_tags = set(tags.get(id_, ())) - covered
            turns.append(_measure_gain(id_, step[id_], new_tags, points_per_tag))
            covered |= new_tags
        taken += ordered
    return GainTurns(turns, start, tags, points_per_tag)


def convert_tag_price(
    scores: pl.Series,
    reliability: float,
    tag_price: float,
) -> float | None:
    """Points of the score that one new tag is worth; None where scores count for nothing.

    `scores` are those of all rows that the selection ranked; `reliability` and `tag_price` are
    those of the selection.
    """
    if not tag_price:
        return 0.0
    values = scores.to_numpy()
    quality, price = build_objective(values, reliability, tag_price)
    highest = int(values.argmax())
    lowest = int(values.argmin())
    points = float(quality[highest] - quality[lowest])
    if points <= 0:
        return None
    return price * float(values[highest] - values[lowest]) / points


def _order_step(
    step: Mapping[str, float],
    taken: Collection[str],
    tags: Tags,
    points_per_tag: float | None,
) -> Iterator[str]:
    """The ids of a step in the order in which they were taken."""
    counts = points_per_tag is not None
    ids = list(step)
    rows = [(id_, 0, step[id_] if counts else 0.0) for id_ in ids]
    price = 1.0 if points_per_tag is None else points_per_tag
    for place in take_covering(rows, len(rows), None, tags, price, taken):
        yield ids[place]


def _measure_gain(
    id_: str,
    score: float,
    new_tags: Collection[str],
    points_per_tag: float | None,
) -> RowGain:
    """The gain of a row with these new tags."""
    worth = None
    if points_per_tag is not None:
        worth = points_per_tag * len(new_tags)
    return RowGain(id_, score, tuple(sorted(new_tags)), worth)


def _collect_tags(ids: Collection[str], tags: Tags) -> set[str]:
    """The distinct tags of rows."""
    found: set[str] = set()
    for id_ in ids:
        found.update(tags.get(id_, ()))
    return found
