"""`tacos explain`: why a row was kept or dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tacos.workflows.selection import Selection, as_selection


def explain(
    run: str | Path | Selection,
    row: str,
) -> dict[str, Any]:
    """Explain why a row of a run was kept or dropped.

    `row` is an id (`data.jsonl:17`) or a content hash. Returns "verdict" in one sentence, then the
    row's trace through the stages: tags, clusters, comparisons, scores.

    Raises:
        InputError: The input of the run has no such row.
        RunError: `run` is no run directory.
    """
    done = as_selection(run)
    return done.explain(row)
