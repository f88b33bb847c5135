"""`tacos requests export|import|batch`: let somebody else answer what a run asks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tacos.cli.shared import consent, console, options
from tacos.config import LLM, Settings
from tacos.errors import InputError
from tacos.llm.chat import envelope
from tacos.llm.ledger import ledger as ledgers
from tacos.llm.offline import batch_api as batches
from tacos.llm.offline import exchange_files
from tacos.pipeline.model_factory import asked_models
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
def export(run: Run, output: Lines, ledger: options.Ledger = None) -> None:
    """Write what the next LLM stage would ask and has no reply to.

    \b
    tacos select data.jsonl -n 1000 -o out.jsonl --model MODEL --until ingest
    tacos requests export out.jsonl.run -o requests.jsonl
    ... answer them, e.g. with vLLM: python -m vllm.entrypoints.openai.run_batch -i requests.jsonl
    -o replies.jsonl ... tacos requests import out.jsonl.run replies.jsonl
    """
    with ledgers.open(ledger) as book:
        found = requests.pending(run, book)
        if found is None:
            say("nothing is left to ask")
            return
        settings = settings_of(run)
        n_written = exchange_files.export(
            found.open.values(), output, form(settings.llm), settings.llm.omit
        )
    say(
        f"{found.artifact}: {n_written:,} of {len(found.questions):,} requests have no reply yet; written to {output}"
    )


@app.command("import")
def take_in(run: Run, replies: Replies, ledger: options.Ledger = None) -> None:
    """Take replies into the ledger; the run then goes on with them."""
    with ledgers.open(ledger) as book:
        found = requests.pending(run, book)
        if found is None:
            say("nothing is left to ask")
            return
        counts = exchange_files.take_in(exchange_files.read_lines(replies), found.questions, book)
        say(
            f"{found.artifact}: {counts.n_new:,} new replies; {counts.n_known:,} known or repeated, "
            f"{counts.n_foreign:,} to something else, {counts.n_failed:,} errors, "
            f"{counts.n_unreadable:,} unreadable lines"
        )
        if counts.n_new + counts.n_known == 0:
            raise InputError(f"{replies} has no reply to anything that this run asks now")
        say_what_is_left(requests.pending(run, book))


@app.command("batch")
def batch(
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
    settings = settings_of(run)
    consent.ask(settings, run, yes=yes, models=asked_models(settings))
    chosen = settings.llm.model_copy(update={"budget": budget or settings.llm.budget})
    with ledgers.open(ledger) as book:
        while (found := requests.pending(run, book)) is not None:
            say(f"{found.artifact}: {len(found.open):,} requests have no reply yet")
            if abandon:
                n_answered = batches.abandon(
                    list(found.questions.values()), chosen, book, poll, say
                )
                say(
                    f"{n_answered:,} are answered; an online run (`tacos select ...`) asks the others"
                )
                return
            done = batches.fetch(list(found.questions.values()), chosen, book, poll, say)
            if done.failed:
                say(f"{len(done.failed):,} got no answer, e.g. {next(iter(done.failed.values()))}")
                say("an online run (`tacos select ...`) asks them again, or makes them rejects")
                return
    say_what_is_left(None)


def form(settings: LLM) -> envelope.Form:
    """The form that requests are written in: the settings', else the strictest."""
    return envelope.Form() if settings.structured == "auto" else envelope.Form(settings.structured)


def settings_of(run: Path) -> Settings:
    """The settings that a run was made with."""
    return Settings.model_validate(Store(run).read_state(STATE)["settings"])


def say_what_is_left(left: requests.Pending | None) -> None:
    """How to go on."""
    if left is None:
        say(
            "every question is answered; `tacos select ...`, as before, now finishes without asking anything"
        )
    else:
        say(
            f"{left.artifact}: {len(left.open):,} requests have no reply yet; export them, or let `tacos select` ask"
        )


def say(text: str) -> None:
    """One line, as it is."""
    console.out.print(text, soft_wrap=True, markup=False)
