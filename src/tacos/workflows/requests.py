"""What a run has still to ask of an endpoint, without asking it: the questions behind batch and
exchange files.

The loop is run with models that answer from the ledger alone. It goes as far as the replies reach,
making the same artifacts as an online run would, and stops at the first stage that has open
questions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tacos import prompts
from tacos.config import Settings
from tacos.engines.local import LocalEngine
from tacos.errors import ConfigError, RunError
from tacos.llm.chat.messages import Asked, asked
from tacos.llm.embedding.encoder import Recalling
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.ledger.lookup import resolve
from tacos.llm.offline.ledger_replay import Replaying, Unanswered
from tacos.pipeline.model_factory import Network, Own, asked_models, assemble, encoding_models
from tacos.pipeline.run_loop import Models, execute, existing, section_of, tables_for
from tacos.pipeline.stages import PromptStage, Tables, plan
from tacos.records import Encoder, Model, Reply
from tacos.store.artifacts import Artifact, Store
from tacos.workflows.select import STATE, Quiet

GROUP = 1000


@dataclass(frozen=True)
class Source:
    """The input of a run that has read it already: only its digest is needed any more."""

    digest: str

    def batches(self, columns: Any = None) -> Iterator[Any]:
        """Nothing can be read again."""
        raise RunError(
            "the run does not hold its input; read it first, with `tacos select DATA ... --until ingest`"
        )

    def scan(self) -> pl.LazyFrame:
        """Raw rows are no table."""
        raise NotImplementedError


@dataclass(frozen=True)
class Pending:
    """The next stage that asks, and all its questions: answered ones, and those that are open
    (re-asks among them).
    """

    artifact: str
    questions: dict[str, Asked]
    open: dict[str, Asked]


def pending(run: Path, ledger: Ledger) -> Pending | None:
    """What a run asks next; None where it asks nothing any more. Raises `RunError`, `ConfigError`."""
    store = Store(run)
    state = store.read_state(STATE)
    settings = Settings.model_validate(state["settings"])
    source = Source(samples_of(store, state).manifest["inputs"]["input"])
    with store.lock():
        return advance(source, settings, store, replaying_models(settings, ledger), ledger)


def samples_of(store: Store, state: dict[str, Any]) -> Artifact:
    """The samples that a run has read, also where it was stopped later on. Raises `RunError`."""
    keys = [
        state["artifacts"].get("samples", ""),
        *sorted(path.name for path in (store.root / "samples").glob("*")),
    ]
    found = [
        artifact for key in keys if key and (artifact := store.find("samples", key)) is not None
    ]
    if not found:
        raise RunError(
            f"{store.root} has read no input yet; run `tacos select DATA ... --until ingest` first"
        )
    return found[0]


def replaying_models(settings: Settings, ledger: Ledger) -> Models:
    """The models of a run, those of the endpoint answering from the ledger alone. Raises
    `ConfigError` without any.
    """
    names = {name for asked_of_stage in asked_models(settings).values() for name in asked_of_stage}
    if not names:
        raise ConfigError("the run asks no endpoint; select with --llm or --model first")
    clients: dict[str, Model] = {name: Replaying(settings.llm, name, ledger) for name in names}
    models = {model for (model,) in encoding_models(settings).values()}
    encoders: dict[str, Encoder] = {
        model: Recalling(model, settings.embed, ledger) for model in models
    }
    network = Network(settings, None, ExitStack(), clients, encoders=encoders)
    return assemble(settings, Own(), network)


def advance(
    source: Source, settings: Settings, store: Store, models: Models, ledger: Ledger
) -> Pending | None:
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
    names = asked_models(settings)[step.stage.name]
    found = list(
        questions(step.stage, tables_for(step, steps, {"input": source}, made), settings, names)
    )
    return collect(step.artifact, found, ledger)


def questions(
    stage: PromptStage, tables: Tables, settings: Settings, names: Sequence[str]
) -> Iterator[Asked]:
    """The questions of a stage to models of the endpoint, as they go out; those of a panel name
    their model.
    """
    digest, config = prompts.content_hash(stage.template), getattr(settings, section_of(stage))
    for batch in stage.questions(tables, settings):
        for row in batch.iter_rows(named=True):
            request = (
                stage.ask(row, stage.template, digest, config) if stage.given(row) is None else None
            )
            if request is not None and (not request.model or request.model in names):
                yield asked(request, request.model or names[0], settings.llm.body)


def collect(artifact: str, all_asked: list[Asked], ledger: Ledger) -> Pending:
    """Which of the questions are open."""
    still: dict[str, Asked] = {}
    for start in range(0, len(all_asked), GROUP):
        found = resolve(all_asked[start : start + GROUP], ledger)
        still |= {each.key: each for each in found if not isinstance(each, Reply)}
    return Pending(artifact, {each.key: each for each in all_asked} | still, still)
