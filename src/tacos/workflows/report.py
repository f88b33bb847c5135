"""`tacos report`: the page that shows what a finished run chose, and why."""

from __future__ import annotations

from pathlib import Path

from tacos.pipeline.run_loop import Progress
from tacos.workflows import arguments, kept_files, reselected_files
from tacos.workflows.selection import GivenRun


def write_report(
    run: GivenRun,
    output: str | Path | None = None,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write the report of a finished run as one self-contained HTML file, and return its path.

    Args:
        run: A run directory, a selection, or a file of selected rows beside its run: that of
            `select`, or one of `reselect`.
        output: The file to write; that in the run directory by default, which then shows the run's
            own selection.
        force: Whether a file that is no report is replaced.
        progress: What is told that the report begins and ends: an object with the methods of
            `tacos.pipeline.run_loop.Progress`.

    Raises:
        InputError: The run has no selection.
        OutputError: The file cannot be written, or is no report.
        RunError: `run` is no run directory.
        TypeError: An argument is of a wrong type.
    """
    given = arguments.to_optional_path("output", output)
    done = reselected_files.load_selection(run)
    target = given or done.run / kept_files.REPORT
    kept_files.check_own_report(target, force=force)
    return done.report(target, progress=progress)
