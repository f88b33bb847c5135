"""Runs one stage into a draft, by its shape: table by table, batch by batch, or question by
question.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import polars as pl

from tacos import prompts
from tacos.config import Settings
from tacos.engines.base import Engine, Where
from tacos.engines.freed_memory import give_back_memory
from tacos.pipeline.answer_watch import StageWatch
from tacos.pipeline.batch_work import (
    AnsweredBatch,
    BatchWork,
    QuestionBatch,
    QuestionWork,
)
from tacos.pipeline.failure_gate import check_failure_rate, find_settings_section
from tacos.pipeline.first_questions import (
    FirstReplies,
    count_questions,
    draw_first_questions,
)
from tacos.pipeline.reply_origins import count_vector_origins
from tacos.pipeline.request_meter import RequestMeter, list_tallies
from tacos.pipeline.spending import (
    SpendingCounter,
    count_vector_spending,
    price_spending,
)
from tacos.pipeline.stage_shapes import BatchStage, PromptStage, Stage, TableStage
from tacos.records import Model, StageOutput, Tables, WatchableModel, build_reject_frame
from tacos.store.artifacts import Draft
from tacos.store.exact_duplicates import DuplicateFinder

T = TypeVar("T")
R = TypeVar("R")

ROWS_PER_SHARE = 2_500
ROWS_WORTH_SHARING = 8_000
"""To start processes for fewer rows would take longer than to answer them."""


@dataclass(frozen=True)
class StageInputs:
    """What a stage needs to run, whatever its shape."""

    tables: Tables
    settings: Settings
    tool: Any
    """The model of a prompt stage; an encoder, a selector or None for the others."""
    round: int
    engine: Engine
    draft: Draft
    advance: Callable[[int], None]
    """Told how many rows are done."""
    follow: Callable[[RequestMeter], None] = lambda meter: None
    """Given what says how far the questions of a language model have come."""


def execute_stage(stage: Stage, inputs: StageInputs) -> dict[str, Any]:
    """Write all parts of a stage's table into the draft, and return its notes."""
    if isinstance(stage, TableStage):
        return _execute_table_stage(stage, inputs)
    if isinstance(stage, BatchStage):
        notes = _execute_batch_stage(stage, inputs)
    else:
        notes = _execute_prompt_stage(stage, inputs)
    if not inputs.draft.finished:
        # There was no batch at all: an artifact has at least one part, so that it has columns.
        no_rows = pl.DataFrame(schema=stage.schema)
        inputs.draft.write(0, no_rows, build_reject_frame())
    return notes


def _execute_table_stage(stage: TableStage, inputs: StageInputs) -> dict[str, Any]:
    """The whole table at once."""
    before = _count_vectors(inputs.tool)
    output = stage.run(inputs.tables, inputs.settings, inputs.tool, inputs.round)
    inputs.draft.write_in_parts(
        output.table, stage.schema, output.rejects, output.name_rows
    )
    counts = _count_vectors(inputs.tool) - before
    return price_spending({**output.notes, **counts}, inputs.settings)


def _count_vectors(tool: Any) -> Counter[str]:
    """Where an encoder's vectors so far come from, and what they cost."""
    return count_vector_origins(tool) + count_vector_spending(tool)


def _execute_batch_stage(stage: BatchStage, inputs: StageInputs) -> dict[str, Any]:
    """Batch by batch, without rows that repeat an earlier one where the stage asks for that."""
    prepared = stage.prepare(inputs.tables, inputs.settings, inputs.tool)
    work = BatchWork(
        work=stage.work,
        prepared=prepared,
        settings=inputs.settings,
        schema=stage.schema,
    )
    unfit = stage.leave_out(inputs.tables, inputs.settings)
    duplicates = None
    if stage.distinct:
        duplicates = DuplicateFinder(stage.distinct, stage.name)
    notes: Counter[str] = Counter()
    batches = stage.source(inputs.tables)
    for number, (output,) in _map_unfinished(
        work, batches, stage.where(prepared), inputs
    ):
        if duplicates is not None:
            output = duplicates.drop(output)
        output = _leave_out_rows(output, unfit)
        if output.original is not None:
            inputs.draft.write_original(number, output.original)
        inputs.draft.write(number, output.table, output.rejects)
        notes.update(output.notes)
        inputs.advance(output.table.height + output.rejects.height)
    return dict(notes)


def _leave_out_rows(output: StageOutput, unfit: pl.DataFrame) -> StageOutput:
    """The output without the unfit rows, which become rejects."""
    if unfit.is_empty() or output.table.is_empty():
        return output
    ids = output.table.select("id")
    found = unfit.join(ids, on="id", how="semi", maintain_order="left")
    return output._replace(
        table=output.table.filter(~pl.col("id").is_in(found["id"].implode())),
        rejects=pl.concat([output.rejects, found]),
    )


def _execute_prompt_stage(stage: PromptStage, inputs: StageInputs) -> dict[str, Any]:
    """A question per row, batch by batch; stops early if too many fail."""
    model: Model = inputs.tool
    watch, is_watched, first = _ask_first_questions(stage, inputs)
    template = stage.choose_template(inputs.settings)
    work = QuestionWork(
        given=stage.given,
        ask=stage.ask,
        parse=stage.parse,
        answer_at_once=stage.answer_at_once,
        template=template,
        template_hash=prompts.hash_template(template),
        config=getattr(inputs.settings, find_settings_section(stage)),
        schema=stage.schema,
        model=model,
    )
    # Counted here: batches in other processes do not know of each other's replies.
    spending = SpendingCounter()
    notes: Counter[str] = Counter()
    for notes_before in inputs.draft.read_notes():
        notes.update(notes_before)
    questions = stage.questions(inputs.tables, inputs.settings)
    batches = (
        QuestionBatch(batch, first.of_batch(number))
        for number, batch in enumerate(questions)
    )
    n_known = first.count_by_batch()
    shares = _map_unfinished(
        work,
        batches,
        model.where,
        inputs,
        lambda batch: batch.split(_count_shares(batch, model, inputs.engine)),
    )
    for number, answered_shares in shares:
        answered = _join_shares(answered_shares)
        output = answered.output
        notes_of_batch = output.notes | spending.count(answered.paid)
        inputs.draft.write_notes(number, notes_of_batch)
        inputs.draft.write(number, output.table, output.rejects)
        notes.update(notes_of_batch)
        n_batch = output.table.height + output.rejects.height
        n_failed = int(output.rejects["failure"].sum())
        if not is_watched and watch.count(n_batch, n_failed):
            n_rows = inputs.draft.n_rows() + sum(inputs.draft.count_rejects().values())
            failures = inputs.draft.read_failures()
            check_failure_rate(stage, n_rows, failures, watch.limit)
        inputs.advance(n_batch - n_known[number])
    pointwise = getattr(model, "pointwise_members", model.pointwise)
    return price_spending({**notes, "pointwise": pointwise}, inputs.settings)


def _count_shares(batch: QuestionBatch, model: Model, engine: Engine) -> int:
    """Shares of a batch: one for each process that asks, or some that end at about the same time
    in all processes that compute.
    """
    if model.where == "thread":
        return engine.n_clients
    n_rows = batch.rows.height
    # A user's own function is called once for each batch.
    if model.where == "here" or n_rows < ROWS_WORTH_SHARING:
        return 1
    return n_rows // ROWS_PER_SHARE


def _ask_first_questions(
    stage: PromptStage, inputs: StageInputs
) -> tuple[StageWatch, bool, FirstReplies]:
    """The watch over a stage, whether the model reports to it, and the replies to the questions
    that were asked first: a random sample, where a stage may stop early by it.
    """
    model: Model = inputs.tool
    settings = inputs.settings
    # What computes costs nothing, and is not stopped.
    tallies = list_tallies(model)
    if model.where == "process" or not settings.llm.stop_early:
        if tallies:
            inputs.follow(RequestMeter(tallies))
        return StageWatch(stage, settings), False, FirstReplies()
    questions = stage.questions(inputs.tables, settings)
    if not isinstance(model, WatchableModel):
        n_all = count_questions(questions)
        return StageWatch(stage, settings, n_all), False, FirstReplies()
    first = draw_first_questions(
        stage,
        settings,
        questions,
        inputs.draft.finished,
    )
    watch = StageWatch(stage, settings, first.n_all, first.rows)
    if not model.watch(watch):
        return watch, False, FirstReplies()
    if tallies:
        inputs.follow(RequestMeter(tallies, watch, first.n_expected))
    requests = list(first.requests.values())
    if not requests:
        return watch, True, FirstReplies()
    # Through the engine, so that Ctrl-C interrupts the waiting.
    (replies,) = inputs.engine.map(model.answer, [requests], model.where)
    inputs.advance(len(replies))
    replies_by_place = dict(zip(first.requests, replies, strict=True))
    return watch, True, FirstReplies(replies_by_place)


def _map_unfinished(
    work: Callable[[T], R],
    batches: Iterable[T],
    where: Where,
    inputs: StageInputs,
    split: Callable[[T], list[T]] = lambda batch: [batch],
) -> Iterator[tuple[int, list[R]]]:
    """Number and outputs of each batch, one for each part that `split` makes of it, except of those
    batches that an earlier process has finished.
    """
    finished = inputs.draft.finished
    # The engine takes batches ahead of the outputs it yields, but keeps their order: a queue of
    # their numbers tells which batch an output belongs to.
    under_way: deque[tuple[int, bool]] = deque()

    def take_parts() -> Iterator[T]:
        for number, batch in enumerate(batches):
            if number in finished:
                continue
            parts = split(batch)
            for place, part in enumerate(parts, start=1):
                under_way.append((number, place == len(parts)))
                yield part

    outputs: list[R] = []
    for output in inputs.engine.map(work, take_parts(), where):
        outputs.append(output)
        number, is_last = under_way.popleft()
        if is_last:
            yield number, outputs
            outputs = []
            give_back_memory()


def _join_shares(answered: Sequence[AnsweredBatch]) -> AnsweredBatch:
    """A batch of the shares in which it was answered."""
    notes: Counter[str] = Counter()
    for share in answered:
        notes.update(share.output.notes)
    output = StageOutput(
        pl.concat([share.output.table for share in answered]),
        pl.concat([share.output.rejects for share in answered]),
        dict(notes),
    )
    paid = chain.from_iterable(share.paid for share in answered)
    return AnsweredBatch(output, tuple(paid))
