"""What `tacos select` and `tacos reselect` print at the end."""

from __future__ import annotations

from tacos.cli.shared import console, summary
from tacos.workflows.selection import Selection

UP_TO_DATE = "Nothing to do: all stages are up to date."


def print_outcome(
    done: Selection,
    *,
    as_json: bool,
    seconds: float,
) -> None:
    """Print the figures of a run, and where its files are."""
    if as_json:
        files = {
            "run": str(done.run),
            "output": str(done.output or ""),
            "replaced": done.replaced,
        }
        timing = {"made": done.made, "wall_seconds": round(seconds, 2)}
        console.print_json(
            {
                **done.summary.as_dict(),
                **files,
                **timing,
            }
        )
        return
    summary.print_summary(done.summary, seconds)
    if not done.made:
        console.print_line(UP_TO_DATE)
    paths = {
        "rows": done.output,
        "scores and tags": done.sidecar,
        "report": done.report_path,
        "run": done.run,
    }
    # A run without an output has no files beside it.
    for label, path in paths.items():
        if path:
            remark = ""
            if path == done.output and done.replaced:
                remark = " (took the place of an earlier file)"
            console.print_line(f"{label}: {path}{remark}")
