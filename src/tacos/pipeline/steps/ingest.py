"""The stage ingest: raw rows -> samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tacos.config import Settings
from tacos.methods.samples import sample_parsing
from tacos.pipeline.steps.pool import Tables
from tacos.records import StageOutput, build_reject_frame


def read_input_rows(tables: Tables) -> Iterator[Any]:
    """Batches of raw rows, as `tacos.formats.reading` yields them."""
    yield from tables["input"].batches()


def ingest_batch(batch: Any, prepared: Any, settings: Settings) -> StageOutput:
    """Raw rows -> samples, row by row."""
    samples, rejects = sample_parsing.parse_sample_batch(batch, settings.ingest)
    return StageOutput(
        table=sample_parsing.samples_to_frame(samples),
        rejects=build_reject_frame(rejects),
        notes={},
        original=batch.original,
    )
