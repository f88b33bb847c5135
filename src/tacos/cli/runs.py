"""`tacos runs list|show|remove`: what was run, where, and how to be rid of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import orjson
import typer

from tacos.cli.shared import console, summary
from tacos.errors import RunError
from tacos.store.artifacts import Store
from tacos.workflows import select

app = typer.Typer(help="List, show and remove runs.", no_args_is_help=True)
Run = Annotated[Path, typer.Argument(help="the run directory")]


@app.command("list")
def list_runs(folder: Annotated[Path, typer.Argument(help="where to look")] = Path()) -> None:
    """The runs in a folder and in the folders below it."""
    found = sorted(path.parent for path in folder.rglob(select.STATE))
    for path in found:
        state = Store(path).read_state(select.STATE)
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        console.out.print(
            f"{path}  {state['status']}  {state['preset']}  n={state['n']}  {size / 1e6:.1f} MB",
            soft_wrap=True,
        )
    if not found:
        console.out.print(f"no runs in {folder.resolve()}", soft_wrap=True)


@app.command("show")
def show_run(
    run: Run, as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False
) -> None:
    """What a run did."""
    selection = select.load(run)
    if as_json:
        console.out.print_json(orjson.dumps(selection.summary.as_dict()).decode())
    else:
        summary.print_summary(selection.summary)


@app.command("remove")
def remove_run(
    run: Run, yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False
) -> None:
    """Delete a run directory; replies of an LLM stay in the ledger."""
    if not (run / select.STATE).is_file():
        raise RunError(f"{run} is no run directory; nothing was removed")
    with Store(run).lock():
        if yes or typer.confirm(f"remove {run}?"):
            shutil.rmtree(run)
