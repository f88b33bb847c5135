"""The stages of `tacos check-tags`: cases drawn from a run's tags, and the questions about them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.methods.tags import association_rules, tag_checks
from tacos.records import StageOutput, Table, Tables

N_CASES_PER_BATCH = 1_000


def draw_cases(
    tables: Tables, settings: Settings, tool: Any, number: int
) -> StageOutput:
    """Canonical tags -> cases to judge."""
    tags = tables["canonical_tags"].scan().select("id", "tags").collect()
    distinct = tags["tags"].explode().drop_nulls().unique().sort()
    names = distinct.to_list()
    codes = {name: code for code, name in enumerate(names)}
    matrix = association_rules.build_tag_matrix(
        tags, codes, len(names)
    )  # (samples, tags)
    cases = tag_checks.draw_check_cases(
        matrix,
        tags["id"].to_list(),
        names,
        settings.check,
        settings.seed,
    )
    return StageOutput.without_rejects(cases)


def build_precision_questions(
    tables: Tables, settings: Settings
) -> Iterator[pl.DataFrame]:
    """Does the tag fit the instruction? One question per case."""
    yield from _build_case_questions(tables, tag_checks.PRECISION)


def build_consistency_questions(
    tables: Tables, settings: Settings
) -> Iterator[pl.DataFrame]:
    """Does the tag mean the same in all these instructions? One question per case."""
    yield from _build_case_questions(tables, tag_checks.CONSISTENCY)


def read_case_texts(samples: Table, cases: pl.DataFrame) -> dict[str, str]:
    """Sample id -> instruction, for every sample that a case shows."""
    shown_ids = cases["ids"].explode().unique()
    texts = samples.scan().select("id", "instruction")
    shown = texts.filter(pl.col("id").is_in(shown_ids.implode())).collect()
    return dict(shown.iter_rows())


def _build_case_questions(tables: Tables, task: str) -> Iterator[pl.DataFrame]:
    """The questions of one task, batch by batch."""
    cases = tables["cases"].scan().collect()
    texts = read_case_texts(tables["samples"], cases)
    questions = tag_checks.build_check_questions(cases, texts, task)
    yield from questions.iter_slices(N_CASES_PER_BATCH)
