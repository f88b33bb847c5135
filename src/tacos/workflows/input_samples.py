"""The samples of an input that no run has read yet, and how many questions a run will ask about
them.
"""

from __future__ import annotations

from contextlib import closing

import polars as pl

from tacos.config import Settings
from tacos.engines.local import LocalEngine
from tacos.methods.measures import request_counts
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


def count_run_questions(
    samples: Artifact,
    settings: Settings,
    old_tags: Table | None = None,
) -> dict[str, int]:
    """Stage -> the most questions that a run over the samples asks. Rows that an extended run has
    tagged (`old_tags`, by content hash) are not tagged again.
    """
    settings = resolve_judging(settings)
    is_user_turn = pl.col("turns").explode().struct.field("role").eq("user")
    asked = samples.scan()
    if old_tags is not None:
        tagged = old_tags.scan().select(content_hash="id")
        asked = asked.join(tagged, on="content_hash", how="anti")
    n_turns = asked.select(is_user_turn.sum()).collect().item()
    n_selected = pool.count_requested_rows(samples, settings.select.size)
    return request_counts.count_questions(
        settings,
        samples.manifest["n_rows"],
        int(n_turns or 0),
        n_selected,
    )
