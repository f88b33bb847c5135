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
from tacos.llm.chat.messages import RenderedRequest, render_request
from tacos.llm.embedding.encoder import LedgerEncoder
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.ledger.lookup import resolve_questions
from tacos.llm.offline.ledger_replay import LedgerModel, MissingRepliesError
from tacos.pipeline.failure_gate import find_settings_section
from tacos.pipeline.model_factory import (
    EndpointClients,
    UserFunctions,
    build_models,
    list_embedding_models,
    list_endpoint_models,
)
from tacos.pipeline.plan import plan_steps
from tacos.pipeline.run_loop import (
    StageModels,
    find_existing_artifacts,
    gather_tables,
    run_plan,
)
from tacos.pipeline.stage_shapes import PromptStage
from tacos.pipeline.steps.pool import Tables
from tacos.records import Encoder, Model, Reply
from tacos.store.artifacts import Artifact, Store
from tacos.workflows.select import STATE, SilentProgress

GROUP = 1000


@dataclass(frozen=True)
class DigestOnlySource:
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
class PendingRequests:
    """The next stage that asks, and all its questions: answered ones, and those that are open
    (re-asks among them).
    """

    artifact: str
    questions: dict[str, RenderedRequest]
    open: dict[str, RenderedRequest]


def find_pending_requests(run: Path, ledger: Ledger) -> PendingRequests | None:
    """What a run asks next; None where it asks nothing any more. Raises `RunError`, `ConfigError`."""
    store = Store(run)
    state = store.read_state(STATE)
    settings = Settings.model_validate(state["settings"])
    source = DigestOnlySource(_find_samples(store, state).manifest["inputs"]["input"])
    with store.lock():
        return _advance_run(source, settings, store, _build_replay_models(settings, ledger), ledger)


def _find_samples(store: Store, state: dict[str, Any]) -> Artifact:
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


def _build_replay_models(settings: Settings, ledger: Ledger) -> StageModels:
    """The models of a run, those of the endpoint answering from the ledger alone. Raises
    `ConfigError` without any.
    """
    names = {
        name
        for asked_of_stage in list_endpoint_models(settings).values()
        for name in asked_of_stage
    }
    if not names:
        raise ConfigError("the run asks no endpoint; select with --llm or --model first")
    clients: dict[str, Model] = {name: LedgerModel(settings.llm, name, ledger) for name in names}
    models = {model for (model,) in list_embedding_models(settings).values()}
    encoders: dict[str, Encoder] = {
        model: LedgerEncoder(model, settings.embed, ledger) for model in models
    }
    network = EndpointClients(settings, None, ExitStack(), clients, encoders=encoders)
    return build_models(settings, UserFunctions(), network)


def _advance_run(
    source: DigestOnlySource, settings: Settings, store: Store, models: StageModels, ledger: Ledger
) -> PendingRequests | None:
    """Run as far as the ledger reaches; what is asked then."""
    engine = LocalEngine(1)
    try:
        run_plan(source, settings, store, engine, models, SilentProgress())
        return None
    except MissingRepliesError:
        made = find_existing_artifacts(source, settings, store, models)
    finally:
        engine.close()
    steps = plan_steps(settings)
    step = next(step for step in steps if step.artifact not in made)
    assert isinstance(step.stage, PromptStage)
    names = list_endpoint_models(settings)[step.stage.name]
    found = list(
        _prepare_requests(
            step.stage, gather_tables(step, steps, {"input": source}, made), settings, names
        )
    )
    return _collect_open_requests(step.artifact, found, ledger)


def _prepare_requests(
    stage: PromptStage, tables: Tables, settings: Settings, names: Sequence[str]
) -> Iterator[RenderedRequest]:
    """The questions of a stage to models of the endpoint, as they go out; those of a panel name
    their model.
    """
    digest, config = (
        prompts.hash_template(stage.template),
        getattr(settings, find_settings_section(stage)),
    )
    for batch in stage.questions(tables, settings):
        for row in batch.iter_rows(named=True):
            request = (
                stage.ask(row, stage.template, digest, config) if stage.given(row) is None else None
            )
            if request is not None and (not request.model or request.model in names):
                yield render_request(request, request.model or names[0], settings.llm.body)


def _collect_open_requests(
    artifact: str, all_asked: list[RenderedRequest], ledger: Ledger
) -> PendingRequests:
    """Which of the questions are open."""
    still: dict[str, RenderedRequest] = {}
    for start in range(0, len(all_asked), GROUP):
        found = resolve_questions(all_asked[start : start + GROUP], ledger)
        still |= {each.key: each for each in found if not isinstance(each, Reply)}
    return PendingRequests(artifact, {each.key: each for each in all_asked} | still, still)
