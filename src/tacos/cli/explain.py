"""`tacos explain`: why a row was kept or dropped."""

from __future__ import annotations

from typing import Annotated

import typer

from tacos.cli.shared import console, options
from tacos.workflows import explain as workflow

RowId = Annotated[
    str,
    typer.Argument(
        help="the row's id, e.g. data.jsonl:17 (rows count from 0, so the 18th), "
        "or its content hash"
    ),
]
LEGEND = (
    "comparisons, as this row's score : the other's. After |, the judge's reasons: A is the row "
    'shown first; + raised its score, - lowered it; "prose is asked": the instruction asks for '
    "prose"
)


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
    comparisons = trace.get("comparisons", [])
    if comparisons:
        console.print_line(LEGEND)
    for comparison in comparisons:
        console.print_line(comparison)
