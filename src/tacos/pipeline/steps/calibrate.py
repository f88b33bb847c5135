"""The stages of `tacos calibrate`: labelled pairs, and the questions about them for a judge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.methods.judging import calibration, comparisons
from tacos.pipeline.steps.judgements import N_PAIRS_PER_BATCH
from tacos.records import LABELS, StageOutput, Tables, build_reject_frame


def parse_labelled_pairs(batch: Any, prepared: Any, settings: Settings) -> StageOutput:
    """Raw rows -> labelled pairs."""
    rows, rejects = calibration.parse_label_batch(batch)
    return StageOutput(
        table=pl.DataFrame(
            rows,
            schema=LABELS,
            orient="row",
        ),
        rejects=build_reject_frame(rejects),
        notes={},
    )


def build_calibration_questions(
    tables: Tables, settings: Settings
) -> Iterator[pl.DataFrame]:
    """Both orders of every labelled pair, from every judge."""
    # Pairs are numbered across batches, so that each has a number of its own.
    first_pair = 0
    for batch in tables["labels"].batches():
        for labels in batch.iter_slices(N_PAIRS_PER_BATCH):
            pairs, texts = calibration.build_label_pairs(labels, first_pair)
            first_pair += labels.height
            yield comparisons.list_comparison_questions(
                pairs, texts, settings.judges, settings.judge.repetitions
            )
