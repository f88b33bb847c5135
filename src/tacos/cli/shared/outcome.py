"""What `tacos select` and `tacos reselect` print at the end."""

from __future__ import annotations

from tacos.cli.shared import console, summary
from tacos.cli.shared.summary_lead import RunFiles
from tacos.report.lead_sentences import read_size
from tacos.workflows.run_state import read_run_state
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
    print_run(done, seconds)
    if not done.made:
        console.print_line(UP_TO_DATE)


def print_run(done: Selection, seconds: float | None = None) -> None:
    """Print what a run did; `seconds` are those that a person waited for it."""
    files = RunFiles(
        done.run,
        done.output,
        done.sidecar,
        done.report_path,
        done.replaced,
    )
    row_id = done.table["id"][0] if done.summary.selection else ""
    summary.print_summary(
        done.summary,
        read_size(done.artifacts, done.settings),
        read_run_state(done.run).get("input", []),
        files,
        row_id=row_id,
        waited=seconds,
        is_new=set(done.made) >= set(done.artifacts),
    )
