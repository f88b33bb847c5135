"""`tacos requests`: answer a run's LLM requests through files or a batch API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tacos.cli.shared import consent, console, options
from tacos.llm.offline.reply_lines import FailureCounts
from tacos.workflows import requests as workflow
from tacos.workflows.pending_requests import (
    list_run_models,
    load_run_settings,
    name_command,
)
from tacos.workflows.requests import BatchResult, ExportedRequests

app = typer.Typer(
    help="Answer a run's LLM requests through OpenAI batch files or a batch API.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
RequestFile = Annotated[
    Path,
    typer.Option(
        "-o", "--output", help="write the requests here, one JSON object per line"
    ),
]
ReplyFile = Annotated[
    Path, typer.Argument(help="the replies, one JSON object per line")
]
Abandon = Annotated[
    bool,
    typer.Option(
        "--abandon",
        help="submit nothing; cancel pending batches, and keep the answers so far",
    ),
]
UseOthers = Annotated[
    bool,
    typer.Option(
        "--yes", help="use replies that another endpoint gave under the same model name"
    ),
]
Poll = Annotated[
    float, typer.Option(help="seconds between two checks of a batch", min=0.01)
]

NOTHING_LEFT = "no requests left to answer"


@app.command("export")
def export_requests(
    run: options.RunDirectory,
    output: RequestFile,
    ledger: options.Ledger = None,
    yes: UseOthers = False,
) -> None:
    """Write the requests of the next LLM stage that have no reply yet.

    Example, answered by vLLM:

    \b
      tacos select data.jsonl -n 1000 -o out.jsonl --model MODEL --until ingest
      tacos requests export out.jsonl.run -o requests.jsonl
      python -m vllm.entrypoints.openai.run_batch -i requests.jsonl -o replies.jsonl --model MODEL
      tacos requests import out.jsonl.run replies.jsonl
    """
    exported = workflow.export_requests(run, output, ledger=ledger, other_endpoints=yes)
    if exported is None:
        console.print_line(NOTHING_LEFT)
        return
    console.print_line(
        f"{exported.artifact}: {exported.n_open:,} of {exported.n_questions:,} requests "
        f"have no reply yet; {_name_written(exported)}written to {output}"
    )


def _name_written(exported: ExportedRequests) -> str:
    """Which of the open requests were written, unless all were."""
    if exported.n_written == exported.n_open:
        return ""
    return f"{exported.n_written:,} of them, to see whether asking again helps, "


@app.command("import")
def import_replies(
    run: options.RunDirectory,
    replies: ReplyFile,
    ledger: options.Ledger = None,
    yes: UseOthers = False,
) -> None:
    """Add replies to the ledger, where the run finds them.

    A usable reply takes the place of an earlier one that could not be used.

    Example:

      tacos requests import out.jsonl.run replies.jsonl
    """
    imported = workflow.import_replies(run, replies, ledger=ledger, other_endpoints=yes)
    if imported is None:
        console.print_line(NOTHING_LEFT)
        return
    counts = imported.counts
    console.print_line(
        f"{imported.artifact}: {counts.n_new:,} new replies; "
        f"{counts.n_known:,} known or repeated, {counts.n_foreign:,} to something else, "
        f"{counts.n_failed:,} errors, {counts.n_unreadable:,} unreadable lines"
    )
    reasons = imported.failures.describe()
    if reasons:
        console.print_line(f"errors: {reasons}")
    # The counts are printed first: they tell what is wrong with the file.
    workflow.check_import(imported, replies)
    # With the new replies the run reaches further: the next stage may have questions now.
    pending = consent.use_other_endpoints(
        lambda allowed: workflow.settle_requests(
            run, ledger=ledger, other_endpoints=allowed
        ),
        allowed=yes,
    )
    if pending is None:
        _print_all_answered(run)
        return
    console.print_line(
        f"{pending.artifact}: {pending.describe_open()}; "
        f"export them, or let `tacos {name_command(run)}` send them"
    )


@app.command("batch")
def run_batch(
    run: options.RunDirectory,
    budget: options.Budget = None,
    yes: options.Yes = False,
    poll: Poll = 30.0,
    ledger: options.Ledger = None,
    abandon: Abandon = False,
) -> None:
    """Send the requests to the endpoint's batch API, stage by stage, until all are answered.

    You can stop it and run it again: nothing is submitted twice. While a batch is pending, `tacos
    select` does not send the same requests.

    Example:

      tacos requests batch out.jsonl.run --budget 5usd
    """
    settings = load_run_settings(run)
    models = list_run_models(run)
    if consent.needs_consent(settings, run, yes=yes, models=models):
        # Where every question is answered, nothing is sent that anybody must agree to.
        if workflow.requests(run, ledger=ledger) is None:
            _print_all_answered(run)
            return
        consent.ask_consent(settings, run, yes=yes, models=models)
    result = consent.use_other_endpoints(
        lambda allowed: workflow.run_batch(
            run,
            budget=budget,
            poll=poll,
            abandon=abandon,
            ledger=ledger,
            say=console.print_line,
            other_endpoints=allowed,
        ),
        allowed=yes,
    )
    _print_batch_result(result, run)


def _print_all_answered(run: Path) -> None:
    """Print that nothing is left to be asked, and how to go on."""
    console.print_line(
        f"every request is answered; the same `tacos {name_command(run)} ...` now finishes "
        "without calling the endpoint"
    )


def _print_batch_result(result: BatchResult, run: Path) -> None:
    """Print how asking by batch ended, and how to go on."""
    online = f"an online run (`tacos {name_command(run)} ...`)"
    if result.n_answered is not None:
        console.print_line(
            f"{result.n_answered:,} requests answered; {online} sends the others"
        )
    elif result.failed:
        failures = FailureCounts()
        for reason in result.failed.values():
            failures.add(reason)
        console.print_line(
            f"{len(result.failed):,} requests got no answer: {failures.describe()}"
        )
        console.print_line(f"{online} sends them again, or rejects their rows")
    else:
        _print_all_answered(run)
