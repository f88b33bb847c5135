"""`tacos runs`: list, show, compare and remove runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tacos.cli.shared import console, options, outcome, run_comparison
from tacos.counts import count_words
from tacos.workflows import run_difference
from tacos.workflows import runs as workflow
from tacos.workflows.runs import RunOverview
from tacos.workflows.selection import load

app = typer.Typer(
    help="List, show, compare and remove runs; without a command, list those below the current "
    "folder.",
    invoke_without_command=True,
    rich_markup_mode=None,
)
Folder = Annotated[
    Path, typer.Argument(help="where to look, with all folders below [default: here]")
]
Yes = Annotated[bool, typer.Option("--yes", help="remove without asking")]
Other = Annotated[Path, typer.Argument(help="the run directory to compare it with")]
N_NAMED = 3
"""Input files that a line names."""


@app.callback()
def start(context: typer.Context) -> None:
    """List, show, compare and remove runs; without a command, list those below the current
    folder.
    """
    if context.invoked_subcommand is None:
        list_runs(Path())


@app.command("list")
def list_runs(folder: Folder = Path(), as_json: options.AsJson = False) -> None:
    """List the runs in a folder and in the folders below it: two lines each, with date, input,
    size, strategy, judge and cost.
    """
    overviews = workflow.runs(folder)
    if as_json:
        console.print_json([overview.as_dict() for overview in overviews])
        return
    for overview in overviews:
        console.print_line(_format_head(overview))
        console.print_hanging([("", _format_request(overview))])
    if not overviews:
        console.print_line(f"No runs found in {folder.resolve()}")


@app.command("show")
def show_run(run: options.RunDirectory, as_json: options.AsJson = False) -> None:
    """Show what a run did."""
    done = load(run)
    if as_json:
        console.print_json(done.summary.as_dict())
    else:
        outcome.print_run(done)


@app.command("compare")
def compare_runs(
    run: options.RunDirectory, other: Other, as_json: options.AsJson = False
) -> None:
    """Compare two runs: settings, rows, scores, coverage, lengths, sources, cost.

    Rows are told apart by what they say, so the runs may have read different files.

    Examples:

      tacos runs compare a.jsonl.run b.jsonl.run
    """
    difference = run_difference.compare_runs(run, other)
    if as_json:
        console.print_json(difference.as_dict())
    else:
        run_comparison.print_difference(difference)


@app.command("remove")
def remove_run(run: options.RunDirectory, yes: Yes = False) -> None:
    """Delete a run directory; the replies of an LLM stay in the ledger."""
    workflow.check_is_run(run)  # before asking
    if yes or typer.confirm(f"Remove {run}?"):
        workflow.remove_run(run)


def _format_head(overview: RunOverview) -> str:
    """Where a run is, when it was made, how far it has come, and its size on disk."""
    time = overview.time[:16].replace("T", " ")
    parts = [time, overview.status, f"{overview.n_bytes / 1e6:.1f} MB"]
    return "  ".join([str(overview.run), *(part for part in parts if part)])


def _format_request(overview: RunOverview) -> str:
    """Size, input, preset, strategy, judge and cost."""
    names = [Path(name).name for name in overview.input]
    of = ""
    if names:
        of = f" of {', '.join(names[:N_NAMED])}"
        if len(names) > N_NAMED:
            of += f" and {count_words(len(names) - N_NAMED, 'more file')}"
    parts = [f"n={overview.n}{of}", overview.preset]
    if overview.strategy:
        parts.append(f"strategy {overview.strategy}")
    if overview.judge:
        parts.append(f"judge {overview.judge}")
    if overview.usd is None:
        parts.append("cost not known")
    else:
        parts.append(f"{overview.usd:,.2f} usd")
    return ", ".join(parts)
