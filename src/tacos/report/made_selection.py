"""A selection as it was made: what was asked for, the pool and scores it chose from, and the turns
in which rows were taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from tacos.config import Settings
from tacos.methods.selecting.gain_turns import (
    GainTurns,
    convert_tag_price,
    trace_turns,
)
from tacos.methods.selecting.limits import build_bounds, is_below_floor
from tacos.pipeline.steps import pool as pool_steps
from tacos.pipeline.steps.pool import NO_SCORES
from tacos.records import SCORES, Table, add_missing_columns
from tacos.report.full_limits import build_limited_pool
from tacos.report.selection_request import MadeRequest, read_request
from tacos.store.artifacts import Artifact

N_AT_ONCE = 100_000
"""Rows whose tags are held in memory together, if there are no more."""
NOT_BY_GAIN = ("must-keep", "uncompared", "fill")
"""Rules of rows that a list or the lack of others brought in."""


class TagsByRow(Mapping[str, Sequence[str]]):
    """The tags of the rows of a table: those of some ids (None: of all) are read at once, those of
    others when they are asked for.
    """

    def __init__(self, table: Table, ids: pl.Series | None) -> None:
        self._table = table
        frame = table.scan().select("id", "tags").drop_nulls()
        if ids is not None:
            frame = frame.filter(pl.col("id").is_in(ids.implode()))
        self._tags: dict[str, Sequence[str]] = dict(frame.collect().iter_rows())
        self._has_all = ids is None

    def __getitem__(self, row: str) -> Sequence[str]:
        """The tags of a row."""
        if row not in self._tags and not self._has_all:
            own = self._table.scan().filter(pl.col("id") == row).select("tags")
            self._tags[row] = own.collect()["tags"].explode().drop_nulls().to_list()
        return self._tags[row]

    def __iter__(self) -> Iterator[str]:
        """The rows."""
        ids = self._table.scan().select("id").collect()["id"]
        return iter(ids)

    def __len__(self) -> int:
        """How many rows there are."""
        return pool_steps.count_rows(self._table)


@dataclass(frozen=True)
class MadeSelection:
    """The selection of a run; each part is read when first needed, then kept."""

    artifacts: Mapping[str, Artifact]
    settings: Settings

    @cached_property
    def request(self) -> MadeRequest:
        """What was asked for."""
        return read_request(self.artifacts, self.settings)

    @cached_property
    def table(self) -> pl.DataFrame:
        """The selected rows, a table SELECTION."""
        return self.artifacts["selection"].scan().collect()

    @cached_property
    def keep(self) -> list[str]:
        """The ids on the must-keep list."""
        samples = self.artifacts["samples"].scan()
        return pool_steps.resolve_ids(samples, self.settings.select.keep, "must-keep")

    @cached_property
    def exclude(self) -> list[str]:
        """The ids on the exclude list."""
        samples = self.artifacts["samples"].scan()
        return pool_steps.resolve_ids(samples, self.settings.select.exclude, "exclude")

    @cached_property
    def scores(self) -> pl.DataFrame:
        """id, cluster, score, correctness: what the selection went by; a row without it is left
        out.
        """
        if self.request.by == "grade":
            means = pool_steps.average_grade_table(
                self.artifacts["grades"],
                self.settings.judge.target,
            )
            homes = pl.concat(pool_steps.iterate_homes(self.artifacts, self.settings))
            scored = means.rename({"grade": "score"}).drop_nulls("score")
            return scored.join(homes, on="id", how="left")
        newest = pool_steps.find_newest_scores(self.artifacts)
        if newest is None:
            return add_missing_columns(NO_SCORES, SCORES)
        columns = ("id", "cluster", "score", "correctness")
        scores = add_missing_columns(self.artifacts[newest].scan(), SCORES)
        return scores.select(columns).drop_nulls("score").collect()

    @cached_property
    def pool(self) -> pl.DataFrame:
        """The rows that could be chosen."""
        return build_limited_pool(
            self.artifacts,
            self.scores,
            self.request.limits,
            self.keep,
            self.exclude,
        )

    @cached_property
    def ranked(self) -> pl.DataFrame:
        """The scores of these rows."""
        chosen_from = self.scores
        if self.exclude:
            chosen_from = chosen_from.filter(~pl.col("id").is_in(self.exclude))
        floor = self.request.limits.min_correctness
        if not floor:
            return chosen_from
        is_kept = pl.col("id").is_in(self.keep)
        return chosen_from.filter(is_kept | ~is_below_floor(floor))

    def _read_ranked_scores(self) -> pl.Series:
        """The scores alone, without the ids, which take most memory."""
        newest = pool_steps.find_newest_scores(self.artifacts)
        is_part = bool(self.exclude) or self.request.limits.min_correctness > 0
        if is_part or self.request.by == "grade" or newest is None:
            return self.ranked["score"]
        scores = self.artifacts[newest].scan().select("score").drop_nulls()
        return scores.collect()["score"]

    @cached_property
    def first_served(self) -> frozenset[str]:
        """The ids of rows with a tag of an exact quota, which are taken before all others."""
        limits = self.request.limits
        if all(part.at_most for part in limits.per_tag.values()):
            return frozenset()
        first: set[str] = set()
        for bound in build_bounds(self.pool, self.table.height, limits):
            if bound.first is not None:
                is_first = pl.Series(bound.groups == bound.first)
                first.update(self.pool["id"].filter(is_first))
        return frozenset(first)

    @property
    def takes_by_sum(self) -> bool:
        """Whether rows were taken by the sum of score and new tags, in an order of its own."""
        notes = self.artifacts["selection"].manifest["notes"]
        return bool(notes.get("tag_price", self.settings.select.tag_price))

    def describe_rank(self, row: str) -> str:
        """The rank of a selected row; those of another selection are the order taken."""
        rank = self._ranks[row]
        n = self.table.height
        if self.request.is_reselected:
            return f"row {rank:,} of {n:,} in the order taken"
        return f"rank {rank:,} of {n:,} by score"

    @cached_property
    def cluster_of(self) -> dict[str, int | None]:
        """Selected row -> the cluster that it was taken of."""
        return dict(self.table.select("id", "cluster").iter_rows())

    @cached_property
    def _ranks(self) -> dict[str, int]:
        """Selected row -> its rank."""
        return dict(self.table.select("id", "rank").iter_rows())

    @cached_property
    def turns(self) -> GainTurns | None:
        """The turns of the strategy tacos; None where a run of an earlier version does not say how
        it weighed scores and tags, and where no row was taken by its score.
        """
        # It may have risen above what is set, to cover as many tags as random rows.
        notes = self.artifacts["selection"].manifest["notes"]
        tag_price = notes.get("tag_price", self.settings.select.tag_price)
        reliability = self.request.reliability
        if reliability is None:
            # Runs of versions before 0.3 weighed scores and tags in another way.
            if tag_price:
                return None
            reliability = 1.0
        by_gain = self.table.filter(~pl.col("rule").is_in(NOT_BY_GAIN))
        by_gain = by_gain.drop_nulls("score")
        if by_gain.is_empty():
            return None
        must_keep = self.table.filter(pl.col("rule") == "must-keep")
        return trace_turns(
            self._list_steps(by_gain),
            must_keep["id"].to_list(),
            self._tags if tag_price else {},
            convert_tag_price(self._read_ranked_scores(), reliability, tag_price),
            is_ordered=self.request.is_reselected,
        )

    def _list_steps(self, by_gain: pl.DataFrame) -> list[dict[str, float]]:
        """The rows taken in each step (id -> score)."""
        if self.request.is_reselected:
            # Its ranks are the order taken.
            in_order = by_gain.sort("rank").select("id", "score")
            return [dict(in_order.iter_rows())]
        steps: dict[tuple[bool, bool], dict[str, float]] = {}
        for entry in by_gain.sort("rank").to_dicts():
            is_late = entry["id"] not in self.first_served
            is_rest = entry["rule"] == "remainder"
            step = steps.setdefault((is_late, is_rest), {})
            step[entry["id"]] = entry["score"]
        return [steps[key] for key in sorted(steps)]

    @cached_property
    def _tags(self) -> TagsByRow:
        """The tags of each row; those of selected rows are read at once."""
        table = self.artifacts["canonical_tags"]
        n_rows = table.manifest["n_rows"]
        ids = None if n_rows <= N_AT_ONCE else self.table["id"]
        return TagsByRow(table, ids)
