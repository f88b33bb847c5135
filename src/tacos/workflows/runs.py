"""`tacos runs`: list the runs in a folder, and remove one."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tacos.counts import count_words
from tacos.errors import RunError, TacosError
from tacos.report.facts import list_stage_models
from tacos.report.selection_request import read_request
from tacos.report.spending_figures import list_spending, sum_dollars
from tacos.store.artifacts import Store
from tacos.workflows import arguments
from tacos.workflows.annotation_tasks import FOLDER, open_journal
from tacos.workflows.run_state import STATE, is_run, read_run_state
from tacos.workflows.selection import (
    GivenRun,
    Selection,
    find_run_directory,
    load,
)

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
    time: str = ""
    """When it last wrote its state, in UTC as ISO 8601; "" where that is not noted."""
    input: tuple[str, ...] = ()
    """The files that it read."""
    strategy: str = ""
    """`tacos`, or the name of a selector of the user's own; "" before anything was selected."""
    judge: str = ""
    """The model that gave the scores; "" before anything was judged."""
    usd: float | None = 0.0
    """What its answers cost; None where a price is not known."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "run": str(self.run)}


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
    done = _load_if_possible(directory)
    overview = RunOverview(
        run=directory,
        status=state["status"],
        preset=state["preset"],
        n=state["n"],
        n_bytes=_measure_folder(directory),
        time=state.get("time", ""),
        input=tuple(state.get("input", ())),
    )
    if done is None:
        return overview
    models = list_stage_models(done.artifacts)
    strategy = ""
    if "selection" in done.artifacts:
        request = read_request(done.artifacts, done.settings)
        strategy = request.selector or request.strategy
    return replace(
        overview,
        strategy=strategy,
        judge=models.get("judge") or models.get("reread") or models.get("grade", ""),
        usd=sum_dollars(list_spending(done.artifacts)),
    )


def _load_if_possible(directory: Path) -> Selection | None:
    """The run, None where it has not finished a stage or is of a later version."""
    try:
        return load(directory)
    except TacosError:
        return None
