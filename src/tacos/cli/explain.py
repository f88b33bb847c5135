"""`tacos explain`: why a row was kept or dropped."""

from __future__ import annotations

from typing import Annotated

import typer

from tacos.cli.shared import console, options
from tacos.workflows import explain as workflow

RowId = Annotated[
    str, typer.Argument(help="the row's id, e.g. data.jsonl:17, or its content hash")
]


def explain(
    run: options.RunDirectory,
    row: RowId,
    as_json: options.AsJson = False,
) -> None:
    """Why was a row kept or dropped? Its tags, clusters, comparisons, score and rank.

    Example:

      tacos explain selected.jsonl.run data.jsonl:17
    """
    trace = workflow.explain(run, row)
    if as_json:
        console.print_json(trace)
        return
    console.print_line(f"{row}: {trace['verdict']}")
    lines = []
    for name, value in trace.items():
        if name not in {"verdict", "comparisons"} and value is not None:
            lines.append((name, str(value)))
    console.print_pairs("", lines)
    for comparison in trace.get("comparisons", []):
        console.print_line(comparison)
