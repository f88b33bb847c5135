"""What a run asks next of an endpoint, as far as the replies of a ledger reach.

The loop runs with models that answer from the ledger alone. It makes the same artifacts as an
online run, and stops at the first stage with open questions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from tacos import prompts
from tacos.config import Settings, read_run_settings
from tacos.engines.local import LocalEngine
from tacos.errors import ConfigError, RunError
from tacos.llm.chat.messages import RenderedRequest, render_request
from tacos.llm.embedding.encoder import LedgerEncoder
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.ledger.lookup import list_open_requests, resolve_questions
from tacos.llm.ledger.reply_rules import ReplyRules, build_reply_rules
from tacos.llm.offline.ledger_replay import LedgerModel, MissingRepliesError
from tacos.llm.transport.endpoint import resolve_base_url
from tacos.llm.transport.endpoint_names import name_endpoint
from tacos.pipeline.failure_gate import find_settings_section
from tacos.pipeline.frame_table import FrameTable
from tacos.pipeline.model_factory import (
    EndpointClients,
    UserFunctions,
    build_models,
    list_embedding_models,
    list_endpoint_models,
)
from tacos.pipeline.offline_questions import check_replies, choose_open_requests
from tacos.pipeline.plan import Step, plan_steps
from tacos.pipeline.run_loop import (
    StageModels,
    find_existing_artifacts,
    gather_tables,
    run_plan,
)
from tacos.pipeline.stage_shapes import PromptStage
from tacos.pipeline.stages import ANSWERING
from tacos.records import Encoder, Model, Reply, Table, Tables
from tacos.store.artifacts import Artifact, Store
from tacos.workflows.answer_run import (
    STAGE,
    ask_turns,
    is_answer_run,
    read_answer_run,
)
from tacos.workflows.extension import open_old_tables
from tacos.workflows.judging import is_judging_run, read_judging_run
from tacos.workflows.run_state import read_run_state
from tacos.workflows.selection import GivenRun, find_run_directory
from tacos.workflows.silent_progress import SilentProgress

COMMANDS = {"grade-answers": "mt-bench", "prefer": "alpaca-eval", "duel": "duel"}
"""Stage of an evaluation -> the command that has it."""
GROUP = 1000
"""Questions that are looked up in the ledger at once."""


@dataclass(frozen=True)
class PendingRequests:
    """The next stage that asks an endpoint, and its questions."""

    artifact: str
    """What the stage makes."""
    questions: dict[str, RenderedRequest]
    """Key -> request: all questions of the stage, answered or open, and all open re-asks."""
    open: dict[str, RenderedRequest]
    """Key -> request: the questions without a reply, and re-asks after unusable replies; where too
    many first replies are unusable, only some of these, until it is known whether that helps.
    """
    stage: PromptStage
    settings: Settings
    firsts: list[RenderedRequest]
    """The questions themselves, in the order of the stage."""
    results: list[Reply | RenderedRequest]
    """What the ledger says to each of them."""
    n_all: int
    """All rows of the stage, those with an answer in the input too."""

    @property
    def n_open(self) -> int:
        """How many requests have no reply, those included that are not in `open` yet."""
        return len(list_open_requests(self.results))

    def describe_open(self) -> str:
        """How many requests have no reply, in words."""
        text = f"{self.n_open:,} requests have no reply yet"
        n_first = len(self.open)
        if n_first == self.n_open:
            return text
        return (
            f"{text} (too many replies cannot be used: {n_first:,} requests come first, "
            "to see whether asking again helps)"
        )

    def check(self) -> None:
        """Raise `FailureRateError` where too many of the replies that are in cannot be used."""
        check_replies(
            self.stage,
            self.settings,
            self.firsts,
            self.results,
            self.n_all,
        )

    def choose(
        self, results: Sequence[Reply | RenderedRequest]
    ) -> dict[str, RenderedRequest]:
        """Key -> request to send next, by what is known later. Raises as `check` does."""
        check_replies(
            self.stage,
            self.settings,
            self.firsts,
            results,
            self.n_all,
        )
        return choose_open_requests(
            self.stage,
            self.settings,
            self.firsts,
            results,
            self.n_all,
        )


def load_run_settings(run: GivenRun) -> Settings:
    """The settings that a run was made with. Raises `RunError` if there is no run."""
    directory = find_run_directory(run)
    if is_answer_run(directory):
        return read_answer_run(directory).settings
    if is_judging_run(directory):
        return read_judging_run(directory).settings
    state = read_run_state(directory)
    return read_run_settings(state["settings"])


def list_run_models(run: GivenRun) -> dict[str, tuple[str, ...]]:
    """Stage -> the models of an endpoint that a run asks. Raises `RunError` if there is no run."""
    directory = find_run_directory(run)
    if is_answer_run(directory):
        return {STAGE: (read_answer_run(directory).model,)}
    if is_judging_run(directory):
        asked = read_judging_run(directory)
        return {asked.stage.name: (asked.judge,)}
    return list_endpoint_models(load_run_settings(run))


def name_command(run: GivenRun) -> str:
    """The command that goes on with a run once its questions are answered."""
    directory = find_run_directory(run)
    if is_judging_run(directory):
        return COMMANDS[read_judging_run(directory).stage.name]
    return "answer" if is_answer_run(directory) else "select"


def build_run_rules(
    run: GivenRun,
    ledger: Ledger,
    *,
    other_endpoints: bool = False,
) -> ReplyRules:
    """Which replies of an open ledger answer the questions of a run."""
    rules = build_reply_rules(load_run_settings(run).llm, ledger.opened_at)
    allows_others = rules.allows_others or other_endpoints
    return replace(rules, allows_others=allows_others)


def find_pending_requests(
    run: Path,
    ledger: Ledger,
    rules: ReplyRules | None = None,
) -> PendingRequests | None:
    """`requests` with an open ledger; `rules` are those of the run by default."""
    if is_answer_run(run):
        return _find_pending_answers(run, ledger, rules)
    if is_judging_run(run):
        return _find_pending_verdicts(run, ledger, rules)
    store = Store(run)
    # The settings of the run, not of the caller: other ones would ask other questions.
    state = read_run_state(store.root)
    settings = read_run_settings(state["settings"])
    digest = _find_samples(store, state).manifest["inputs"]["input"]
    if rules is None:
        rules = build_reply_rules(settings.llm, ledger.opened_at)
    with store.lock():
        models = _build_replay_models(settings, ledger, rules)
        return _advance_run(
            _DigestOnlySource(digest, open_old_tables(settings, models)),
            settings,
            store,
            models,
            ledger,
            rules,
        )


def _find_pending_answers(
    directory: Path, ledger: Ledger, rules: ReplyRules | None
) -> PendingRequests | None:
    """What is asked next for the answers of a server's model."""
    known = read_answer_run(directory)
    settings = known.settings
    if rules is None:
        rules = build_reply_rules(settings.llm, ledger.opened_at)
    model = LedgerModel(settings.llm, known.model, ledger, rules)
    store = Store(directory)
    turns: list[pl.DataFrame] = []
    with store.lock(keeps_parts=True), closing(LocalEngine(1)) as engine:
        try:
            ask_turns(
                known.questions,
                settings,
                store,
                engine,
                StageModels({STAGE: model}, {}),
                SilentProgress(),
                turns.append,
            )
            return None
        # The ledger reaches no further than the turn that was asked last.
        except MissingRepliesError:
            (step,) = plan_steps(settings, ANSWERING)
    assert isinstance(step.stage, PromptStage)
    tables: Tables = {"asked_turns": FrameTable(turns[-1])}
    rendered = list(_render_questions(step.stage, tables, settings, [known.model]))
    return _collect_open_requests(step, settings, rendered, ledger, rules)


def _find_pending_verdicts(
    directory: Path, ledger: Ledger, rules: ReplyRules | None
) -> PendingRequests | None:
    """What is asked next of the judge of an evaluation."""
    asked = read_judging_run(directory)
    settings = asked.settings
    if rules is None:
        rules = build_reply_rules(settings.llm, ledger.opened_at)
    rendered = list(
        _render_questions(asked.stage, asked.tables, settings, [asked.judge])
    )
    (step,) = plan_steps(settings, (asked.stage,))
    pending = _collect_open_requests(step, settings, rendered, ledger, rules)
    if pending.open:
        return pending
    # With too many unusable replies, the evaluation would stop.
    pending.check()
    return None


@dataclass(frozen=True)
class _DigestOnlySource:
    """The input of a run that has read it already: only its digest is needed."""

    digest: str
    old_tables: Mapping[str, Table] = field(default_factory=dict)

    def heads(self, n_rows: int) -> Iterator[Any]:
        """Raise `RunError`, as `batches` does."""
        return self.batches()

    def batches(self, columns: Any = None) -> Iterator[Any]:
        """Raise `RunError`: the rows cannot be read again."""
        raise RunError(
            "the run does not hold its input; "
            "read it first, with `tacos select DATA ... --until ingest`"
        )

    def scan(self) -> pl.LazyFrame:
        """Raw rows are not a table."""
        raise NotImplementedError


def _find_samples(store: Store, state: dict[str, Any]) -> Artifact:
    """The samples that a run has read, even if a later run was stopped before it noted them."""
    noted = state["artifacts"].get("samples", "")
    folders = sorted(path.name for path in (store.root / "samples").glob("*"))
    # The noted one first; the folders are those of runs that were stopped later on.
    for key in (noted, *folders):
        samples = store.find("samples", key) if key else None
        if samples is not None:
            return samples
    raise RunError(
        f"{store.root} has not read its input yet; run `tacos select DATA ... --until ingest` first"
    )


def _build_replay_models(
    settings: Settings,
    ledger: Ledger,
    rules: ReplyRules,
) -> StageModels:
    """The models of a run; those of the endpoint answer from the ledger alone."""
    # A panel may name a model for several stages.
    names: set[str] = set()
    for models_of_stage in list_endpoint_models(settings).values():
        names.update(models_of_stage)
    if not names:
        raise ConfigError(
            "this run calls no endpoint: select with a language model first "
            "(--model or --llm; in Python, tag.model and judge.model)"
        )
    # Models that answer from the ledger open no connection, so nothing has to be closed.
    clients: dict[str, Model] = {}
    for name in names:
        clients[name] = LedgerModel(settings.llm, name, ledger, rules)
    # The vectors may come from an endpoint of their own.
    embedding = settings.embed.endpoint(settings.llm)
    name = name_endpoint(resolve_base_url(embedding), embedding)
    vector_rules = replace(rules, endpoint=name)
    encoders: dict[str, Encoder] = {}
    for (model,) in list_embedding_models(settings).values():
        encoders[model] = LedgerEncoder(model, settings.embed, ledger, vector_rules)
    network = EndpointClients(
        settings,
        None,
        ExitStack(),
        clients=clients,
        encoders=encoders,
    )
    return build_models(settings, UserFunctions(), network)


def _advance_run(
    source: _DigestOnlySource,
    settings: Settings,
    store: Store,
    models: StageModels,
    ledger: Ledger,
    rules: ReplyRules,
) -> PendingRequests | None:
    """Run as far as the ledger reaches; returns what is asked then."""
    with closing(LocalEngine(1)) as engine:
        try:
            run_plan(
                source,
                settings,
                store,
                engine,
                models,
                SilentProgress(),
            )
            return None
        # The ledger reaches no further: everything up to here is made.
        except MissingRepliesError:
            artifacts = find_existing_artifacts(
                source,
                settings,
                store,
                models,
            )
    # The first step without an artifact is the one that asks.
    steps = plan_steps(settings)
    step = next(step for step in steps if step.artifact not in artifacts)
    assert isinstance(step.stage, PromptStage)
    tables = gather_tables(
        step,
        steps,
        {"input": source, **source.old_tables},
        artifacts,
    )
    names = list_endpoint_models(settings)[step.stage.name]
    rendered = list(
        _render_questions(
            step.stage,
            tables,
            settings,
            names,
        )
    )
    return _collect_open_requests(step, settings, rendered, ledger, rules)


def _render_questions(
    stage: PromptStage,
    tables: Tables,
    settings: Settings,
    names: Sequence[str],
) -> Iterator[RenderedRequest | None]:
    """For each row of a stage the question to a model of the endpoint, as it is sent; None where
    the input or another judge answers it.

    Requests of a panel name the judge that answers; all others go to the stage's only model.
    """
    template = stage.choose_template(settings)
    digest = prompts.hash_template(template)
    section = getattr(settings, find_settings_section(stage))
    for batch in stage.questions(tables, settings):
        for row in batch.iter_rows(named=True):
            if stage.given(row) is not None:
                yield None
                continue
            request = stage.ask(
                row,
                template,
                digest,
                section,
            )
            if request.model and request.model not in names:
                yield None
                continue
            yield render_request(request, request.model or names[0], settings.llm.body)


def _collect_open_requests(
    step: Step,
    settings: Settings,
    rendered: Sequence[RenderedRequest | None],
    ledger: Ledger,
    rules: ReplyRules,
) -> PendingRequests:
    """Look up the questions in the ledger, and collect those that are open."""
    assert isinstance(step.stage, PromptStage)
    questions = [question for question in rendered if question is not None]
    n_all = len(rendered)
    results: list[Reply | RenderedRequest] = []
    for start in range(0, len(questions), GROUP):
        group = questions[start : start + GROUP]
        results += resolve_questions(group, ledger, rules)
    # A re-ask after an unusable reply has a key of its own, which no question has.
    still_open = choose_open_requests(step.stage, settings, questions, results, n_all)
    all_questions = {request.key: request for request in questions}
    return PendingRequests(
        step.artifact,
        all_questions | list_open_requests(results),
        still_open,
        step.stage,
        settings,
        questions,
        results,
        n_all,
    )
