"""The one loop: for each step of the plan, its key -> skip, or run -> commit.

A key is the canonical hash of the stage's name and version, the settings it uses, its prompt, its
model, and the digests of the artifacts it reads. Models, clients and encoders are handed in; a
stage never builds one.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import polars as pl

from tacos import prompts
from tacos.config import Settings
from tacos.engines.base import Engine
from tacos.errors import ConfigError, FailureRateError
from tacos.pipeline import stages
from tacos.pipeline.manifest import Manifest
from tacos.pipeline.stages import BatchStage, PromptStage, Stage, Step, Tables, TableStage
from tacos.records import (
    Model,
    Reject,
    StageOutput,
    Table,
    build_reject_frame,
    canonical_hash,
    conform_table,
)
from tacos.store.artifacts import LAYOUT, Artifact, Draft, Store
from tacos.store.exact_duplicates import DuplicateFinder

log = logging.getLogger(__name__)

N_EXAMPLES = 3
EARLY_ROWS = 500
EARLY_FACTOR = 5
"""A prompt stage stops early once this many rows are answered and failures exceed this many times
its gate.
"""


class Source(Table, Protocol):
    """The input of a run: batches of raw rows, and a digest of all of them."""

    @property
    def digest(self) -> str: ...


class Progress(Protocol):
    """Told what the loop does; `total` is None where it is not known."""

    def start(self, name: str, total: int | None) -> None: ...
    def advance(self, name: str, n_rows: int) -> None: ...
    def finish(self, name: str, n_rows: int, *, skipped: bool) -> None: ...


@dataclass(frozen=True)
class StageModels:
    """What is handed to the stages: a model per prompt stage, and per other stage that wants one a
    tool.

    A tool is an encoder (normalise, cluster, assign, select) or a user's own selector (select); all
    have a name and a fingerprint.
    """

    prompt: Mapping[str, Model]
    tools: Mapping[str, Any]

    def of(self, stage: Stage) -> Any:
        """The model or tool of a stage, or None."""
        return (
            self.prompt[stage.name]
            if isinstance(stage, PromptStage)
            else self.tools.get(stage.name)
        )


@dataclass(frozen=True)
class RunResult:
    """What a run left behind: artifact name -> artifact, and which of them were made by this call."""

    artifacts: dict[str, Artifact]
    made: list[str] = field(default_factory=list)


def run_plan(
    source: Source,
    settings: Settings,
    store: Store,
    engine: Engine,
    models: StageModels,
    progress: Progress,
    until: str | None = None,
    check: Callable[[str, Artifact], None] = lambda name, artifact: None,
) -> RunResult:
    """Run the plan up to and including the stage `until`; the store must be locked by the caller.

    `check` is called with each artifact as soon as it is there, and may raise.
    """
    return run_steps(
        _plan_until(settings, until),
        {"input": source},
        settings,
        store,
        engine,
        models,
        progress,
        check,
    )


def run_steps(
    steps: list[Step],
    start: Mapping[str, Table],
    settings: Settings,
    store: Store,
    engine: Engine,
    models: StageModels,
    progress: Progress,
    check: Callable[[str, Artifact], None] = lambda name, artifact: None,
) -> RunResult:
    """The loop itself, over the steps of any pipeline; `start` are the tables that are there before
    the first one.
    """
    outcome = RunResult({})
    for step in steps:
        tables = gather_tables(step, steps, start, outcome.artifacts)
        key = _compute_step_key(step, settings, models, tables)
        found = store.find(step.artifact, key)
        if found is None:
            progress.start(step.artifact, _count_expected_rows(tables))
            found = _run_step(step, key, settings, store, engine, models, tables, progress)
            outcome.made.append(step.artifact)
            progress.finish(step.artifact, found.manifest["n_rows"], skipped=False)
            log.info(
                "%s: %s rows in %s s",
                step.artifact,
                found.manifest["n_rows"],
                found.manifest["duration_s"],
            )
        else:
            log.info("%s: there already (%s)", step.artifact, key)
            progress.finish(step.artifact, found.manifest["n_rows"], skipped=True)
        check(step.artifact, found)
        outcome.artifacts[step.artifact] = found
    return outcome


def find_existing_artifacts(
    source: Source, settings: Settings, store: Store, models: StageModels
) -> dict[str, Artifact]:
    """The artifacts that are there already under these settings, up to the first one that is
    missing.
    """
    steps = stages.plan_steps(settings)
    found: dict[str, Artifact] = {}
    for step in steps:
        tables = gather_tables(step, steps, {"input": source}, found)
        artifact = store.find(step.artifact, _compute_step_key(step, settings, models, tables))
        if artifact is None:
            break
        found[step.artifact] = artifact
    return found


def _plan_until(settings: Settings, until: str | None) -> list[Step]:
    """The plan, cut after the last step of stage `until`; `ConfigError` for a stage that it does
    not have.
    """
    steps = stages.plan_steps(settings)
    if until is None:
        return steps
    last = [number for number, step in enumerate(steps) if step.stage.name == until]
    if not last:
        names = ", ".join(dict.fromkeys(step.stage.name for step in steps))
        raise ConfigError(f"no stage {until!r} under these settings; there are {names}")
    return steps[: last[-1] + 1]


@dataclass(frozen=True)
class ConcatenatedTable:
    """Several artifacts of the same kind (one per round) read as one table."""

    artifacts: Sequence[Artifact]

    @property
    def digest(self) -> str:
        return canonical_hash([artifact.digest for artifact in self.artifacts])

    @property
    def n_rows(self) -> int:
        return sum(artifact.manifest["n_rows"] for artifact in self.artifacts)

    def scan(self) -> pl.LazyFrame:
        return pl.concat([artifact.scan() for artifact in self.artifacts])

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        for artifact in self.artifacts:
            yield from artifact.batches(columns)


def gather_tables(
    step: Step, steps: list[Step], start: Mapping[str, Table], made: Mapping[str, Artifact]
) -> dict[str, Table]:
    """The tables that a step reads, under their plain names."""
    names = stages.resolve_inputs(step, steps, start)
    return {
        name: start[name] if name in start else ConcatenatedTable([made[each] for each in each_of])
        for name, each_of in names.items()
    }


def _count_expected_rows(tables: Mapping[str, Table]) -> int | None:
    """Rows of the first table that a step reads, where it is known."""
    first = next(iter(tables.values()))
    return first.n_rows if isinstance(first, ConcatenatedTable) else None


def _compute_step_key(
    step: Step, settings: Settings, models: StageModels, tables: Mapping[str, Any]
) -> str:
    """16 hex digits that change with anything that can change the artifact."""
    stage = step.stage
    parts = [
        LAYOUT,
        stage.name,
        stage.version,
        step.round,
        {name: _read_setting(settings, name) for name in stage.uses},
        prompts.hash_template(stage.template) if isinstance(stage, PromptStage) else "",
        getattr(models.of(stage), "fingerprint", ""),
        {name: table.digest for name, table in tables.items()},
    ]
    return canonical_hash(parts)[:16]


def _read_setting(settings: Settings, name: str) -> Any:
    """The value of a setting by its full name, or a whole section."""
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def _run_step(
    step: Step,
    key: str,
    settings: Settings,
    store: Store,
    engine: Engine,
    models: StageModels,
    tables: Tables,
    progress: Progress,
) -> Artifact:
    """Run one step and commit what it made."""
    started = time.monotonic()
    stage = step.stage
    draft = store.begin(
        step.artifact, key, resume=not (isinstance(stage, BatchStage) and stage.distinct)
    )
    if isinstance(stage, TableStage):
        made = stage.run(tables, settings, models.of(stage), step.round or 0)
        draft.write(0, conform_table(made.table, stage.schema), made.rejects)
        notes = made.notes
    else:
        notes = _run_batches(step, settings, engine, models, tables, draft, progress)
    rejects = draft.read_rejects()
    check_failure_rate(stage, draft.n_rows(), rejects, _read_failure_limit(stage, settings))
    manifest = Manifest(
        stage=stage.name,
        version=stage.version,
        round=step.round,
        key=key,
        settings={name: _read_setting(settings, name) for name in stage.uses},
        prompt=prompts.hash_template(stage.template) if isinstance(stage, PromptStage) else None,
        model=getattr(models.of(stage), "name", None),
        inputs={name: table.digest for name, table in tables.items()},  # type: ignore[attr-defined]
        rejects=dict(Counter(rejects["reason"].to_list()).most_common(50)),
        n_rejects=rejects.height,
        n_failures=int(rejects["failure"].sum()),
        notes=notes,
        duration_s=round(time.monotonic() - started, 3),
    )
    return draft.commit(manifest.as_dict())


def _run_batches(
    step: Step,
    settings: Settings,
    engine: Engine,
    models: StageModels,
    tables: Tables,
    draft: Draft,
    progress: Progress,
) -> dict[str, Any]:
    """Run a row-wise or prompt step batch by batch, each batch into a part of its own."""
    stage = step.stage
    assert not isinstance(stage, TableStage)
    if isinstance(stage, PromptStage):
        model = models.prompt[stage.name]
        batches: Iterator[Any] = stage.questions(tables, settings)
        work = partial(_answer_batch, stage=stage.name, settings=settings, model=model)
        where = model.where
    else:
        batches = stage.source(tables)
        prepared = stage.prepare(tables, settings, models.of(stage))
        work = partial(_transform_batch, stage=stage.name, prepared=prepared, settings=settings)
        where = stage.where
    finished = draft.finished
    todo = ((number, batch) for number, batch in enumerate(batches) if number not in finished)
    numbers: list[int] = []
    repeated = (
        DuplicateFinder(stage.distinct, stage.name)
        if isinstance(stage, BatchStage) and stage.distinct
        else None
    )
    notes: Counter[str] = Counter()
    n_done = n_failed = 0
    for made in engine.map(work, _note_batch_numbers(todo, numbers), where):
        if repeated is not None:
            made = repeated.drop(made)
        draft.write(numbers.pop(0), made.table, made.rejects)
        notes.update(made.notes)
        n_done += made.table.height + made.rejects.height
        n_failed += int(made.rejects["failure"].sum())
        if (
            isinstance(stage, PromptStage)
            and n_done >= EARLY_ROWS
            and n_failed > EARLY_FACTOR * _read_failure_limit(stage, settings) * n_done
        ):
            check_failure_rate(
                stage,
                n_done - made.rejects.height,
                draft.read_rejects(),
                _read_failure_limit(stage, settings),
            )
        progress.advance(step.artifact, made.table.height + made.rejects.height)
    if not numbers and not finished and not list(draft.path.glob("part-*")):
        draft.write(0, pl.DataFrame(schema=stage.schema), build_reject_frame())
    if isinstance(stage, PromptStage):
        return {**notes, "pointwise": getattr(model, "pointwise_members", model.pointwise)}
    return dict(notes)


def _note_batch_numbers(todo: Iterator[tuple[int, Any]], numbers: list[int]) -> Iterator[Any]:
    """The batches alone; their numbers are noted in the order in which they are handed out."""
    for number, batch in todo:
        numbers.append(number)
        yield batch


def _transform_batch(batch: Any, stage: str, prepared: Any, settings: Settings) -> StageOutput:
    """Row-wise work on one batch, wherever the engine put it."""
    found = _find_stage(stage)
    assert isinstance(found, BatchStage)
    made = found.work(batch, prepared, settings)
    return StageOutput(conform_table(made.table, found.schema), made.rejects, made.notes)


def _answer_batch(batch: pl.DataFrame, stage: str, settings: Settings, model: Model) -> StageOutput:
    """Ask a model one question per row and read its replies, wherever the engine put it."""
    found = _find_stage(stage)
    assert isinstance(found, PromptStage)
    config = getattr(settings, find_settings_section(found))
    digest = prompts.hash_template(found.template)
    rows = batch.to_dicts()
    known = [found.given(row) for row in rows]
    asked = [row for row, given in zip(rows, known, strict=True) if given is None]
    requests = [found.ask(row, found.template, digest, config) for row in asked]
    replies = iter(zip(asked, model.answer(requests) if requests else [], strict=True))
    results = [found.parse(*next(replies)) if given is None else given for given in known]
    table = pl.DataFrame(
        [row for row in results if not isinstance(row, Reject)], schema=found.schema, orient="row"
    )
    rejects = [row for row in results if isinstance(row, Reject)]
    return StageOutput(table, build_reject_frame(rejects), {"n_asked": len(asked)})


def _find_stage(name: str) -> Stage:
    """The stage of that name, of whichever pipeline."""
    entries = [entry for pipeline in stages.PIPELINES for entry in pipeline]
    flat = [each for entry in entries for each in (entry if isinstance(entry, tuple) else (entry,))]
    return next(stage for stage in flat if stage.name == name)


def _read_failure_limit(stage: Stage, settings: Settings) -> float:
    """The share of failures that a stage may have."""
    return float(
        getattr(getattr(settings, _find_gate_section(stage), None), "max_failure_rate", 0.0)
    )


def _find_gate_section(stage: Stage) -> str:
    """The name of the settings that hold a stage's gate."""
    return ("" if isinstance(stage, TableStage) else stage.gate) or find_settings_section(stage)


def find_settings_section(stage: Stage) -> str:
    """The name of a stage's settings."""
    return (stage.section if isinstance(stage, PromptStage) else "") or stage.name


def check_failure_rate(stage: Stage, n_rows: int, rejects: pl.DataFrame, limit: float) -> None:
    """Raise `FailureRateError` when more than `limit` of a stage's rows failed, with reasons and
    examples.
    """
    failures = rejects.filter("failure")
    n_all = n_rows + failures.height
    if failures.height <= limit * n_all:
        return
    reasons = Counter(failures["reason"].to_list()).most_common(N_EXAMPLES)
    examples = [
        f"{row['id']}: {row['reason']}: {row['raw'][:80]!r}"
        for row in failures.head(N_EXAMPLES).to_dicts()
    ]
    raise FailureRateError(
        f"stage {stage.name}: {failures.height} of {n_all} rows failed "
        f"({failures.height / n_all:.1%}, the limit is {limit:.1%}): "
        + "; ".join(f"{count} x {reason}" for reason, count in reasons)
        + ". For example "
        + " | ".join(examples)
        + f". {_suggest_remedy(stage, [reason for reason, _ in reasons])}, or go on without such rows: "
        + f"--set {_find_gate_section(stage)}.max_failure_rate=..."
    )


def _suggest_remedy(stage: Stage, reasons: Sequence[str]) -> str:
    """What a person may do about rows that failed for these reasons."""
    if not isinstance(stage, PromptStage):
        return "Mend the input"
    if any("limit of tokens" in reason for reason in reasons):
        return f"Allow longer answers with --set {find_settings_section(stage)}.max_tokens=..., ask another model"
    return "Mend the input, ask another model"
