"""`tacos runs`: list the runs in a folder, and remove one."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tacos.counts import count_words
from tacos.errors import RunError
from tacos.store.artifacts import Store
from tacos.workflows import arguments
from tacos.workflows.annotation_tasks import FOLDER, open_journal
from tacos.workflows.run_state import STATE, is_run, read_run_state
from tacos.workflows.selection import GivenRun, find_run_directory

log = logging.getLogger(__name__)


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

    Hidden folders (`.git`, `.venv`) are left out, and a run is not searched for others. A
    `run.json` that cannot be read or is of another program is passed over with a warning.
    """
    root = arguments.to_path("folder", folder)
    overviews = []
    for directory in sorted(_find_runs(root)):
        try:
            overviews.append(_describe_run(directory))
        except RunError:
            log.warning("%s is not of a run of tacos: passed over", directory / STATE)
    return overviews


def remove_run(run: GivenRun) -> None:
    """Delete a run directory. Replies of an LLM stay in the ledger.

    Raises:
        RunError: The directory is not a run, another process works on it, or it holds labels of
            people, which nothing brings back.
    """
    directory = find_run_directory(run)
    check_is_run(directory)
    n_labels = len(open_journal(directory).read())
    if n_labels:
        raise RunError(
            f"{directory} holds {count_words(n_labels, 'label')} of people: export them (tacos "
            f"annotate {directory} --export DIR), then remove {directory / FOLDER} first"
        )
    store = Store(directory)
    with store.lock():
        # Locked, so that no running command loses its files half way.
        shutil.rmtree(directory)


def check_is_run(run: Path) -> None:
    """Raise `RunError` if a directory is not a run."""
    if not is_run(run):
        raise RunError(f"{run} is not a run directory; nothing was removed")


def _find_runs(root: Path) -> Iterator[Path]:
    """The run directories at or below a folder, in the order of the file system."""
    for place, folders, files in os.walk(root):
        if STATE in files:
            yield Path(place)
        if STATE in files and is_run(Path(place)):
            # Its artifacts may be many folders: there is no run among them.
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]


def _measure_folder(directory: Path) -> int:
    """Bytes of all files, those of drafts and reports included."""
    n_bytes = 0
    for place, _, files in os.walk(directory):
        for name in files:
            # A file may go while a command works on the run.
            with suppress(FileNotFoundError):
                n_bytes += os.lstat(os.path.join(place, name)).st_size
    return n_bytes


def _describe_run(directory: Path) -> RunOverview:
    """Read the overview of one run."""
    state = read_run_state(directory)
    n_bytes = _measure_folder(directory)
    return RunOverview(directory, state["status"], state["preset"], state["n"], n_bytes)
