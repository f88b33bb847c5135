"""`tacos explain RUN ROW-ID`: why a row was kept or dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer

from tacos.cli.shared import console
from tacos.workflows import select


def explain(
    run: Annotated[Path, typer.Argument(help="the run directory, e.g. selected.jsonl.run")],
    row: Annotated[
        str, typer.Argument(help="the row's id, e.g. data.jsonl:17, or its content hash")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Why was this row kept or dropped? Its tags, clusters, comparisons, score, rank, and the
    cut-off it met.
    """
    found = select.load(run).explain(row)
    if as_json:
        console.out.print_json(orjson.dumps(found).decode())
        return
    console.out.print(f"{row}: {found['verdict']}", soft_wrap=True)
    rows = [
        (name, str(value))
        for name, value in found.items()
        if name not in {"verdict", "comparisons"} and value is not None
    ]
    console.out.print(console.build_table("", rows))
    for each in found.get("comparisons", []):
        console.out.print(each.translate(console.UNSEEN), soft_wrap=True, markup=False)
