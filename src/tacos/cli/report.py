"""`tacos report`: the page that shows what a finished run chose, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tacos.cli.shared import console, options, progress
from tacos.workflows import report as workflow

Output = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", help="write the page here [default: RUN/report.html]"
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="replace a file that is no report")
]


def report(
    run: options.RunOrSelected,
    output: Output = None,
    force: Force = False,
) -> None:
    """Write the report of a finished run: one HTML file to read, print and pass on.

    It needs no network and runs nothing but a small script of its own. Every run writes one at its
    end; this command writes it again, for a run of an earlier version or for a selection of
    `tacos reselect`.

    Examples:

      tacos report selected.jsonl.run -o report.html

      tacos report mig.jsonl -o mig.html
    """
    with progress.show_progress(show=True) as bars:
        path = workflow.write_report(run, output, force=force, progress=bars)
    console.print_line(f"report: {path}")
