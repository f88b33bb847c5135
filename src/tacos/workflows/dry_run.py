"""`tacos select --dry-run`: what a run would do, from reading the input alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tacos.config import Settings
from tacos.counts import count_words
from tacos.engines.local import LocalEngine
from tacos.formats import sources
from tacos.pipeline.judging_mode import resolve_judging
from tacos.pipeline.model_factory import (
    UserFunctions,
    list_endpoint_models,
    open_models,
)
from tacos.pipeline.plan import Step, plan_steps
from tacos.pipeline.run_loop import find_existing_artifacts
from tacos.store import files
from tacos.store.artifacts import Artifact, Store
from tacos.workflows import memory_forecast
from tacos.workflows.extension import open_source
from tacos.workflows.input_samples import count_run_questions, read_samples
from tacos.workflows.reading_time import format_duration, measure_reading_time

ROW_PER_SAMPLE = frozenset({"samples", "canonical_tags", "memberships", "grades"})
"""Artifacts that have a row per sample."""


@dataclass(frozen=True)
class StepForecast:
    """One step of a run: what it would do, on how many rows, and how many questions it asks at
    most.
    """

    artifact: str
    action: str
    n_rows: int | None
    """None: not known before the run."""
    n_questions: int | None = None
    """None: it asks none, or how many is not known before the run."""
    models: tuple[str, ...] = ()
    """The models of the endpoint that are asked; empty if an embedded model answers, for free."""
    seconds: float | None = None
    """How long it takes at most, where that was measured."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(vars(self))

    def text(self) -> str:
        """One line for the terminal."""
        rows = "" if self.n_rows is None else f", {count_words(self.n_rows, 'row')}"
        if self.n_questions is None:
            return self.action + rows
        # Embedded models answer without an endpoint, so they have no name here.
        models = " and ".join(self.models) or "an embedded model, free"
        text = (
            f"{self.action}{rows}, at most {self.n_questions:,} questions to {models}"
        )
        if self.seconds is not None:
            text += f", about {format_duration(self.seconds)}"
        return text


def forecast_run(
    data: Any,
    settings: Settings,
    *,
    run: Path | None = None,
    max_memory: float | None = None,
) -> list[StepForecast]:
    """Forecast every step of a run. Nothing is kept and no endpoint is asked.

    Steps whose artifact is up to date in `run` say so; numbers of questions are upper bounds. The
    slow tier of the embedded judge is timed on a few rows.
    Raises `InputError` if the data cannot be read, `ConfigError` or `ModelError` if a model cannot
    be had, `ConfigError` if the run takes more than `max_memory` bytes.
    """
    memory_forecast.check_limit(max_memory)
    settings = resolve_judging(sources.pin_evaluation_sets(settings))
    seconds: dict[str, float] = {}
    with files.make_temporary_folder() as folder:
        scratch = Store(folder)
        store = Store(run) if run else scratch
        # An empty ledger: a forecast asks nothing, and leaves the user's alone.
        no_replies = scratch.root / "ledger.sqlite"
        with open_models(settings, UserFunctions(), no_replies) as models:
            if run:
                sources.copy_record(run, scratch.root)
            source = open_source(data, scratch.root, settings, models)
            existing = find_existing_artifacts(
                source,
                settings,
                store,
                models,
            )
            samples = existing.get("samples")
            if samples is None:
                samples = read_samples(source, settings, scratch)
            memory_forecast.check_rows(max_memory, samples.manifest["n_rows"])
            if "reread" in models.prompt:
                needed = measure_reading_time(
                    samples,
                    settings,
                    models.prompt["reread"],
                    LocalEngine().n_workers,
                )
                seconds["reread"] = needed.seconds
        n_samples = samples.manifest["n_rows"]
        n_questions = count_run_questions(
            samples,
            settings,
            source.old_tables,
        )
    models_of = list_endpoint_models(settings)
    return [
        _forecast_step(
            step,
            existing,
            n_samples,
            n_questions,
            models_of,
            seconds,
        )
        for step in plan_steps(settings)
    ]


def _forecast_step(
    step: Step,
    existing: Mapping[str, Artifact],
    n_samples: int,
    n_questions: Mapping[str, int],
    models_of: Mapping[str, tuple[str, ...]],
    seconds: Mapping[str, float],
) -> StepForecast:
    """Forecast one step."""
    if step.artifact in existing:
        n_rows = existing[step.artifact].manifest["n_rows"]
        return StepForecast(step.artifact, "up to date", n_rows)
    n_rows = n_samples if step.artifact in ROW_PER_SAMPLE else None
    # The questions of all rounds are counted in the first one.
    is_first = step.round in {None, 0}
    n_asked = n_questions.get(step.stage.name) if is_first else None
    if n_asked is None:
        return StepForecast(step.artifact, "would run", n_rows)
    models = models_of.get(step.stage.name, ())
    return StepForecast(
        step.artifact,
        "would run",
        n_rows,
        n_asked,
        models,
        seconds.get(step.stage.name),
    )
