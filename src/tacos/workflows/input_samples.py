"""The samples of an input that no run has read yet, and how many questions a run will ask about
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import polars as pl

from tacos.config import Settings
from tacos.engines.local import LocalEngine
from tacos.methods.judging.known_answers import GRADE_KEY
from tacos.methods.measures import request_counts
from tacos.methods.measures.request_counts import NOTHING_KNOWN, KnownRows
from tacos.pipeline.conditions import uses_tag_matching
from tacos.pipeline.judging_mode import resolve_judging
from tacos.pipeline.run_loop import Source, StageModels, run_plan
from tacos.pipeline.steps import pool
from tacos.records import Table
from tacos.store.artifacts import Artifact, Store
from tacos.workflows.silent_progress import SilentProgress


def read_samples(
    source: Source,
    settings: Settings,
    store: Store,
) -> Artifact:
    """Read a source into the samples of a store; reading needs no model."""
    no_models = StageModels({}, {})
    with closing(LocalEngine(1)) as engine:
        outcome = run_plan(
            source,
            settings,
            store,
            engine,
            no_models,
            SilentProgress(),
            until="ingest",
        )
    return outcome.artifacts["samples"]


@dataclass(frozen=True)
class NewSamples:
    """The samples that no extended run has (`records.Table`)."""

    samples: Artifact
    known: pl.DataFrame
    """content_hash of each sample that one has."""

    def scan(self) -> pl.LazyFrame:
        """All rows."""
        return self._leave_out(self.samples.scan())

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Part by part; only `columns`, if given."""
        for batch in self.samples.batches():
            new = self._leave_out(batch.lazy()).collect()
            yield new.select(columns) if columns else new

    def _leave_out(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.join(
            self.known.lazy(),
            on="content_hash",
            how="anti",
            maintain_order="left",
        )


def list_known_samples(old_tables: Mapping[str, Table]) -> pl.DataFrame:
    """content_hash of every sample of the extended runs."""
    if "old_samples" not in old_tables:
        return pl.DataFrame(schema={"content_hash": pl.String})
    hashes = old_tables["old_samples"].scan().select(content_hash="id")
    return hashes.unique().collect()


def count_run_questions(
    samples: Artifact,
    settings: Settings,
    old_tables: Mapping[str, Table] | None = None,
) -> dict[str, int]:
    """Stage -> the most questions that a run over the samples asks, what the runs that it extends
    have asked left out (`old_tables`: `tacos.pipeline.old_tables`).
    """
    settings = resolve_judging(settings)
    old_tables = old_tables or {}
    is_user_turn = pl.col("turns").explode().struct.field("role").eq("user")
    asked = samples.scan()
    if "old_tags" in old_tables:
        tagged = old_tables["old_tags"].scan().select(content_hash="id")
        asked = asked.join(tagged, on="content_hash", how="anti")
    n_turns = asked.select(is_user_turn.sum()).collect().item()
    n_selected = pool.count_requested_rows(samples, settings.select.size)
    questions = request_counts.count_questions(
        settings,
        samples.manifest["n_rows"],
        int(n_turns or 0),
        n_selected,
        _count_known_rows(samples, settings, old_tables),
    )
    if not uses_tag_matching(settings):
        questions.pop("match", None)
    return questions


def _count_known_rows(
    samples: Artifact,
    settings: Settings,
    old_tables: Mapping[str, Table],
) -> KnownRows:
    """What the extended runs know of the samples."""
    if "old_samples" not in old_tables:
        return NOTHING_KNOWN
    known = samples.scan().join(
        list_known_samples(old_tables).lazy(),
        on="content_hash",
        how="semi",
    )
    n_grades = 0
    if "old_grades" in old_tables:
        grades = old_tables["old_grades"].scan().rename({"id": "content_hash"})
        key = ["content_hash" if name == "id" else name for name in GRADE_KEY]
        distinct = grades.unique(key).join(known, on="content_hash", how="semi")
        n_grades = distinct.select(pl.len()).collect().item()
    n_clusters = None
    if "old_clusters" in old_tables:
        numbers = old_tables["old_clusters"].scan().select(pl.col("cluster").n_unique())
        n_clusters = numbers.collect().item()
    return KnownRows(
        known.select(pl.len()).collect().item(),
        n_grades,
        is_compared="old_pairs" in old_tables,
        n_runs=len(settings.extend.runs),
        n_clusters=n_clusters,
    )
