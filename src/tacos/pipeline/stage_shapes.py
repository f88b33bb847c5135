"""The three shapes of a stage: row by row, question by question, or a whole table.

A stage is a pure function from tables to a table. `reads` names artifacts, and inside the rounds:

    pairs/before     those of all earlier rounds        pairs/now      those of this round
    verdicts/all     those of all rounds so far         scores/last    the newest ones

`uses` names the settings that are part of the stage key: all others can change without re-running
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.engines.base import Where
from tacos.pipeline import conditions
from tacos.pipeline.batch_work import Row, asks_each, has_no_answer
from tacos.records import (
    Model,
    Reject,
    Reply,
    Request,
    StageOutput,
    Tables,
    build_reject_frame,
)

Condition = Callable[[Settings], bool]


def run_here(prepared: Any) -> Where:
    """In the main process."""
    return "here"


def run_in_processes(prepared: Any) -> Where:
    """In worker processes."""
    return "process"


def _prepare_nothing(tables: Tables, settings: Settings, tool: Any) -> None:
    return None


def _leave_out_nothing(tables: Tables, settings: Settings) -> pl.DataFrame:
    return build_reject_frame()


@dataclass(frozen=True)
class BatchStage:
    """Works row by row, so that batches of any size give the same rows.

    `source` yields batches, and `work` turns each into rows. `prepare` reads small side tables
    once, before the first batch; its third argument is the stage's tool: an encoder, a tagger, or
    None.
    """

    name: str
    makes: str
    schema: pl.Schema
    reads: tuple[str, ...]
    uses: tuple[str, ...]
    source: Callable[[Tables], Iterator[Any]]
    work: Callable[[Any, Any, Settings], StageOutput]
    prepare: Callable[[Tables, Settings, Any], Any] = _prepare_nothing
    where: Callable[[Any], Where] = run_here
    """Where `work` may run, by what `prepare` has returned."""
    leave_out: Callable[[Tables, Settings], pl.DataFrame] = _leave_out_nothing
    """Rows of the batches that become rejects whatever `work` makes of them (a table REJECTS)."""
    distinct: str = ""
    """A column whose later repetitions are rejects ("duplicate of ...")."""
    gate: str = ""
    """The settings with its `max_failure_rate`, if they are not its own."""
    when: Condition = conditions.always_runs
    version: int = 1


@dataclass(frozen=True)
class PromptStage:
    """Asks a model one question per row: `ask` makes the request, `parse` reads the reply.

    A row that `given` has an answer for is not asked. `answer_at_once` may make the rows of a whole
    batch, the same ones, without a request for each; None where it cannot.
    """

    name: str
    makes: str
    schema: pl.Schema
    reads: tuple[str, ...]
    uses: tuple[str, ...]
    template: str
    questions: Callable[[Tables, Settings], Iterator[pl.DataFrame]]
    ask: Callable[[Row, str, str, Any], Request]
    parse: Callable[[Row, Reply], Row | Reject]
    given: Callable[[Row], Row | None] = has_no_answer
    answer_at_once: Callable[[Model, pl.DataFrame, Any], pl.DataFrame | None] = (
        asks_each
    )
    one_score_template: str = ""
    """The prompt that takes the template's place where judges give one score (`judge.scores`)."""
    section: str = ""
    """The settings that `ask` is given, if they are not named like the stage."""
    gate: str = ""
    """The settings with its `max_failure_rate`, if they are not those."""
    needs_all: bool = False
    """Whether what it makes is of no use without every row: nothing can go on without some."""
    when: Condition = conditions.always_runs
    version: int = 1

    def choose_template(self, settings: Settings) -> str:
        """The name of the prompt under these settings."""
        if self.one_score_template and settings.judge.scores == "one":
            return self.one_score_template
        return self.template


@dataclass(frozen=True)
class TableStage:
    """Works on aggregates or on a few narrow columns, never on whole samples at once.

    `run(tables, settings, tool, round)` makes the whole table; the tool is an encoder, a selector,
    a tagger, or None.
    """

    name: str
    makes: str
    schema: pl.Schema
    reads: tuple[str, ...]
    uses: tuple[str, ...]
    run: Callable[[Tables, Settings, Any, int], StageOutput]
    when: Condition = conditions.always_runs
    version: int = 1


Stage = BatchStage | PromptStage | TableStage
Pipeline = tuple[Stage | tuple[Stage, ...], ...]
"""Stages in order; those in an inner tuple run once per round."""
