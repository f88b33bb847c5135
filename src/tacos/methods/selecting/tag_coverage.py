"""Take rows of high quality that together cover many tags, within a quota of each cluster or none:

    maximise   sum of qualities of the rows taken + price x number of distinct tags that they carry

`price` is how many points of quality one more covered tag is worth (`objective`). Taking the row
with the largest gain (its quality, and `price` for each of its tags that no row taken has) is the
greedy algorithm for a submodular function: it reaches at least 1 - 1/e of the best possible for a
number of rows, and half under a partition matroid such as quotas, if no quality is negative
(Nemhauser, Wolsey and Fisher 1978).

The rows stand in the order of their quality, and each has a count of the tags that nobody has
covered yet (`GainOrder`). Of the rows with the same count the first one has the largest gain, so
there are only as many rows to compare as there are counts; a tag that is covered lowers the counts
of its carriers. A row takes some 40 bytes, and none becomes an object before it is taken.

What it does not know: how common a tag is, or that two tags are much alike (`mig` does).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.methods.selecting import row_tags
from tacos.methods.selecting.row_tags import N_AT_ONCE, RowTags, number_tags

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[Any]
Numbers = npt.NDArray[np.uint32]
Row = tuple[str, int, float]
"""Id, cluster and quality; a sample may stand in several clusters."""

BLOCK = 1_024
"""Rows that are looked through at first for the next one with a count."""


class GainRows(NamedTuple):
    """Rows to take from, column by column, shape (places,).

    `samples` is the number of each row's sample; a sample may stand in several clusters. `tags` are
    those of the samples, by their number.
    """

    samples: npt.NDArray[Any]
    clusters: npt.NDArray[Any]
    quality: Floats
    tags: RowTags


@dataclass(frozen=True)
class GainOrder:
    """Rows by quality, the best first, of equal ones the earlier: `order` has the place of each,
    shape (places,) (None: they stand in this order), `n_tags` its number of tags; `carriers` are,
    tag by tag, the rows with it, by their number in this order.
    """

    rows: GainRows
    order: Numbers | None
    n_tags: Counts
    carriers: RowTags
    is_unique: bool
    """Whether no sample stands in two clusters."""

    def find_place(self, number: int) -> int:
        """The place of a row, by its number in this order."""
        return number if self.order is None else int(self.order[number])

    def arrange(self, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A column of `rows` in this order, shape (places,)."""
        if self.order is None:
            return column
        return row_tags.gather_values(column, self.order)


class Gate(Protocol):
    """Limits that samples are asked about before they are taken; a refusal is for good."""

    def admits(self, sample: int) -> bool: ...
    def take(self, sample: int) -> None: ...


def take_covering(
    rows: Sequence[Row],
    n: int,
    room: Mapping[int, int] | None,
    tags: Mapping[str, Collection[str]],
    price: float,
    start: Collection[str] = (),
) -> list[int]:
    """The places of at most n rows, in the order taken; no id twice, and none of `start`.

    `room` is how many rows each cluster may give (None: no limit); `tags` has the tags of each id;
    those of the ids `start` count as covered. Of equal gains the earlier row is taken.

    >>> rows = [("a", 0, 9.0), ("b", 0, 8.0), ("c", 0, 7.0)]
    >>> take_covering(rows, 2, None, {"a": ["x"], "b": ["x"], "c": ["y"]}, price=2.0)
    [0, 2]
    """
    ids = list(dict.fromkeys([*start, *(id_ for id_, _, _ in rows)]))
    number = {id_: place for place, id_ in enumerate(ids)}
    own_tags = [list(tags.get(id_, ())) for id_ in ids]
    columns = GainRows(
        np.array([number[id_] for id_, _, _ in rows], np.int64),
        np.array([cluster for _, cluster, _ in rows], np.int64),
        np.array([quality for _, _, quality in rows], np.float64),
        number_tags(pl.Series("tags", own_tags, pl.List(pl.String))),
    )
    return take_rows(order_rows(columns), n, room, price, range(len(set(start))))


def order_rows(rows: GainRows) -> GainOrder:
    """What any number of selections from these rows share."""
    order = _order_by_quality(rows.quality)
    n_tags = _narrow_counts(rows.tags.count_tags())
    in_order = rows.samples
    if order is not None:
        in_order = row_tags.gather_values(in_order, order)
    return GainOrder(
        rows,
        order,
        row_tags.gather_values(n_tags, in_order),
        rows.tags.list_carriers(in_order),
        is_unique=_count_distinct(rows.samples, rows.tags.n_rows) == len(in_order),
    )


def _narrow_counts(counts: npt.NDArray[Any]) -> Counts:
    """Numbers of tags in one byte each, or two; the largest that fits marks rows that are gone."""
    dtype = np.uint8 if counts.max(initial=0) < np.iinfo(np.uint8).max else np.uint16
    narrow: Counts = np.minimum(counts, np.iinfo(dtype).max - 1, out=counts).astype(
        dtype
    )
    return narrow


def _count_distinct(samples: npt.NDArray[Any], n_samples: int) -> int:
    """How many different samples there are, of so many."""
    has_place = np.zeros(n_samples, np.bool_)
    for first in range(0, len(samples), N_AT_ONCE):
        has_place[samples[first : first + N_AT_ONCE]] = True
    return int(has_place.sum())


def _order_by_quality(quality: Floats) -> Numbers | None:
    """The places of rows, the best first, of equal ones the earlier, shape (rows,); None where they
    stand in this order, as rows do that were ranked by score.
    """
    if (quality[1:] <= quality[:-1]).all():
        return None
    return np.argsort(-quality, kind="stable").astype(np.uint32)


def take_rows(
    ordered: GainOrder,
    n: int,
    room: Mapping[int, int] | None,
    price: float,
    start: Collection[int] = (),
    gate: Gate | None = None,
) -> list[int]:
    """The same of columns; `start` are numbers of samples.

    The `gate` is asked about a sample just before it would be taken, so the tags of rows that
    limits leave out are still to be covered.
    """
    rows = ordered.rows
    n_left = None if room is None else Counter(room)
    waiting = _Waiting(ordered, price)
    if len(start):
        waiting.remove_rows(np.isin(ordered.arrange(rows.samples), list(start)))
    for sample in start:
        waiting.cover(rows.tags.of(sample))
    if n_left is not None:
        is_open = [cluster for cluster, n_rows in n_left.items() if n_rows > 0]
        waiting.remove_rows(~np.isin(ordered.arrange(rows.clusters), is_open))

    taken: list[int] = []
    while len(taken) < n:
        place = waiting.find_best()
        if place is None:
            break
        sample = int(rows.samples[place])
        waiting.remove_best()
        if gate is not None:
            if not gate.admits(sample):
                continue
            gate.take(sample)
        taken.append(place)
        waiting.cover(rows.tags.of(sample))
        if n_left is not None:
            cluster = int(rows.clusters[place])
            n_left[cluster] -= 1
            if n_left[cluster] == 0:
                waiting.remove_rows(ordered.arrange(rows.clusters) == cluster)
    return taken


class _Waiting:
    """The rows that can still be taken, with the number of their tags that are not covered."""

    def __init__(self, ordered: GainOrder, price: float) -> None:
        self._ordered = ordered
        self._price = price
        quality = ordered.rows.quality
        self._best_quality = (
            float(quality[ordered.find_place(0)]) if len(quality) else 0.0
        )
        # Where tags are worth nothing, all rows have the same count.
        n_new = ordered.n_tags if price else np.zeros_like(ordered.n_tags)
        self._n_new = n_new.copy()
        self._gone = np.iinfo(n_new.dtype).max
        """In place of the count of a row that cannot be taken any more."""
        self._is_covered = np.zeros(ordered.rows.tags.n_tags, np.bool_)
        n_most = int(n_new.max(initial=0))
        self._first = [0] * (n_most + 1)
        """Count -> a number in the order that no row with this count comes before."""
        self._last = 0

    def find_best(self) -> int | None:
        """The place of the row with the largest gain, of equal ones the earlier; None without."""
        quality = self._ordered.rows.quality
        n_rows = len(quality)
        best = (np.inf, n_rows)
        for count in range(len(self._first) - 1, -1, -1):
            # The first of all has the best quality.
            if n_rows and best[0] < -(self._best_quality + self._price * count):
                break
            number = _find_count(self._n_new, count, self._first[count])
            self._first[count] = number
            if number == n_rows:
                continue
            place = self._ordered.find_place(number)
            gain = float(quality[place]) + self._price * count
            if (-gain, place) < best:
                best = (-gain, place)
                self._last = number
        return best[1] if best[1] < n_rows else None

    def remove_best(self) -> None:
        """Take out the sample whose row `find_best` has found."""
        if self._ordered.is_unique:
            self._n_new[self._last] = self._gone
            return
        samples = self._ordered.arrange(self._ordered.rows.samples)
        self.remove_rows(samples == samples[self._last])

    def remove_rows(self, flags: npt.NDArray[np.bool_]) -> None:
        """Take rows out, by their number in the order."""
        self._n_new[flags] = self._gone

    def cover(self, tags: Numbers) -> None:
        """Lower the counts of the rows with these tags, unless they are covered already."""
        if not self._price:
            return
        for tag in tags[~self._is_covered[tags]]:
            self._is_covered[tag] = True
            carriers = self._ordered.carriers.of(int(tag))
            # In slices: a tag may be one of millions of rows.
            for first in range(0, len(carriers), N_AT_ONCE):
                self._lower_counts(carriers[first : first + N_AT_ONCE])

    def _lower_counts(self, carriers: Numbers) -> None:
        """One new tag less for these rows, by their numbers in order."""
        counts = self._n_new[carriers]
        is_waiting = counts != self._gone
        carriers = carriers[is_waiting]
        counts = counts[is_waiting] - 1
        self._n_new[carriers] = counts
        for count in np.unique(counts).tolist():
            first = int(carriers[np.argmax(counts == count)])
            self._first[count] = min(self._first[count], first)


def _find_count(counts: Counts, count: int, start: int) -> int:
    """The first place from `start` on with this count; the number of places where there is none."""
    # Most often the place found last time, which one look tells.
    if start < len(counts) and counts[start] == count:
        return start
    size = BLOCK
    while start < len(counts):
        is_found = counts[start : start + size] == count
        if is_found.any():
            return start + int(is_found.argmax())
        start += size
        size *= 2
    return len(counts)
