"""`tacos requests`: have somebody else answer what a run asks of an endpoint.

The loop runs with models that answer from the ledger alone. It goes as far as the replies reach,
makes the same artifacts as an online run, and stops at the first stage with open questions. Those
are exported to a file, or sent to the endpoint's batch API; the replies go into the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any

import polars as pl

from tacos import prompts
from tacos.config import LLMSettings, Settings, read_run_settings
from tacos.engines.local import LocalEngine
from tacos.errors import ConfigError, InputError, RunError
from tacos.llm.chat.messages import RenderedRequest, render_request
from tacos.llm.chat.request_form import RequestForm
from tacos.llm.embedding.encoder import LedgerEncoder
from tacos.llm.ledger.ledger import Ledger, open_ledger
from tacos.llm.ledger.lookup import resolve_questions
from tacos.llm.ledger.reply_rules import ReplyRules, build_reply_rules
from tacos.llm.offline import batch_api, exchange_files
from tacos.llm.offline.exchange_files import ImportCounts
from tacos.llm.offline.ledger_replay import LedgerModel, MissingRepliesError
from tacos.llm.offline.reply_lines import FailureCounts
from tacos.llm.transport.endpoint import resolve_base_url
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
from tacos.workflows import arguments
from tacos.workflows.selection import STATE, GivenRun, find_run_directory
from tacos.workflows.silent_progress import SilentProgress

GROUP = 1000
"""Questions that are looked up in the ledger at once."""

Say = Callable[[str], None]
"""Told of the progress of a batch, a line at a time."""


@dataclass(frozen=True)
class PendingRequests:
    """The next stage that asks an endpoint, and its questions."""

    artifact: str
    """What the stage makes."""
    questions: dict[str, RenderedRequest]
    """Key -> request: all questions of the stage, answered or open."""
    open: dict[str, RenderedRequest]
    """Key -> request: the questions without a reply, and re-asks after unusable replies."""


@dataclass(frozen=True)
class ExportedRequests:
    """The requests of a stage that were written to a file."""

    artifact: str
    n_written: int
    n_questions: int


@dataclass(frozen=True)
class ImportedReplies:
    """The lines of a reply file by what became of them, and what the run asks next."""

    artifact: str
    counts: ImportCounts
    failures: FailureCounts
    """Why lines held no answer."""


@dataclass(frozen=True)
class BatchResult:
    """How asking by batch ended."""

    failed: dict[str, str]
    """Key of a question -> why its last try failed; empty if every question is answered."""
    n_answered: int | None = None
    """Replies kept from cancelled batches; None if nothing was cancelled."""


def requests(
    run: GivenRun,
    *,
    ledger: str | Path | None = None,
    other_endpoints: bool = False,
) -> PendingRequests | None:
    """Find what a run asks next of an endpoint; None if every question is answered.

    Questions with unusable replies of earlier commands are open again (`llm.ask_again`).

    Raises:
        ConfigError: No stage of the run asks an endpoint.
        OtherEndpointError: Replies of another endpoint than the run's would be used, without
            `other_endpoints`.
        RunError: `run` is no run directory, or has not read its input yet.
    """
    directory = find_run_directory(run)
    ledger_file = arguments.to_optional_path("ledger", ledger)
    with open_ledger(ledger_file) as book:
        rules = build_run_rules(run, book, other_endpoints=other_endpoints)
        return find_pending_requests(directory, book, rules)


def settle_requests(
    run: GivenRun,
    *,
    ledger: str | Path | None = None,
    other_endpoints: bool = False,
) -> PendingRequests | None:
    """As `requests`, but unusable replies are taken as they are: rows without a usable reply are
    left out, and a stage that loses too many of them raises `FailureRateError`.
    """
    directory = find_run_directory(run)
    ledger_file = arguments.to_optional_path("ledger", ledger)
    with open_ledger(ledger_file) as book:
        rules = build_run_rules(run, book, other_endpoints=other_endpoints)
        settled = replace(rules, before=0.0)
        return find_pending_requests(directory, book, settled)


def export_requests(
    run: GivenRun,
    output: str | Path,
    *,
    ledger: str | Path | None = None,
    other_endpoints: bool = False,
) -> ExportedRequests | None:
    """Write the open requests of a run's next stage as lines of JSON, in the format of OpenAI's
    batch API.

    Returns None, and writes nothing, if every question is answered. Raises as `requests` does.
    """
    target = arguments.to_path("output", output)
    pending = requests(run, ledger=ledger, other_endpoints=other_endpoints)
    if pending is None:
        return None
    settings = load_run_settings(run).llm
    n_written = exchange_files.write_request_file(
        pending.open.values(),
        target,
        _choose_form(settings),
        settings.omit,
    )
    return ExportedRequests(pending.artifact, n_written, len(pending.questions))


def import_replies(
    run: GivenRun,
    replies: str | Path,
    *,
    ledger: str | Path | None = None,
    other_endpoints: bool = False,
) -> ImportedReplies | None:
    """Add the replies of a file to the ledger, from where the run uses them.

    A usable reply takes the place of one that cannot be used. Returns None if every question is
    answered already. Raises as `requests` does.
    """
    source = arguments.to_path("replies", replies)
    directory = find_run_directory(run)
    ledger_file = arguments.to_optional_path("ledger", ledger)
    with open_ledger(ledger_file) as book:
        rules = build_run_rules(run, book, other_endpoints=other_endpoints)
        pending = find_pending_requests(directory, book, rules)
        if pending is None:
            return None
        lines = exchange_files.read_exchange_lines(source)
        stored = exchange_files.store_replies(lines, pending.questions, book)
    return ImportedReplies(pending.artifact, stored.counts, stored.failures)


def check_import(imported: ImportedReplies, replies: str | Path) -> None:
    """Raise `InputError` if no line of a reply file belongs to the run."""
    if imported.counts.n_new + imported.counts.n_known == 0:
        raise InputError(f"{replies} has no reply to any open request of this run")


def run_batch(
    run: GivenRun,
    *,
    budget: str | None = None,
    poll: float = 30.0,
    abandon: bool = False,
    ledger: str | Path | None = None,
    say: Say | None = None,
    other_endpoints: bool = False,
) -> BatchResult:
    """Have the endpoint's batch API answer, stage by stage, until no question is open.

    Args:
        run: The run directory, or a selection.
        budget: A hard cap: "5usd", "2Mtokens" or "1000requests"; that of the run by default.
        poll: Seconds between two looks at a batch.
        abandon: Submit nothing; cancel the batches that are out, and keep what they answered.
        ledger: The file of paid replies; in the user's data folder by default.
        say: A function that is told of the progress, a line at a time.
        other_endpoints: Whether replies of other endpoints are used.

    It may be stopped and called again: nothing is submitted twice.

    Raises:
        BudgetReachedError: The cap is reached.
        ConfigError: No stage of the run asks an endpoint, or a budget in dollars has no price.
        LLMError: The endpoint refuses.
        RunError: `run` is no run directory, or has not read its input yet.
    """
    arguments.check_function("say", say)
    arguments.check_type("poll", poll, Real, "a number of seconds")
    if budget is not None:
        arguments.check_type("budget", budget, str, "a text such as '5usd'")
    tell = say or _say_nothing
    settings = load_run_settings(run).llm
    changes = {
        "budget": budget or settings.budget,
        "other_endpoints": other_endpoints or settings.other_endpoints,
    }
    settings = settings.model_copy(update=changes)
    directory = find_run_directory(run)
    ledger_file = arguments.to_optional_path("ledger", ledger)
    with open_ledger(ledger_file) as book:
        rules = build_reply_rules(settings, book.opened_at)
        while True:
            pending = find_pending_requests(directory, book, rules)
            if pending is None:
                return BatchResult({})
            tell(
                f"{pending.artifact}: {len(pending.open):,} requests have no reply yet"
            )
            questions = list(pending.questions.values())
            if abandon:
                n_answered = batch_api.cancel_batches(
                    questions,
                    settings,
                    book,
                    poll,
                    tell,
                )
                return BatchResult({}, n_answered)
            outcome = batch_api.fetch_batch_replies(
                questions,
                settings,
                book,
                poll,
                tell,
            )
            if outcome.failed:
                return BatchResult(outcome.failed)


def _say_nothing(line: str) -> None:
    """Ignore a line about the progress of a batch."""


def load_run_settings(run: GivenRun) -> Settings:
    """The settings that a run was made with. Raises `RunError` if there is no run."""
    state = Store(find_run_directory(run)).read_state(STATE)
    return read_run_settings(state["settings"])


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
    store = Store(run)
    # The settings of the run, not of the caller: other ones would ask other questions.
    state = store.read_state(STATE)
    settings = read_run_settings(state["settings"])
    digest = _find_samples(store, state).manifest["inputs"]["input"]
    if rules is None:
        rules = build_reply_rules(settings.llm, ledger.opened_at)
    with store.lock():
        models = _build_replay_models(settings, ledger, rules)
        return _advance_run(
            _DigestOnlySource(digest),
            settings,
            store,
            models,
            ledger,
            rules,
        )


@dataclass(frozen=True)
class _DigestOnlySource:
    """The input of a run that has read it already: only its digest is needed."""

    digest: str

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


def _choose_form(settings: LLMSettings) -> RequestForm:
    """The form that requests are written in: the one of the settings, or the strictest."""
    # Whoever answers the file cannot be probed for what it supports.
    if settings.structured == "auto":
        return RequestForm()
    return RequestForm(settings.structured)


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
    embedding = resolve_base_url(settings.embed.endpoint(settings.llm))
    vector_rules = replace(rules, endpoint=embedding)
    encoders: dict[str, Encoder] = {}
    for (model,) in list_embedding_models(settings).values():
        encoders[model] = LedgerEncoder(model, settings.embed, ledger, vector_rules)
    network = EndpointClients(
        settings,
        None,
        ExitStack(),
        clients,
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
        {"input": source},
        artifacts,
    )
    names = list_endpoint_models(settings)[step.stage.name]
    questions = list(
        _render_questions(
            step.stage,
            tables,
            settings,
            names,
        )
    )
    return _collect_open_requests(step.artifact, questions, ledger, rules)


def _render_questions(
    stage: PromptStage,
    tables: Tables,
    settings: Settings,
    names: Sequence[str],
) -> Iterator[RenderedRequest]:
    """The questions of a stage to models of the endpoint, as they are sent.

    Requests of a panel name the judge that answers; all others go to the stage's only model.
    """
    template = stage.choose_template(settings)
    digest = prompts.hash_template(template)
    section = getattr(settings, find_settings_section(stage))
    for batch in stage.questions(tables, settings):
        for row in batch.iter_rows(named=True):
            if stage.given(row) is not None:
                continue  # the input answers this one itself
            request = stage.ask(
                row,
                template,
                digest,
                section,
            )
            if not request.model or request.model in names:
                yield render_request(
                    request, request.model or names[0], settings.llm.body
                )


def _collect_open_requests(
    artifact: str,
    questions: list[RenderedRequest],
    ledger: Ledger,
    rules: ReplyRules,
) -> PendingRequests:
    """Look up the questions in the ledger, and collect those that are open."""
    # A re-ask after an unusable reply has a key of its own, which no question has.
    still_open: dict[str, RenderedRequest] = {}
    for start in range(0, len(questions), GROUP):
        group = questions[start : start + GROUP]
        for resolved in resolve_questions(group, ledger, rules):
            if not isinstance(resolved, Reply):
                still_open[resolved.key] = resolved
    all_questions = {request.key: request for request in questions}
    return PendingRequests(artifact, all_questions | still_open, still_open)
