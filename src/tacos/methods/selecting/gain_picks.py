"""Take rows by one objective, expected quality plus the price of new tags, within all limits.

Rows are taken greedily (`tag_coverage`). Every limit is asked before a row is taken: the quotas of
clusters, and a gate for those of sources and tags, lengths, conversations and near-duplicates. Rows
of groups that must be served first (exact quotas of tags) come before all others. Where the rows
cover fewer tags than as many random ones, a tag's price rises (`coverage_floor`).

What it does not know: that a row left out for a limit might have been worth more than the limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.methods.measures.tag_measures import count_expected_kinds
from tacos.methods.selecting import coverage_floor, tag_coverage
from tacos.methods.selecting.objective import build_objective
from tacos.methods.selecting.preference_walk import Admission
from tacos.methods.selecting.row_tags import RowTags, gather_values
from tacos.methods.selecting.tag_coverage import GainOrder, GainRows, order_rows

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint32]


RowId = Any
"""A text, or a number where a pool has numbers for ids (`tacos.pipeline.steps.row_codes`)."""


class Pick(NamedTuple):
    """A selected row, in the order of the columns of SELECTION after the rank."""

    id: RowId
    cluster: int | None
    score: float | None
    rule: str


class Step(NamedTuple):
    """Rows that are taken one after another under the same rule.

    `room` is how many rows each cluster may give, those taken before included (None: no limit).
    With `is_first`, only rows of groups that are served first are looked at.
    """

    rule: str
    room: Mapping[int, int] | None
    is_first: bool = False


@dataclass
class LimitGate:
    """The limits of a selection, by the row of the pool: all that are `asked`, or the `spare` ones,
    without those that give way, once too few rows are left.
    """

    asked: Admission
    spare: Admission | None = None
    has_given_way: bool = False

    @property
    def admission(self) -> Admission:
        """The limits that hold now."""
        if self.has_given_way and self.spare is not None:
            return self.spare
        return self.asked

    def admits(
        self,
        row: int,
    ) -> bool:
        """Whether every limit has room for a row."""
        return self.admission.admits(row)

    def take(
        self,
        row: int,
    ) -> None:
        """Count a row in every limit."""
        self.asked.take(row)
        if self.spare is not None:
            self.spare.take(row)

    def foresee(
        self,
        rows: Iterable[int],
    ) -> None:
        """Say which rows will probably be asked about."""
        if self.asked.duplicates is not None:
            self.asked.duplicates.foresee(rows)

    def give_way(self) -> bool:
        """Drop the limits that give way; false if there are none."""
        self.has_given_way = self.spare is not None
        return self.has_given_way


class GainTask(NamedTuple):
    """What is selected from.

    `ids` and `tags` are those of a pool, by the number of the row; `judged` are its judged rows
    (row, cluster, score; without row where each row of the pool is judged), and `order` the place
    of each among them, the better of equal gains first. `covers_pool`: the rows taken are to cover
    as many tags as random rows of this pool. `is_first` flags the rows of groups that are served
    first, `unjudged` are rows, with their clusters, that may come in where judged ones are too few.
    """

    ids: pl.Series
    tags: RowTags
    judged: pl.DataFrame
    order: Numbers
    reliability: float
    tag_price: float
    steps: Sequence[Step]
    covers_pool: bool = False
    is_first: Bools | None = None
    unjudged: Sequence[tuple[int, int | None]] = ()
    build_gate: Callable[[], LimitGate] | None = None


@dataclass
class GainPicks:
    """Rows taken by gain: `picks` by row of the pool in their order, after those that were in
    already, and the price of a tag that they were taken at.
    """

    picks: dict[int, Pick]
    tag_price: float
    gate: LimitGate | None = None
    n_given_way: int = 0
    """Rows that limits would have left out, taken since there were no others."""


def pick_by_gain(
    picks: Mapping[int, Pick],
    n: int,
    task: GainTask,
) -> GainPicks:
    """Up to n rows: those of `picks`, then the rows with the largest gains."""
    taker = _GainTaker.of_task(task)
    goal = 0.0
    if task.covers_pool and taker.tag_price > 0:
        n_carriers = np.sort(task.tags.count_carriers())
        (goal,) = count_expected_kinds(
            n_carriers,
            task.tags.n_rows,
            np.array([n]),
        ).tolist()

    # Without limits first, which is fast: they change little of what a price covers.
    step = coverage_floor.find_step(
        lambda step: taker.count_tags(taker.take_steps(picks, n, step)),
        goal,
    )
    if task.build_gate is None:
        taken = taker.take_steps(picks, n, step)
        return GainPicks(taken, task.tag_price * coverage_floor.scale_price(step))

    gate = task.build_gate()
    # Some are passed by, and others come in.
    expected = list(taker.take_steps(picks, n + n // 4, step))
    gate.foresee(expected)
    taken = taker.take_steps(picks, n, step, gate)
    while taker.count_tags(taken) < goal and step < coverage_floor.N_STEPS:
        step += 1
        gate = task.build_gate()
        gate.foresee(expected)
        taken = taker.take_steps(picks, n, step, gate)
    taken = add_unjudged_rows(taken, n, task, gate)
    done = GainPicks(taken, task.tag_price * coverage_floor.scale_price(step), gate)
    if len(taken) < n and gate.give_way():
        rest = Step("remainder", None)
        judged = taker.take_step(taken, n, rest, step, gate)
        done.picks = add_unjudged_rows(judged, n, task, gate)
        done.n_given_way = len(done.picks) - len(taken)
    return done


def add_unjudged_rows(
    picks: Mapping[int, Pick],
    n: int,
    task: GainTask,
    gate: LimitGate,
) -> dict[int, Pick]:
    """Up to n rows: those of `picks`, then unjudged ones in their order that the limits allow."""
    picked = dict(picks)
    for row, cluster in task.unjudged:
        if len(picked) >= n:
            break
        if row in picked or not gate.admits(row):
            continue
        gate.take(row)
        picked[row] = Pick(task.ids[row], cluster, None, "fill")
    return picked


@dataclass(frozen=True)
class _GainTaker:
    """The judged rows with the quality to expect of each."""

    task: GainTask
    ordered: GainOrder
    first_served: tuple[GainOrder, Ints] | None
    """The rows that are served first, with their numbers among all."""
    tag_price: float
    """What a new tag is worth beside these qualities."""

    @classmethod
    def of_task(
        cls,
        task: GainTask,
    ) -> _GainTaker:
        """The rows of a task, the better of equal gains first."""
        quality, tag_price = build_objective(
            gather_values(task.judged["score"].to_numpy(), task.order),
            task.reliability,
            task.tag_price,
        )
        rows = GainRows(
            _find_rows(task, task.order),
            _find_clusters(task),
            quality,
            task.tags,
        )
        first_served = None
        if task.is_first is not None:
            chosen = np.flatnonzero(task.is_first[rows.samples])
            some = GainRows(
                rows.samples[chosen],
                rows.clusters[chosen],
                quality[chosen],
                task.tags,
            )
            first_served = (order_rows(some), chosen)
        return cls(task, order_rows(rows), first_served, tag_price)

    def take_steps(
        self,
        picks: Mapping[int, Pick],
        n: int,
        price_step: int,
        gate: LimitGate | None = None,
    ) -> dict[int, Pick]:
        """The rows of all steps; those that are in already are counted in the limits."""
        if gate is not None:
            for row in picks:
                gate.take(row)
        taken = dict(picks)
        for step in self.task.steps:
            taken = self.take_step(taken, n, step, price_step, gate)
        return taken

    def take_step(
        self,
        picks: Mapping[int, Pick],
        n: int,
        step: Step,
        price_step: int,
        gate: LimitGate | None = None,
    ) -> dict[int, Pick]:
        """The rows of one step, after those that are in."""
        ordered = self.ordered
        number_of = None
        if step.is_first and self.first_served is not None:
            ordered, number_of = self.first_served
        room = step.room
        if room is not None:
            n_in = Counter(pick.cluster for pick in picks.values())
            room = {cluster: most - n_in[cluster] for cluster, most in room.items()}
        places = tag_coverage.take_rows(
            ordered,
            n - len(picks),
            room,
            self.tag_price * coverage_floor.scale_price(price_step),
            picks,
            gate,
        )
        if number_of is not None:
            places = number_of[places].tolist()
        taken = dict(picks)
        judged_places = self.task.order[places]
        rows = _find_rows(self.task, judged_places)
        ids = self.task.ids.gather(rows).to_list()
        chosen = self.task.judged[judged_places].select("cluster", "score").rows()
        columns = zip(ids, rows.tolist(), chosen, strict=True)
        for id_, row, (cluster, score) in columns:
            taken[row] = Pick(id_, cluster, score, step.rule)
        return taken

    def count_tags(
        self,
        picks: Iterable[int],
    ) -> int:
        """The number of distinct tags of rows."""
        is_covered = np.zeros(self.task.tags.n_tags, np.bool_)
        for row in picks:
            is_covered[self.task.tags.of(row)] = True
        return int(is_covered.sum())


def _find_rows(task: GainTask, places: Numbers) -> Numbers:
    """The rows of the pool at places among the judged ones, shape (places,)."""
    if "row" not in task.judged.columns:
        return places
    return gather_values(task.judged["row"].to_numpy(), places)


def _find_clusters(task: GainTask) -> npt.NDArray[Any]:
    """The clusters of the judged rows in their order, shape (rows,): all the same one where no
    cluster has a limit.
    """
    if all(step.room is None for step in task.steps):
        # One number, whatever the shape
        return np.broadcast_to(np.int32(0), task.order.shape)
    clusters = task.judged["cluster"]
    if clusters.null_count():
        # Rows in no cluster count in one of their own.
        clusters = clusters.cast(pl.Int32).fill_null(-1)
    return gather_values(clusters.to_numpy(), task.order)
