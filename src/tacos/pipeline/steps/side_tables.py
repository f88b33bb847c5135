"""What the stages of the two side pipelines do with their tables: refining a selection, calibrating
a judge.

As in `tacos.pipeline.steps.tables`, every function reads named tables, hands columns to a pure
method, and returns what its stage makes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.methods.judging import calibration, comparisons, refinement
from tacos.methods.tags import association_rules, tag_checks
from tacos.pipeline.steps.pool import Tables
from tacos.pipeline.steps.tables import N_PAIRS_PER_BATCH
from tacos.records import LABELS, StageOutput, Table, build_reject_frame


def read_selected_rows(tables: Tables) -> Iterator[pl.DataFrame]:
    """The selected samples, batch by batch, in the order of the input."""
    chosen = tables["selection"].scan().select("id").collect()
    for samples in tables["samples"].batches(["id", "content_hash", "instruction", "raw"]):
        yield samples.join(chosen, on="id", how="semi", maintain_order="left")


def extract_excerpts(batch: pl.DataFrame, prepared: Any, settings: Settings) -> StageOutput:
    """Selected samples -> the texts to rewrite."""
    return StageOutput(
        *refinement.build_excerpts(batch, settings.ingest, settings.refine.max_chars), {}
    )


def build_response_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """One question per excerpt."""
    yield from tables["excerpts"].batches()


def _join_new_responses(tables: Tables, batch: pl.DataFrame) -> pl.DataFrame:
    """Excerpts that have a new response, with it."""
    found = (
        tables["responses"]
        .scan()
        .select("id", "response")
        .filter(pl.col("id").is_in(batch["id"].implode()))
    )
    return batch.join(
        found.rename({"response": "new_response"}).collect(), on="id", maintain_order="left"
    )


def build_instruction_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """One question per excerpt with a new response."""
    for batch in tables["excerpts"].batches():
        yield _join_new_responses(tables, batch)


def read_proposals(tables: Tables) -> Iterator[pl.DataFrame]:
    """Excerpts with the new texts; where instructions are not rewritten, the old one stands for the
    new.
    """
    for batch in tables["excerpts"].batches():
        found = _join_new_responses(tables, batch)
        if "instructions" not in tables:
            yield found.with_columns(
                pl.col("instruction").str.strip_chars().alias("new_instruction")
            )
            continue
        reworded = (
            tables["instructions"].scan().select("id", new_instruction="instruction").collect()
        )
        yield found.join(reworded, on="id", maintain_order="left")


def rebuild_rows(batch: pl.DataFrame, prepared: Any, settings: Settings) -> StageOutput:
    """New texts -> rows with these texts in their place."""
    return StageOutput(*refinement.rebuild_candidates(batch, settings.ingest), {})


def build_confirm_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """Every changed row against its original, in both orders, from every judge."""
    candidates, originals = (tables[name].scan().collect() for name in ("candidates", "excerpts"))
    asked = refinement.list_confirmations(
        candidates, originals, settings.judges, settings.judge.repetitions
    )
    yield from asked.iter_slices(2 * N_PAIRS_PER_BATCH)


def parse_labelled_pairs(batch: Any, prepared: Any, settings: Settings) -> StageOutput:
    """Raw rows -> labelled pairs."""
    rows, rejects = calibration.parse_label_batch(batch)
    return StageOutput(
        pl.DataFrame(rows, schema=LABELS, orient="row"), build_reject_frame(rejects), {}
    )


def build_calibration_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """Both orders of every labelled pair, from every judge."""
    first = 0
    for batch in tables["labels"].batches():
        for labels in batch.iter_slices(N_PAIRS_PER_BATCH):
            pairs, texts = calibration.build_label_pairs(labels, first)
            first += labels.height
            yield comparisons.list_comparison_questions(
                pairs, texts, settings.judges, settings.judge.repetitions
            )


def draw_cases(tables: Tables, settings: Settings, tool: Any, number: int) -> StageOutput:
    """Canonical tags -> cases to judge."""
    tags = tables["canonical_tags"].scan().select("id", "tags").collect()
    names = tags["tags"].explode().drop_nulls().unique().sort().to_list()
    codes = {name: code for code, name in enumerate(names)}
    x = association_rules.build_tag_matrix(tags, codes, len(names))
    return StageOutput(
        tag_checks.draw_check_cases(x, tags["id"].to_list(), names, settings.check, settings.seed),
        build_reject_frame(),
        {},
    )


def _build_case_questions(tables: Tables, task: str) -> Iterator[pl.DataFrame]:
    """One question per case of a task."""
    cases = tables["cases"].scan().collect()
    yield from tag_checks.build_check_questions(
        cases, read_case_texts(tables["samples"], cases), task
    ).iter_slices(N_PAIRS_PER_BATCH)


def read_case_texts(samples: Table, cases: pl.DataFrame) -> dict[str, str]:
    """The instruction of each sample that a case shows."""
    shown = cases["ids"].explode().unique()
    found = (
        samples.scan()
        .select("id", "instruction")
        .filter(pl.col("id").is_in(shown.implode()))
        .collect()
    )
    return dict(found.iter_rows())


def build_precision_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """Is the tag right?"""
    yield from _build_case_questions(tables, tag_checks.PRECISION)


def build_consistency_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """Does the tag mean the same everywhere?"""
    yield from _build_case_questions(tables, tag_checks.CONSISTENCY)
