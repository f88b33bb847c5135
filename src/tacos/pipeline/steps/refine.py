"""The stages of `tacos refine`: excerpts of the selection, rewritten texts, candidate rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.methods.judging import refinement
from tacos.pipeline.steps.judgements import N_PAIRS_PER_BATCH
from tacos.records import StageOutput, Tables


def read_selected_rows(tables: Tables) -> Iterator[pl.DataFrame]:
    """The selected samples, batch by batch, in the order of the input."""
    selected = tables["selection"].scan().select("id").collect()
    for samples in tables["samples"].batches(
        ["id", "content_hash", "instruction", "raw"]
    ):
        yield samples.join(
            selected,
            on="id",
            how="semi",
            maintain_order="left",
        )


def extract_excerpts(
    batch: pl.DataFrame, prepared: Any, settings: Settings
) -> StageOutput:
    """Selected samples -> the texts to rewrite."""
    excerpts, rejects = refinement.build_excerpts(
        batch, settings.ingest, settings.refine.max_chars
    )
    return StageOutput(excerpts, rejects, notes={})


def build_response_questions(
    tables: Tables, settings: Settings
) -> Iterator[pl.DataFrame]:
    """One question per excerpt."""
    yield from tables["excerpts"].batches()


def build_instruction_questions(
    tables: Tables, settings: Settings
) -> Iterator[pl.DataFrame]:
    """One question per excerpt, with its new response (null where there is none)."""
    for excerpts in tables["excerpts"].batches():
        yield _join_new_responses(tables, excerpts)


def read_proposals(tables: Tables) -> Iterator[pl.DataFrame]:
    """Excerpts with the new texts, batch by batch.

    Where instructions are not rewritten, the old one stands in for the new.
    """
    for excerpts in tables["excerpts"].batches():
        rewritten = _join_new_responses(tables, excerpts)
        # The table is there only where `refine.instructions` is on.
        if "instructions" in tables:
            reworded = (
                tables["instructions"]
                .scan()
                .select("id", new_instruction="instruction")
            )
            yield rewritten.join(
                reworded.collect(),
                on="id",
                maintain_order="left",
            )
        else:
            unchanged = pl.col("instruction").str.strip_chars()
            yield rewritten.with_columns(unchanged.alias("new_instruction"))


def rebuild_rows(batch: pl.DataFrame, prepared: Any, settings: Settings) -> StageOutput:
    """New texts -> the selected rows with these texts in place of the old."""
    candidates, rejects = refinement.rebuild_candidates(batch, settings.ingest)
    return StageOutput(
        candidates,
        rejects,
        notes={},
    )


def build_confirm_questions(
    tables: Tables, settings: Settings
) -> Iterator[pl.DataFrame]:
    """Every changed row against its original, in both orders, from every judge."""
    candidates = tables["candidates"].scan().collect()
    originals = tables["excerpts"].scan().collect()
    questions = refinement.list_confirmations(
        candidates,
        originals,
        settings.judges,
        settings.judge.repetitions,
    )
    # Each pair is two questions, one per order.
    yield from questions.iter_slices(2 * N_PAIRS_PER_BATCH)


def _join_new_responses(tables: Tables, excerpts: pl.DataFrame) -> pl.DataFrame:
    """Excerpts that have a new response, with it as `new_response`."""
    responses = (
        tables["responses"]
        .scan()
        .filter(pl.col("id").is_in(excerpts["id"].implode()))
        .select("id", new_response="response")
        .collect()
    )
    return excerpts.join(
        responses,
        on="id",
        maintain_order="left",
    )
