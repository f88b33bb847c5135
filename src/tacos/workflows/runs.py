"""`tacos runs`: list the runs in a folder, and remove one."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tacos.errors import RunError
from tacos.store.artifacts import Store
from tacos.workflows import arguments
from tacos.workflows.selection import STATE, GivenRun, find_run_directory


@dataclass(frozen=True)
class RunOverview:
    """One run, as far as its state file tells."""

    run: Path
    """The run directory."""
    status: str
    preset: str
    n: str | float
    """The size that was asked for."""
    n_bytes: int
    """The size of the directory on disk."""


def runs(
    folder: str | Path = ".",
) -> list[RunOverview]:
    """List the runs in a folder and in all folders below it, sorted by path.

    Raises:
        RunError: The state of a run cannot be read.
    """
    # They are found in the order of the file system, so they are sorted.
    state_files = arguments.to_path("folder", folder).rglob(STATE)
    directories = sorted(path.parent for path in state_files)
    return [_describe_run(directory) for directory in directories]


def remove_run(run: GivenRun) -> None:
    """Delete a run directory. Replies of an LLM stay in the ledger.

    Raises:
        RunError: The directory is not a run, or another process works on it.
    """
    directory = find_run_directory(run)
    check_is_run(directory)
    store = Store(directory)
    with store.lock():
        # Locked, so that no running command loses its files half way.
        shutil.rmtree(directory)


def check_is_run(run: Path) -> None:
    """Raise `RunError` if a directory is not a run."""
    if not (run / STATE).is_file():
        raise RunError(f"{run} is not a run directory; nothing was removed")


def _describe_run(directory: Path) -> RunOverview:
    """Read the overview of one run."""
    state = Store(directory).read_state(STATE)
    files = [path for path in directory.rglob("*") if path.is_file()]
    # All files, those of drafts and reports included.
    n_bytes = sum(file.stat().st_size for file in files)
    return RunOverview(directory, state["status"], state["preset"], state["n"], n_bytes)
