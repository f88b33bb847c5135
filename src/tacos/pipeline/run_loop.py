"""The one loop: for each step of the plan, its stage key -> skip, or run -> commit.

What goes into a key: `tacos.pipeline.stage_key`. Models, clients and encoders are handed in; a
stage never builds one. How a stage runs by its shape: `tacos.pipeline.stage_execution`.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import polars as pl

from tacos.config import Settings
from tacos.engines.base import Engine
from tacos.engines.freed_memory import give_back_memory
from tacos.pipeline.failure_gate import check_failure_rate, read_failure_limit
from tacos.pipeline.frame_table import FrameTable
from tacos.pipeline.manifest import Manifest
from tacos.pipeline.plan import Step, cut_plan, plan_steps, resolve_inputs
from tacos.pipeline.request_meter import RequestMeter
from tacos.pipeline.stage_execution import StageInputs, execute_stage
from tacos.pipeline.stage_key import (
    collect_digests,
    compute_stage_key,
    hash_prompt,
    read_used_settings,
)
from tacos.pipeline.stage_shapes import (
    BatchStage,
    PromptStage,
    Stage,
    TableStage,
)
from tacos.pipeline.steps.ingest import N_READ_BEFORE
from tacos.records import Model, Table, canonical_hash
from tacos.store.artifacts import Artifact, Draft, Store

log = logging.getLogger(__name__)

MANY_ROWS = 200_000
"""From so many on, a table stage has the memory of the workers, which start again after it."""
N_REASONS = 50
"""Reasons of rejects that a manifest lists."""

ArtifactCheck = Callable[[str, Artifact], None]


class Source(Table, Protocol):
    """The input of a run: batches of raw rows, and a digest of all of them."""

    @property
    def digest(self) -> str: ...
    @property
    def old_tables(self) -> Mapping[str, Table]:
        """Those of the runs that this one extends (`tacos.pipeline.old_tables`), by name."""
        ...

    def heads(self, n_rows: int) -> Iterator[Any]:
        """The first `n_rows` rows of each file, as one batch."""
        ...


class Progress(Protocol):
    """Told what the loop does; `total` is None where it is not known."""

    def announce(self, text: str) -> None: ...
    def start(self, name: str, total: int | None) -> None: ...
    def advance(self, name: str, n_rows: int) -> None: ...
    def follow(self, name: str, meter: RequestMeter) -> None:
        """The meter says how far the questions to a language model have come, whenever asked."""
        ...

    def finish(
        self,
        name: str,
        n_rows: int,
        *,
        skipped: bool,
    ) -> None: ...


@dataclass(frozen=True)
class StageModels:
    """A model for each prompt stage, and a tool for each other stage that needs one.

    A tool is an encoder (normalise, cluster, assign, select), a tagger (distill, guess) or a user's
    own selector (select). All have a name and a fingerprint.
    """

    prompt: Mapping[str, Model]
    tools: Mapping[str, Any]

    def of(self, stage: Stage) -> Any:
        """The model or tool of a stage, or None."""
        if isinstance(stage, PromptStage):
            return self.prompt[stage.name]
        return self.tools.get(stage.name)

    def free_weights(self, stage: Stage) -> None:
        """Free the weights of a stage's tool, if it can load them again: MiniLM takes 170 MB."""
        free = getattr(self.of(stage), "free_weights", None)
        if free is not None:
            free()


@dataclass(frozen=True)
class RunResult:
    """The artifacts by name, and the names of those that this call has made."""

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
    check: ArtifactCheck = lambda name, artifact: None,
) -> RunResult:
    """Run the plan up to and including the stage `until`; the caller must hold the store's lock.

    `check` is called with each artifact as soon as it is there, and may raise. Raises `ConfigError`
    if the plan has no stage `until`, `FailureRateError` if a stage loses too many rows, and
    whatever its models raise.
    """
    steps = cut_plan(plan_steps(settings), until)
    start = {"input": source, **source.old_tables}
    return run_steps(
        steps,
        start,
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
    check: ArtifactCheck = lambda name, artifact: None,
) -> RunResult:
    """The loop itself, over the steps of any pipeline; `start` are the tables that exist before the
    first one.
    """
    runner = _StepRunner(settings, store, engine, models, progress)
    result = RunResult({})
    for step in steps:
        tables = gather_tables(step, steps, start, result.artifacts)
        model = models.of(step.stage)
        key = compute_stage_key(step, settings, model, tables)
        artifact = store.find(step.artifact, key)
        # A stage whose key is there is not run again.
        if artifact is not None:
            runner.skip(step, artifact)
        else:
            artifact = runner.run(step, key, tables)
            result.made.append(step.artifact)
        check(step.artifact, artifact)
        result.artifacts[step.artifact] = artifact
    return result


def find_existing_artifacts(
    source: Source, settings: Settings, store: Store, models: StageModels
) -> dict[str, Artifact]:
    """The artifacts that are up to date under these settings, up to the first one that is not."""
    steps = plan_steps(settings)
    artifacts: dict[str, Artifact] = {}
    for step in steps:
        tables = gather_tables(
            step,
            steps,
            {"input": source, **source.old_tables},
            artifacts,
        )
        model = models.of(step.stage)
        key = compute_stage_key(step, settings, model, tables)
        artifact = store.find(step.artifact, key)
        if artifact is None:
            break  # the keys of later steps depend on its digest, which is not known yet
        artifacts[step.artifact] = artifact
    return artifacts


@dataclass(frozen=True)
class _StepRunner:
    """Runs a step or skips it, and reports that."""

    settings: Settings
    store: Store
    engine: Engine
    models: StageModels
    progress: Progress

    def skip(self, step: Step, artifact: Artifact) -> None:
        """Report that an artifact is up to date."""
        log.info("%s: up to date (%s)", step.artifact, artifact.manifest["key"])
        self.progress.finish(
            step.artifact,
            artifact.manifest["n_rows"],
            skipped=True,
        )

    def run(self, step: Step, key: str, tables: dict[str, Table]) -> Artifact:
        """Run a step, check its gate, and commit what it made."""
        n_expected = _count_expected_rows(tables)
        if isinstance(step.stage, TableStage) and (n_expected or 0) >= MANY_ROWS:
            # What the workers take is needed here, and to start them again takes less.
            self.engine.rest()
        self.progress.start(step.artifact, n_expected)
        started = time.monotonic()
        draft = self.store.begin(
            step.artifact,
            key,
            resume=_can_resume(step.stage),
        )
        if isinstance(step.stage, PromptStage):
            # What a row failed for may have been mended since; good replies are in the ledger.
            draft.drop_parts(with_failures=True)
        inputs = StageInputs(
            tables=tables,
            settings=self.settings,
            tool=self.models.of(step.stage),
            round=step.round or 0,
            engine=self.engine,
            draft=draft,
            advance=lambda n_rows: self.progress.advance(step.artifact, n_rows),
            follow=lambda meter: self.progress.follow(step.artifact, meter),
        )
        notes = execute_stage(step.stage, inputs)
        if isinstance(step.stage, TableStage):
            self.models.free_weights(step.stage)
            give_back_memory()

        # Before the commit: an artifact that exists has passed its gate.
        reasons = draft.count_rejects()
        n_rejects = sum(reasons.values())
        failures = draft.read_failures()
        limit = read_failure_limit(step.stage, self.settings)
        # Rows that an extended run has read say nothing about new ones.
        n_rows = draft.n_rows() + n_rejects - notes.get(N_READ_BEFORE, 0)
        check_failure_rate(
            step.stage,
            n_rows,
            failures,
            limit,
        )
        manifest = self._build_manifest(
            step,
            key,
            tables,
            reasons,
            failures.height,
            notes,
            started,
        )
        return self._commit(step, draft, manifest)

    def _build_manifest(
        self,
        step: Step,
        key: str,
        tables: Mapping[str, Any],
        reasons: Counter[str],
        n_failures: int,
        notes: dict[str, Any],
        started: float,
    ) -> Manifest:
        stage = step.stage
        return Manifest(
            stage=stage.name,
            version=stage.version,
            round=step.round,
            key=key,
            settings=read_used_settings(stage, self.settings),
            prompt=hash_prompt(stage, self.settings),
            model=getattr(self.models.of(stage), "name", None),
            fingerprint=getattr(self.models.of(stage), "fingerprint", None),
            inputs=collect_digests(tables),
            rejects=dict(reasons.most_common(N_REASONS)),
            n_rejects=sum(reasons.values()),
            n_failures=n_failures,
            notes=notes,
            duration_s=round(time.monotonic() - started, 3),
        )

    def _commit(self, step: Step, draft: Draft, manifest: Manifest) -> Artifact:
        artifact = draft.commit(manifest.as_dict())
        n_rows = artifact.manifest["n_rows"]
        self.progress.finish(
            step.artifact,
            n_rows,
            skipped=False,
        )
        log.info(
            "%s: %s rows in %s s",
            step.artifact,
            n_rows,
            manifest.duration_s,
        )
        return artifact


def _can_resume(stage: Stage) -> bool:
    """Whether finished parts of a killed stage can be kept.

    Not where duplicates are dropped: rows of earlier parts would no longer be known.
    """
    return not (isinstance(stage, BatchStage) and stage.distinct)


# The tables that a step reads


@dataclass(frozen=True)
class ConcatenatedTable:
    """Several artifacts of the same kind (one per round), read as one table."""

    artifacts: Sequence[Artifact]

    @property
    def digest(self) -> str:
        return canonical_hash([artifact.digest for artifact in self.artifacts])

    @property
    def model(self) -> str | None:
        """The model that made the table; None for tables of no model, or of several."""
        models = {artifact.model for artifact in self.artifacts}
        return models.pop() if len(models) == 1 else None

    @property
    def n_rows(self) -> int:
        return sum(artifact.manifest["n_rows"] for artifact in self.artifacts)

    def scan(self) -> pl.LazyFrame:
        return pl.concat([artifact.scan() for artifact in self.artifacts])

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        for artifact in self.artifacts:
            yield from artifact.batches(columns)


def gather_tables(
    step: Step,
    steps: list[Step],
    start: Mapping[str, Table],
    made: Mapping[str, Artifact],
) -> dict[str, Table]:
    """The tables that a step reads, under their plain names."""
    tables: dict[str, Table] = {}
    inputs = resolve_inputs(step, steps, start)
    for name, artifact_names in inputs.items():
        if name in start:
            tables[name] = start[name]
        else:
            artifacts = [made[artifact_name] for artifact_name in artifact_names]
            tables[name] = ConcatenatedTable(artifacts)
    return tables


def _count_expected_rows(tables: Mapping[str, Table]) -> int | None:
    """Rows of the first table that a step reads, where their number is known."""
    first = next(iter(tables.values()))
    if isinstance(first, ConcatenatedTable | FrameTable):
        return first.n_rows
    return None
