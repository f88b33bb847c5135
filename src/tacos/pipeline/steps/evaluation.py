"""The stages of the evaluations: questions to a judge about the answers of trained models."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from tacos.config import Settings
from tacos.methods.evaluating import duel_questions, preferences
from tacos.records import Tables

N_ANSWERS_PER_BATCH = 32
"""Questions that one part of a run holds: what a model in a folder loses when it is killed."""


def build_answer_questions(
    tables: Tables, settings: Settings
) -> Iterator[pl.DataFrame]:
    """Every question of a turn."""
    turns = tables["asked_turns"].scan().collect()
    yield from turns.iter_slices(N_ANSWERS_PER_BATCH)


def build_grade_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """Every turn to grade, as often as the settings ask for."""
    repetitions = pl.DataFrame(
        {"repetition": range(settings.mt_bench.repeat)},
        schema={"repetition": pl.UInt16},
    )
    for turns in tables["graded_turns"].batches():
        yield turns.join(repetitions, how="cross", maintain_order="left_right")


def build_duel_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """Both orders of every pair of answers."""
    for pairs in tables["answer_pairs"].batches():
        yield duel_questions.list_duel_questions(pairs)


def build_preference_questions(
    tables: Tables, settings: Settings
) -> Iterator[pl.DataFrame]:
    """Both orders of every two outputs."""
    orders = pl.DataFrame({"order": preferences.ORDERS})
    for outputs in tables["compared_outputs"].batches():
        yield outputs.join(orders, how="cross", maintain_order="left_right")
