"""`tacos explain`: why a row was kept or dropped."""

from __future__ import annotations

from typing import Any

from tacos.workflows import reselected_files
from tacos.workflows.selection import GivenRun


def explain(
    run: GivenRun,
    row: str,
) -> dict[str, Any]:
    """Explain why a row of a run was kept or dropped.

    `run` may be a file of selected rows beside its run, too: that of `select`, or one of
    `reselect`. `row` is an id (`data.jsonl:17`) or a content hash. Returns "verdict" in one
    sentence, then the row's trace through the stages: tags, clusters, comparisons, scores.

    Raises:
        InputError: The input of the run has no such row.
        RunError: `run` is no run directory.
        TypeError: `row` is not a text.
    """
    done = reselected_files.load_selection(run)
    return done.explain(row)
