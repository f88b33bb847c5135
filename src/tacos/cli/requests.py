"""`tacos requests export|import|batch`: let somebody else answer what a run asks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tacos.cli.shared import consent, console, options
from tacos.config import LLMSettings, Settings
from tacos.errors import InputError
from tacos.llm.chat import envelope
from tacos.llm.ledger import ledger as ledgers
from tacos.llm.offline import batch_api as batches
from tacos.llm.offline import exchange_files
from tacos.pipeline.model_factory import list_endpoint_models
from tacos.store.artifacts import Store
from tacos.workflows import requests
from tacos.workflows.select import STATE

app = typer.Typer(
    help="Answer what a run asks by other ways: files in the format of OpenAI's batch API, or that API itself.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Run = Annotated[Path, typer.Argument(help="the run directory")]
Lines = Annotated[
    Path,
    typer.Option("-o", "--output", help="where to write the requests, one JSON object per line"),
]
Replies = Annotated[Path, typer.Argument(help="the replies, one JSON object per line")]
Abandon = Annotated[
    bool,
    typer.Option(
        "--abandon",
        help="submit nothing; cancel the batches that are out and keep what they answered",
    ),
]
Poll = Annotated[float, typer.Option(help="seconds between looks", min=0.01)]


@app.command("export")
def export_requests(run: Run, output: Lines, ledger: options.Ledger = None) -> None:
    """Write what the next LLM stage would ask and has no reply to.

    \b
    tacos select data.jsonl -n 1000 -o out.jsonl --model MODEL --until ingest
    tacos requests export out.jsonl.run -o requests.jsonl
    ... answer them, e.g. with vLLM: python -m vllm.entrypoints.openai.run_batch -i requests.jsonl
    -o replies.jsonl ... tacos requests import out.jsonl.run replies.jsonl
    """
    with ledgers.open_ledger(ledger) as book:
        found = requests.find_pending_requests(run, book)
        if found is None:
            _print_line("nothing is left to ask")
            return
        settings = _load_run_settings(run)
        n_written = exchange_files.write_request_file(
            found.open.values(), output, _choose_form(settings.llm), settings.llm.omit
        )
    _print_line(
        f"{found.artifact}: {n_written:,} of {len(found.questions):,} requests have no reply yet; written to {output}"
    )


@app.command("import")
def import_replies(run: Run, replies: Replies, ledger: options.Ledger = None) -> None:
    """Take replies into the ledger; the run then goes on with them."""
    with ledgers.open_ledger(ledger) as book:
        found = requests.find_pending_requests(run, book)
        if found is None:
            _print_line("nothing is left to ask")
            return
        counts = exchange_files.store_replies(
            exchange_files.read_exchange_lines(replies), found.questions, book
        )
        _print_line(
            f"{found.artifact}: {counts.n_new:,} new replies; {counts.n_known:,} known or repeated, "
            f"{counts.n_foreign:,} to something else, {counts.n_failed:,} errors, "
            f"{counts.n_unreadable:,} unreadable lines"
        )
        if counts.n_new + counts.n_known == 0:
            raise InputError(f"{replies} has no reply to anything that this run asks now")
        _print_pending(requests.find_pending_requests(run, book))


@app.command("batch")
def run_batch(
    run: Run,
    budget: options.Budget = None,
    yes: options.Yes = False,
    poll: Poll = 30.0,
    ledger: options.Ledger = None,
    abandon: Abandon = False,
) -> None:
    """Have the endpoint's batch API answer, stage by stage, until nothing is left to ask.

    May be stopped and repeated: nothing is submitted twice. While a batch is out, `tacos select`
    does not ask the same questions again.
    """
    settings = _load_run_settings(run)
    consent.ask_consent(settings, run, yes=yes, models=list_endpoint_models(settings))
    chosen = settings.llm.model_copy(update={"budget": budget or settings.llm.budget})
    with ledgers.open_ledger(ledger) as book:
        while (found := requests.find_pending_requests(run, book)) is not None:
            _print_line(f"{found.artifact}: {len(found.open):,} requests have no reply yet")
            if abandon:
                n_answered = batches.cancel_batches(
                    list(found.questions.values()), chosen, book, poll, _print_line
                )
                _print_line(
                    f"{n_answered:,} are answered; an online run (`tacos select ...`) asks the others"
                )
                return
            done = batches.fetch_batch_replies(
                list(found.questions.values()), chosen, book, poll, _print_line
            )
            if done.failed:
                _print_line(
                    f"{len(done.failed):,} got no answer, e.g. {next(iter(done.failed.values()))}"
                )
                _print_line(
                    "an online run (`tacos select ...`) asks them again, or makes them rejects"
                )
                return
    _print_pending(None)


def _choose_form(settings: LLMSettings) -> envelope.RequestForm:
    """The form that requests are written in: the settings', else the strictest."""
    return (
        envelope.RequestForm()
        if settings.structured == "auto"
        else envelope.RequestForm(settings.structured)
    )


def _load_run_settings(run: Path) -> Settings:
    """The settings that a run was made with."""
    return Settings.model_validate(Store(run).read_state(STATE)["settings"])


def _print_pending(left: requests.PendingRequests | None) -> None:
    """How to go on."""
    if left is None:
        _print_line(
            "every question is answered; `tacos select ...`, as before, now finishes without asking anything"
        )
    else:
        _print_line(
            f"{left.artifact}: {len(left.open):,} requests have no reply yet; export them, or let `tacos select` ask"
        )


def _print_line(text: str) -> None:
    """One line, as it is."""
    console.out.print(text, soft_wrap=True, markup=False)
