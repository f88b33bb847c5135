"""What a run has still to ask of an endpoint, without asking it: the questions behind batch and exchange files.

The loop is run with models that answer from the ledger alone. It goes as far as the replies reach, making the same
artifacts as an online run would, and stops at the first stage that has open questions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tacos import prompts
from tacos.api import STATE, Quiet
from tacos.assembling import EMBEDDED, Own, models_for, network_models
from tacos.config import Settings
from tacos.engines.local import LocalEngine
from tacos.errors import ConfigError, RunError
from tacos.llm.ledger import Ledger
from tacos.llm.prompting import Asked, asked
from tacos.llm.replaying import Replaying, Unanswered
from tacos.llm.replies import resolve
from tacos.records import Reply
from tacos.run import Models, execute, existing, section_of, tables_for
from tacos.stages import PromptStage, Tables, plan
from tacos.storage.artifacts import Store

GROUP = 1000


@dataclass(frozen=True)
class Source:
    """The input of a run that has read it already: only its digest is needed any more."""

    digest: str

    def batches(self, columns: Any = None) -> Iterator[Any]:
        """Nothing can be read again."""
        raise RunError("the run does not hold its input; read it first, with `tacos select DATA ... --until ingest`")

    def scan(self) -> pl.LazyFrame:
        """Raw rows are no table."""
        raise NotImplementedError


@dataclass(frozen=True)
class Pending:
    """The next stage that asks, and all its questions: answered ones, and those that are open (re-asks among them)."""

    artifact: str
    model: str
    questions: dict[str, Asked]
    open: dict[str, Asked]


def pending(run: Path, ledger: Ledger) -> Pending | None:
    """What a run asks next; None where it asks nothing any more. Raises `RunError`, `ConfigError`."""
    store = Store(run)
    state = store.read_state(STATE)
    settings = Settings.model_validate(state["settings"])
    asking = network_models(settings)
    if not asking:
        raise ConfigError(f"the run {run} asks no endpoint; select with --llm or --model first")
    samples = store.find("samples", state["artifacts"].get("samples", ""))
    if samples is None:
        raise RunError(f"{run} has read no input yet; run `tacos select DATA ... --until ingest` first")
    source = Source(samples.manifest["inputs"]["input"])
    local = settings.model_copy(
        update={stage: getattr(settings, stage).model_copy(update={"model": EMBEDDED}) for stage in asking}
    )
    with store.lock(), models_for(local, Own()) as embedded:
        replaying = {stage: Replaying(settings.llm, model, ledger) for stage, model in asking.items()}
        models = Models({**embedded.prompt, **replaying}, embedded.tools)
        return advance(source, settings, store, models, ledger)


def advance(source: Source, settings: Settings, store: Store, models: Models, ledger: Ledger) -> Pending | None:
    """Run as far as the ledger reaches; what is asked then."""
    engine = LocalEngine(1)
    try:
        execute(source, settings, store, engine, models, Quiet())
        return None
    except Unanswered:
        made = existing(source, settings, store, models)
    finally:
        engine.close()
    steps = plan(settings)
    step = next(step for step in steps if step.artifact not in made)
    assert isinstance(step.stage, PromptStage)
    model = models.prompt[step.stage.name].name
    tables = tables_for(step, steps, {"input": source}, made)
    return collect(step.artifact, list(questions(step.stage, tables, settings, model)), model, ledger)


def questions(stage: PromptStage, tables: Tables, settings: Settings, model: str) -> Iterator[Asked]:
    """The questions of a stage, as they go out to a model."""
    digest, config = prompts.content_hash(stage.template), getattr(settings, section_of(stage))
    for batch in stage.questions(tables, settings):
        for row in batch.iter_rows(named=True):
            if stage.given(row) is None:
                yield asked(stage.ask(row, stage.template, digest, config), model, settings.llm.body)


def collect(artifact: str, all_asked: list[Asked], model: str, ledger: Ledger) -> Pending:
    """Which of the questions are open."""
    still: dict[str, Asked] = {}
    for start in range(0, len(all_asked), GROUP):
        found = resolve(all_asked[start : start + GROUP], ledger)
        still |= {each.key: each for each in found if not isinstance(each, Reply)}
    return Pending(artifact, model, {each.key: each for each in all_asked} | still, still)
