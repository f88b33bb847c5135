"""`tacos runs`: list, show and remove runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tacos.cli.shared import console, options, outcome
from tacos.workflows import runs as workflow
from tacos.workflows.selection import load

app = typer.Typer(
    help="List, show and remove runs; without a command, list those below the current folder.",
    invoke_without_command=True,
    rich_markup_mode=None,
)
Folder = Annotated[
    Path, typer.Argument(help="where to look, with all folders below [default: here]")
]
Yes = Annotated[bool, typer.Option("--yes", help="remove without asking")]


@app.callback()
def start(context: typer.Context) -> None:
    """List, show and remove runs; without a command, list those below the current folder."""
    if context.invoked_subcommand is None:
        list_runs(Path())


@app.command("list")
def list_runs(folder: Folder = Path()) -> None:
    """List the runs in a folder and in the folders below it."""
    overviews = workflow.runs(folder)
    for overview in overviews:
        columns = [
            str(overview.run),
            overview.status,
            overview.preset,
            f"n={overview.n}",
            f"{overview.n_bytes / 1e6:.1f} MB",
        ]
        console.print_line("  ".join(columns))
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


@app.command("remove")
def remove_run(run: options.RunDirectory, yes: Yes = False) -> None:
    """Delete a run directory; the replies of an LLM stay in the ledger."""
    workflow.check_is_run(run)  # before asking
    if yes or typer.confirm(f"Remove {run}?"):
        workflow.remove_run(run)
