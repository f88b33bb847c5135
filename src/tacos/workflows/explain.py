"""`tacos explain`: why a row was kept or dropped."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from tacos.workflows import reselected_files
from tacos.workflows.selection import GivenRun, Selection, load


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
    done = _load_selection(run)
    return done.explain(row)


def _load_selection(run: GivenRun) -> Selection:
    """The selection of a run, or the one that a file of rows holds."""
    if not isinstance(run, str | PathLike) or not Path(run).is_file():
        return load(run)
    file = Path(run)
    found = reselected_files.find_selection(file)
    if found is not None:
        folder, selection = found
        done = load(folder)
        return replace(
            done,
            settings=reselected_files.describe_selection(done.settings, selection),
            artifacts=reselected_files.gather_artifacts(
                folder, done.artifacts, selection
            ),
        )
    own_run = file.with_name(f"{file.name}.run")
    return load(own_run if own_run.is_dir() else file)
