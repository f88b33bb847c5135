"""`tacos ui`: what the local page shows of a run, as plain values. `tacos.web` serves them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tacos.workflows.selection import GivenRun, Selection, load


@dataclass(frozen=True)
class RunView:
    """A run as the page looks at it; it is only read."""

    selection: Selection

    def describe(self) -> dict[str, Any]:
        """The run's name, and its rows in numbers."""
        artifacts = self.selection.artifacts
        n_selected = None
        if "selection" in artifacts:
            n_selected = artifacts["selection"].manifest["n_rows"]
        return {
            "name": self.selection.run.absolute().name,
            "preset": self.selection.settings.preset,
            "seed": self.selection.settings.seed,
            "n_samples": artifacts["samples"].manifest["n_rows"],
            "n_selected": n_selected,
        }


def ui(run: GivenRun) -> RunView:
    """Open a run as the local page does: what `tacos ui` shows, without the server.

    Raises:
        RunError: `run` is no run directory, or has not finished a stage.
        TypeError: `run` is neither a path nor a selection.
    """
    return RunView(load(run))
