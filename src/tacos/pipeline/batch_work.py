"""What an engine runs on one batch, perhaps in another process.

A worker process imports what unpickling this work asks for. So the work holds the functions of one
stage, and this module imports little: a worker that knew all stages would take three times as long
to start.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import polars as pl

from tacos.engines.freed_memory import give_back_memory
from tacos.engines.paused_collector import pause_collector
from tacos.pipeline.reply_origins import count_origins
from tacos.records import (
    Model,
    PaidReply,
    Reject,
    Reply,
    Request,
    StageOutput,
    build_reject_frame,
    conform_table,
)

Row = dict[str, Any]


@dataclass(frozen=True)
class BatchWork:
    """What a `BatchStage` makes of a batch, as rows of its schema."""

    work: Callable[[Any, Any, Any], StageOutput]
    prepared: Any
    settings: Any
    schema: pl.Schema

    def __call__(self, batch: Any) -> StageOutput:
        with pause_collector():
            output = self.work(batch, self.prepared, self.settings)
        give_back_memory()
        return output._replace(table=conform_table(output.table, self.schema))


@dataclass(frozen=True)
class QuestionBatch:
    """A batch of questions, and the replies that there are already, by row."""

    rows: pl.DataFrame
    replies: dict[int, Reply]

    def split(self, n: int) -> list[QuestionBatch]:
        """The batch in up to `n` shares, in order."""
        n_rows = max(1, math.ceil(self.rows.height / n))
        shares = []
        for start in range(0, max(1, self.rows.height), n_rows):
            replies = {
                number - start: reply
                for number, reply in self.replies.items()
                if start <= number < start + n_rows
            }
            shares.append(QuestionBatch(self.rows.slice(start, n_rows), replies))
        return shares


class AnsweredBatch(NamedTuple):
    """What a batch of questions became, and the replies that were paid for it."""

    output: StageOutput
    paid: tuple[PaidReply, ...]


@dataclass(frozen=True)
class QuestionWork:
    """Asks one question for each row that has neither a given answer nor a reply yet, and reads
    what the replies say; or lets the model answer all rows at once. The functions are those of a
    `PromptStage`.
    """

    given: Callable[[Row], Row | None]
    ask: Callable[[Row, str, str, Any], Request]
    parse: Callable[[Row, Reply], Row | Reject]
    answer_at_once: Callable[[Model, pl.DataFrame, Any], pl.DataFrame | None]
    template: str
    template_hash: str
    config: Any
    schema: pl.Schema
    model: Model

    def __call__(self, batch: QuestionBatch) -> AnsweredBatch:
        # What waits for a network, or calls a user's function, takes long and may be of any size.
        is_computed = self.model.where == "process"
        with pause_collector() if is_computed else nullcontext():
            return self._answer(batch)

    def _answer(self, batch: QuestionBatch) -> AnsweredBatch:
        if not batch.replies:
            table = self.answer_at_once(self.model, batch.rows, self.config)
            if table is not None:
                rows = conform_table(table, self.schema)
                notes = {"n_asked": table.height}
                return AnsweredBatch(StageOutput.without_rejects(rows, notes), ())
        return self._ask_each(batch)

    def _ask_each(self, batch: QuestionBatch) -> AnsweredBatch:
        rows = batch.rows.to_dicts()
        results: list[Row | Reject | None] = [self.given(row) for row in rows]
        unanswered = [number for number, result in enumerate(results) if result is None]
        asked = [number for number in unanswered if number not in batch.replies]
        requests = [
            self.ask(
                rows[number],
                self.template,
                self.template_hash,
                self.config,
            )
            for number in asked
        ]
        new_replies = self.model.answer(requests) if requests else []
        replies = batch.replies | dict(zip(asked, new_replies, strict=True))
        paid = chain.from_iterable(reply.paid for reply in replies.values())
        # Rows keep their order, whether they were asked or had an answer.
        for number in unanswered:
            results[number] = self.parse(rows[number], replies[number])

        answered = [result for result in results if not isinstance(result, Reject)]
        rejects = [result for result in results if isinstance(result, Reject)]
        output = StageOutput(
            table=build_table(answered, self.schema),
            rejects=build_reject_frame(rejects),
            notes={"n_asked": len(replies), **count_origins(replies.values())},
        )
        return AnsweredBatch(output, tuple(paid))


def has_no_answer(row: Row) -> None:
    """The `given` of stages that ask about every row."""


def asks_each(model: Model, rows: pl.DataFrame, config: Any) -> None:
    """The `answer_at_once` of stages that build a request for each row."""


def build_table(rows: list[Any], schema: pl.Schema) -> pl.DataFrame:
    """Rows as a table, column by column: without pyarrow, which takes long to import, and imports
    pandas where that is installed.
    """
    columns = []
    for name, dtype in schema.items():
        cells = [row.get(name) for row in rows]
        if isinstance(dtype, pl.List):
            columns.append(_build_list_column(name, cells, dtype))
        else:
            columns.append(pl.Series(name, cells, dtype=dtype))
    return pl.DataFrame(columns)


def _build_list_column(
    name: str, cells: list[list[Any] | None], dtype: pl.List
) -> pl.Series:
    """Lists as slices of one column of all their items: polars would read each list by itself,
    which takes many times as long.

    >>> cells = [["a", "b"], None, []]
    >>> _build_list_column("tags", cells, pl.List(pl.String)).to_list()
    [['a', 'b'], None, []]
    """
    items = list(chain.from_iterable(cell for cell in cells if cell))
    lengths = [None if cell is None else len(cell) for cell in cells]
    lists = cut_lists(
        pl.Series(name, items, dtype=dtype.inner), pl.Series(lengths, dtype=pl.Int64)
    )
    # Where all cells are null, polars has forgotten the type.
    return lists.cast(dtype)


def cut_lists(items: pl.Series, lengths: pl.Series) -> pl.Series:
    """Items as lists of these lengths, one after the other; null for a list without a length.

    >>> cut_lists(pl.Series("tags", ["a", "b"]), pl.Series([0, 2])).to_list()
    [[], ['a', 'b']]
    """
    if lengths.is_empty():
        return pl.Series(items.name, [], dtype=pl.List(items.dtype))
    start = lengths.fill_null(0).cum_sum() - lengths
    slices = pl.lit(items.implode()).list.slice(pl.lit(start), pl.lit(lengths))
    return pl.select(slices.alias(items.name)).to_series()
