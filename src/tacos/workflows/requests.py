"""`tacos requests`: have somebody else answer what a run asks of an endpoint.

The open questions of the run's next stage (`pending_requests`) are exported to a file, or sent to
the endpoint's batch API; the replies go into the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path

from tacos.config import LLMSettings
from tacos.errors import ConfigError, FailureRateError, InputError
from tacos.llm.chat.request_form import RequestForm
from tacos.llm.ledger.ledger import open_ledger
from tacos.llm.ledger.location import list_ledger_files
from tacos.llm.ledger.lookup import resolve_questions
from tacos.llm.ledger.reply_rules import build_reply_rules
from tacos.llm.offline import batch_api, exchange_files
from tacos.llm.offline.exchange_files import ImportCounts
from tacos.llm.offline.reply_lines import FailureCounts
from tacos.llm.transport.endpoint import resolve_endpoint
from tacos.workflows import arguments, kept_files
from tacos.workflows.pending_requests import (
    PendingRequests,
    build_run_rules,
    find_pending_requests,
    load_run_settings,
)
from tacos.workflows.selection import GivenRun, find_run_directory

Say = Callable[[str], None]
"""Told of the progress of a batch, a line at a time."""


@dataclass(frozen=True)
class ExportedRequests:
    """The requests of a stage that were written to a file."""

    artifact: str
    n_written: int
    n_questions: int
    n_open: int
    """How many have no reply; more than were written, where too many replies cannot be used."""


@dataclass(frozen=True)
class ImportedReplies:
    """The lines of a reply file by what became of them, and what the run asks next."""

    artifact: str
    counts: ImportCounts
    failures: FailureCounts
    """Why lines held no answer."""
    error: FailureRateError | None = None
    """Why it is of no use to have the rest answered: too many replies cannot be used."""


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
    location = arguments.to_ledger_location(ledger)
    with open_ledger(location) as book:
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
    location = arguments.to_ledger_location(ledger)
    with open_ledger(location) as book:
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
    location = arguments.to_ledger_location(ledger)
    kept_files.check_files_kept([target], list_ledger_files(location))
    pending = requests(run, ledger=ledger, other_endpoints=other_endpoints)
    if pending is None:
        return None
    pending.check()
    settings = load_run_settings(run).llm
    n_written = exchange_files.write_request_file(
        pending.open.values(),
        target,
        _choose_form(settings),
        settings.omit,
    )
    return ExportedRequests(
        pending.artifact,
        n_written,
        len(pending.questions),
        pending.n_open,
    )


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
    location = arguments.to_ledger_location(ledger)
    with open_ledger(location) as book:
        rules = build_run_rules(run, book, other_endpoints=other_endpoints)
        pending = find_pending_requests(directory, book, rules)
        if pending is None:
            return None
        lines = exchange_files.read_exchange_lines(source)
        stored = exchange_files.store_replies(
            lines,
            pending.questions,
            book,
            redact=_choose_redaction(run),
        )
        # As soon as a part is in: too many unusable replies stop here, not after all parts.
        results = resolve_questions(pending.firsts, book, rules)
    error = None
    try:
        replace(pending, results=results).check()
    except FailureRateError as failure:
        error = failure
    return ImportedReplies(pending.artifact, stored.counts, stored.failures, error)


def _choose_redaction(run: GivenRun) -> Callable[[bytes], bytes]:
    """What takes the secrets of the run's endpoint out of a reply file, as far as they are set."""
    try:
        return resolve_endpoint(load_run_settings(run).llm).redact_bytes
    except ConfigError:
        # A variable is not set here, so this machine has no such secret to hide.
        return bytes


def check_import(imported: ImportedReplies, replies: str | Path) -> None:
    """Raise `InputError` if no line of a reply file belongs to the run, and `FailureRateError` if
    too many of the replies so far cannot be used.
    """
    if imported.error is not None:
        raise imported.error
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
        ledger: The file of paid replies, or the address of a PostgreSQL database that holds them;
            a file in the user's data folder by default.
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
    location = arguments.to_ledger_location(ledger)
    with open_ledger(location) as book:
        rules = build_reply_rules(settings, book.opened_at)
        while True:
            pending = find_pending_requests(directory, book, rules)
            if pending is None:
                return BatchResult({})
            tell(f"{pending.artifact}: {pending.describe_open()}")
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
            pending.check()
            outcome = batch_api.fetch_batch_replies(
                pending.firsts,
                settings,
                book,
                poll,
                tell,
                choose=pending.choose,
            )
            if outcome.failed:
                return BatchResult(outcome.failed)


def _say_nothing(line: str) -> None:
    """Ignore a line about the progress of a batch."""


def _choose_form(settings: LLMSettings) -> RequestForm:
    """The form that requests are written in: the one of the settings, or the strictest."""
    # Whoever answers the file cannot be probed for what it supports.
    if settings.structured == "auto":
        return RequestForm()
    return RequestForm(settings.structured)
