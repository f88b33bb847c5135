"""`tacos explain`: why a row was kept or dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

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
    "shown first"
)
SIGNS = "+ raised its score, - lowered it"
PROSE = "prose is asked"


def explain(
    run: options.RunOrSelected,
    row: RowId,
    as_json: options.AsJson = False,
) -> None:
    """Why was a row kept or dropped? Its tags, clusters, comparisons, score and rank.

    Example:

      tacos explain selected.jsonl.run data.jsonl:17

      tacos explain mig.jsonl data.jsonl:17
    """
    trace = workflow.explain(run, row)
    if as_json:
        console.print_json(trace)
        return
    console.print_line(f"{trace['row']}: {trace['verdict']}")
    lines = []
    for name, value in trace.items():
        text = _format_value(value)
        if name not in {"verdict", "comparisons"} and text:
            lines.append((name.replace("_", " "), text))
    console.print_pairs("", lines)
    _print_comparisons(trace.get("comparisons", []))


def _format_value(value: Any) -> str:
    """A value of the trace for a reader: the items of a list, or of names by number, by line."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return "\n".join(f"{number}: {name}" for number, name in value.items())
    if isinstance(value, list | tuple):
        return "\n".join(str(item) for item in value)
    return str(value)


def _print_comparisons(comparisons: Sequence[str]) -> None:
    """Print the comparisons under a legend of the signs that occur in them."""
    if not comparisons:
        return
    # Only older versions of the embedded judge name features with signs.
    reasons = [comparison.partition(" | ")[2] for comparison in comparisons]
    legend = LEGEND
    if any(reason.startswith(("+", "-", "A: +", "A: -")) for reason in reasons):
        legend += f"; {SIGNS}"
    if any(PROSE in reason for reason in reasons):
        legend += f'; "{PROSE}": the instruction asks for prose'
    console.print_line(legend)
    for comparison in comparisons:
        console.print_line(comparison)
