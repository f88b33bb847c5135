"""Take rows by one objective, expected quality plus the price of new tags, within all limits.

Rows are taken greedily (`tag_coverage`). Every limit is asked before a row is taken: the quotas of
clusters, and a gate for those of sources and tags, lengths, conversations and near-duplicates. Rows
of groups that must be served first (exact quotas of tags) come before all others. Where the rows
cover fewer tags than as many random ones, a tag's price rises (`coverage_floor`).

What it does not know: that a row left out for a limit might have been worth more than the limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl

from tacos.methods.measures.tag_measures import count_expected_kinds
from tacos.methods.selecting import coverage_floor
from tacos.methods.selecting.objective import Objective, build_objective
from tacos.methods.selecting.preference_walk import Admission
from tacos.methods.selecting.tag_coverage import (
    Row,
    take_covering,
)


class Pick(NamedTuple):
    """A selected row, in the order of the columns of SELECTION after the rank."""

    id: str
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


class PoolTags(NamedTuple):
    """The rows with each tag, shape (tags,), among `n_rows` rows of a pool."""

    n_carriers: Sequence[int]
    n_rows: int


@dataclass
class LimitGate:
    """The limits of a selection, by id: all that are `asked`, or the `spare` ones, without those
    that give way, once too few rows are left.
    """

    row_of: Mapping[str, int]
    asked: Admission
    spare: Admission | None = None
    has_given_way: bool = False
    n_asked: int = 0
    """Rows that were asked about, whatever the answer."""

    @property
    def admission(self) -> Admission:
        """The limits that hold now."""
        if self.has_given_way and self.spare is not None:
            return self.spare
        return self.asked

    def admits(
        self,
        id_: str,
    ) -> bool:
        """Whether every limit has room for a row."""
        self.n_asked += 1
        return self.admission.admits(self.row_of[id_])

    def take(
        self,
        id_: str,
    ) -> None:
        """Count a row in every limit."""
        row = self.row_of[id_]
        self.asked.take(row)
        if self.spare is not None:
            self.spare.take(row)

    def foresee(
        self,
        ids: Iterable[str],
    ) -> None:
        """Say which rows will probably be asked about."""
        if self.asked.duplicates is not None:
            self.asked.duplicates.foresee(self.row_of[id_] for id_ in ids)

    def give_way(self) -> bool:
        """Drop the limits that give way; false if there are none."""
        self.has_given_way = self.spare is not None
        return self.has_given_way


class GainTask(NamedTuple):
    """What is selected from: the judged rows `ranked` (id, cluster, score), the better of equal
    gains first, each with its `tags`; `pool_tags` are those of the whole pool, which random rows
    come from. `first` are the ids of groups that are served first, `unjudged` ids and clusters of
    rows that may come in where judged ones are too few. `objective` has the quality of each row of
    `ranked` where these are not all the judged rows, which decide what a score is worth.
    """

    ranked: pl.DataFrame
    tags: Mapping[str, Collection[str]]
    reliability: float
    tag_price: float
    steps: Sequence[Step]
    pool_tags: PoolTags | None = None
    first: frozenset[str] = frozenset()
    unjudged: Sequence[tuple[str, int | None]] = ()
    build_gate: Callable[[], LimitGate] | None = None
    objective: Objective | None = None


@dataclass
class GainPicks:
    """Rows taken by gain: `picks` in their order, after those that were in already, and the price
    of a tag that they were taken at.
    """

    picks: dict[str, Pick]
    tag_price: float
    gate: LimitGate | None = None
    n_given_way: int = 0
    """Rows that limits would have left out, taken since there were no others."""


def pick_by_gain(
    picks: Mapping[str, Pick],
    n: int,
    task: GainTask,
) -> GainPicks:
    """Up to n rows: those of `picks`, then the rows with the largest gains."""
    taker = _GainTaker.of_task(task)
    goal = 0.0
    if task.pool_tags is not None and taker.tag_price > 0:
        n_carriers, n_rows = task.pool_tags
        (goal,) = count_expected_kinds(
            np.asarray(n_carriers, np.int64),
            n_rows,
            np.array([n]),
        ).tolist()

    # Without limits first, which is fast: they change little of what a price covers.
    step = coverage_floor.find_step(
        lambda step: taker.count_tags(taker.take_steps(picks, n, step)),
        goal,
    )
    taken = taker.take_steps(picks, n, step)
    if task.build_gate is None:
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
    picks: Mapping[str, Pick],
    n: int,
    task: GainTask,
    gate: LimitGate,
) -> dict[str, Pick]:
    """Up to n rows: those of `picks`, then unjudged ones in their order that the limits allow."""
    picked = dict(picks)
    for id_, cluster in task.unjudged:
        if len(picked) >= n:
            break
        if id_ in picked or not gate.admits(id_):
            continue
        gate.take(id_)
        picked[id_] = Pick(id_, cluster, None, "fill")
    return picked


@dataclass(frozen=True)
class _GainTaker:
    """The judged rows with the quality to expect of each."""

    task: GainTask
    rows: Sequence[Row]
    scores: Mapping[tuple[str, int], float]
    tag_price: float
    """What a new tag is worth beside these qualities."""

    @classmethod
    def of_task(
        cls,
        task: GainTask,
    ) -> _GainTaker:
        """The rows of a task, the better of equal gains first."""
        score = task.ranked["score"].to_numpy()
        objective = task.objective
        if objective is None:
            objective = build_objective(score, task.reliability, task.tag_price)
        quality, tag_price = objective
        ids = task.ranked["id"].to_list()
        clusters = task.ranked["cluster"].to_list()
        rows = list(zip(ids, clusters, quality.tolist(), strict=True))
        places = zip(ids, clusters, strict=True)
        scores = dict(zip(places, score.tolist(), strict=True))
        return cls(task, rows, scores, tag_price)

    def take_steps(
        self,
        picks: Mapping[str, Pick],
        n: int,
        price_step: int,
        gate: LimitGate | None = None,
    ) -> dict[str, Pick]:
        """The rows of all steps; those that are in already are counted in the limits."""
        if gate is not None:
            for id_ in picks:
                gate.take(id_)
        taken = dict(picks)
        for step in self.task.steps:
            taken = self.take_step(taken, n, step, price_step, gate)
        return taken

    def take_step(
        self,
        picks: Mapping[str, Pick],
        n: int,
        step: Step,
        price_step: int,
        gate: LimitGate | None = None,
    ) -> dict[str, Pick]:
        """The rows of one step, after those that are in."""
        rows = self.rows
        if step.is_first:
            rows = [row for row in rows if row[0] in self.task.first]
        room = step.room
        if room is not None:
            n_in = Counter(pick.cluster for pick in picks.values())
            room = {cluster: most - n_in[cluster] for cluster, most in room.items()}
        places = take_covering(
            rows,
            n - len(picks),
            room,
            self.task.tags,
            self.tag_price * coverage_floor.scale_price(price_step),
            picks,
            gate,
        )
        taken = dict(picks)
        for place in places:
            id_, cluster, _ = rows[place]
            score = self.scores[id_, cluster]
            taken[id_] = Pick(id_, cluster, score, step.rule)
        return taken

    def count_tags(
        self,
        picks: Iterable[str],
    ) -> int:
        """The number of distinct tags of rows."""
        covered: set[str] = set()
        for id_ in picks:
            covered.update(self.task.tags.get(id_, ()))
        return len(covered)
