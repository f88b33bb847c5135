"""All rows of a run in narrow columns, the rejected ones among them, for finding and sorting.

A row has a position: samples in the order of the input, then the rows that did not become samples.
Texts stay in the run's files (`tacos.workflows.row_texts`), so that a million rows need about
150 MB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import polars as pl

from tacos.config import Settings
from tacos.pipeline.steps import pool as pool_steps
from tacos.records import GRADES, SCORES, add_missing_columns
from tacos.report.judge_words import FAULTS
from tacos.store.artifacts import Artifact

Artifacts = Mapping[str, Artifact]
State = Literal["selected", "not selected", "rejected"]

ONE_FAULT = r"([a-z][a-z -]*) \(\d+%\)"
"""A fault with its probability, as the embedded judge names it."""
POSITION = "position"
LABEL = "label"


@dataclass(frozen=True)
class Labels:
    """What rows are marked with, several marks to a row: their tags, clusters or faults."""

    table: pl.DataFrame
    """position, label: one row per mark, in the order of the positions."""

    @cached_property
    def counts(self) -> pl.DataFrame:
        """label, len: the rows of each label, most first."""
        counted = self.table.group_by(LABEL).len()
        return counted.sort("len", LABEL, descending=[True, False])

    def find(self, label: str | int) -> pl.Series:
        """The positions of the rows with a label."""
        return self.table.filter(pl.col(LABEL) == label)[POSITION]

    def read(self, positions: Sequence[int]) -> dict[int, list[str | int]]:
        """The labels of some rows; rows without any are left out."""
        marked = self.table.filter(pl.col(POSITION).is_in(positions))
        grouped = marked.group_by(POSITION, maintain_order=True).agg(LABEL)
        return dict(grouped.iter_rows())


@dataclass(frozen=True)
class RowTable:
    """The rows of a run."""

    rows: pl.DataFrame
    """position, id, source, length, cluster (home; null: none), score, value, correctness, rank
    (null: not selected), state, reason (why a rule left it out; null: none did).
    """
    tags: Labels
    clusters: Labels
    faults: Labels
    topics: Mapping[int, str]
    """Cluster -> its name."""

    def find_position(self, row: str) -> int | None:
        """The position of a row by its id; None if there is none."""
        found = self.rows.filter(pl.col("id") == row)[POSITION]
        return None if found.is_empty() else int(found[0])

    def find_positions(self, ids: Sequence[str]) -> list[int]:
        """The positions of rows that there are, in the order of their ids."""
        listed = pl.DataFrame({"id": ids}, schema={"id": pl.String})
        found = self.rows.filter(pl.col("id").is_in(ids)).select("id", POSITION)
        placed = listed.join(found, on="id", how="inner", maintain_order="left")
        return placed[POSITION].to_list()


def build_row_table(artifacts: Artifacts, settings: Settings) -> RowTable:
    """Read the narrow columns of a run, of whatever stages it has finished."""
    ids = _list_rows(artifacts["samples"])
    places = ids.select("id", POSITION)
    rows = (
        ids.join(_read_scores(artifacts), on="id", how="left")
        .join(_read_ranks(artifacts), on="id", how="left")
        .join(_read_reasons(artifacts), on="id", how="left")
        .join(_read_homes(artifacts), on="id", how="left")
        # A join promises no order.
        .sort(POSITION)
    )
    reason = pl.coalesce("reject", "reason").alias("reason")
    rows = rows.with_columns(reason, _tell_state()).drop("reject")
    return RowTable(
        rows,
        Labels(_mark_tags(artifacts, places)),
        Labels(_mark_clusters(artifacts, settings, places)),
        Labels(_mark_faults(artifacts, places)),
        _name_topics(artifacts),
    )


def list_states() -> tuple[State, ...]:
    """What may have become of a row."""
    return get_args(State)


# Columns


def _list_rows(samples: Artifact) -> pl.DataFrame:
    """position, id, source, length, and `reject`: why a row did not become a sample."""
    kept = samples.scan().select("id", "source", "length").collect()
    source = pl.col("id").str.replace(r"(?s):\d+$", "")
    rejected = samples.rejects().select("id", source.alias("source"), reject="reason")
    rows = pl.concat([kept, rejected], how="diagonal")
    return rows.with_row_index(POSITION).with_columns(
        pl.col("source", "reject").cast(pl.Categorical)
    )


def _tell_state() -> pl.Expr:
    """What became of a row."""
    selected, not_selected, rejected = list_states()
    state = (
        pl.when(pl.col("reject").is_not_null())
        .then(pl.lit(rejected))
        .when(pl.col("rank").is_not_null())
        .then(pl.lit(selected))
        .otherwise(pl.lit(not_selected))
    )
    return state.cast(pl.Enum(list_states())).alias("state")


def _read_scores(artifacts: Artifacts) -> pl.DataFrame:
    """id, score, value, correctness: the best score of each sample."""
    newest = pool_steps.find_newest_scores(artifacts)
    if newest is None:
        return pl.DataFrame(schema=SCORES).select("id", "score", "value", "correctness")
    scores = artifacts[newest].scan().collect()
    return pool_steps.take_best_scores(scores)


def _read_ranks(artifacts: Artifacts) -> pl.DataFrame:
    """id, rank: the selected rows."""
    if "selection" not in artifacts:
        return pl.DataFrame(schema={"id": pl.String, "rank": pl.UInt32})
    return artifacts["selection"].scan().select("id", "rank").collect()


def _read_reasons(artifacts: Artifacts) -> pl.DataFrame:
    """id, reason: the last rule that left a sample out, or the stage that failed on it."""
    parts = [pl.DataFrame(schema={"id": pl.String, "reason": pl.String})]
    for name, artifact in artifacts.items():
        if name == "samples":
            continue
        # Such a row may be selected all the same, without what was asked.
        missing = pl.format("{} missing ({})", pl.lit(name), "reason")
        reason = pl.when("failure").then(missing).otherwise("reason").alias("reason")
        parts.append(artifact.rejects().select("id", reason))
    reasons = pl.concat(parts).unique("id", keep="last", maintain_order=True)
    return reasons.with_columns(pl.col("reason").cast(pl.Categorical))


def _read_homes(artifacts: Artifacts) -> pl.DataFrame:
    """id, cluster: the home cluster of each sample."""
    if "memberships" not in artifacts:
        return pl.DataFrame(schema={"id": pl.String, "cluster": pl.UInt32})
    homes = artifacts["memberships"].scan()
    return homes.select("id", cluster="home").collect()


# Labels


def _mark_tags(artifacts: Artifacts, places: pl.DataFrame) -> pl.DataFrame:
    """position, label: the canonical tags of each sample."""
    if "canonical_tags" not in artifacts:
        return _mark_nothing(pl.Categorical())
    tags = artifacts["canonical_tags"].scan()
    named = tags.select("id", pl.col("tags").alias(LABEL))
    exploded = named.explode(LABEL).drop_nulls()
    labels = exploded.with_columns(pl.col(LABEL).cast(pl.Categorical))
    return _place(labels.collect(), places)


def _mark_clusters(
    artifacts: Artifacts,
    settings: Settings,
    places: pl.DataFrame,
) -> pl.DataFrame:
    """position, label: every cluster of each sample."""
    if "memberships" not in artifacts:
        return _mark_nothing(pl.UInt32())
    members = pool_steps.read_memberships(artifacts, settings)
    return _place(members.select("id", pl.col("cluster").alias(LABEL)), places)


def _mark_faults(artifacts: Artifacts, places: pl.DataFrame) -> pl.DataFrame:
    """position, label: the faults that the embedded judge thinks likely, by its last reading."""
    reasons = [pl.DataFrame(schema={"id": pl.String, "reason": pl.String})]
    for name in ("close_grades", "grades"):
        if name in artifacts:
            grades = add_missing_columns(artifacts[name].scan(), GRADES)
            reasons.append(grades.select("id", "reason").collect())
    # The close reading comes first, and counts where there is one.
    told = pl.concat(reasons).unique("id", keep="first", maintain_order=True)
    is_list = pl.col("reason").str.contains(f"^(?:{FAULTS.pattern})$")
    faults = told.filter(is_list).select(
        "id",
        pl.col("reason").str.extract_all(ONE_FAULT).alias(LABEL),
    )
    names = faults.explode(LABEL).with_columns(
        pl.col(LABEL).str.replace(r" \(\d+%\)$", "").cast(pl.Categorical)
    )
    return _place(names, places)


def _place(marks: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    """position, label, in order, of id and label."""
    placed = marks.join(places, on="id", how="inner")
    return placed.select(POSITION, LABEL).sort(POSITION, maintain_order=True)


def _mark_nothing(dtype: pl.DataType) -> pl.DataFrame:
    """No marks."""
    return pl.DataFrame(schema={POSITION: pl.UInt32, LABEL: dtype})


def _name_topics(artifacts: Artifacts) -> dict[int, str]:
    """Cluster -> its name."""
    if "clusters" not in artifacts:
        return {}
    # A cluster of tags has a row per tag.
    names = artifacts["clusters"].scan().select("cluster", "name").unique()
    return dict(names.collect().sort("cluster").iter_rows())
