"""No command writes over what it reads, or into a run: checked before any work.

Every command names the files that it will write, those beside its output among them, and the files
that it reads: data, lists of ids, evaluation sets, settings, the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from tacos.addresses import is_elsewhere
from tacos.errors import OutputError, RunError
from tacos.formats.paths import (
    STDIN,
    expand_folders,
    is_folder,
    is_run_folder,
)
from tacos.workflows.run_state import STATE, is_run, read_run_state

REPORT = "report.html"
"""The report of a run, in its directory."""


def list_data_files(data: Any) -> list[Path]:
    """The files and folders that a data set is read from; none of Python data and standard input.

    Raises `InputError` as reading does.
    """
    given = data if isinstance(data, list | tuple) else [data]
    if not given or not all(isinstance(path, str | Path) for path in given):
        return []
    # A run is no data; what it holds is looked at as a place, not as a file.
    here = [path for path in given if str(path) != STDIN and not is_elsewhere(path)]
    named = [Path(path) for path in here]
    folders = [path for path in named if is_folder(path) and not is_run_folder(path)]
    files = [path for path in named if not is_folder(path)]
    return [*folders, *files, *map(Path, expand_folders(folders))]


def check_files_kept(
    written: Iterable[Path | None],
    read: Iterable[str | PathLike[str] | None],
    *,
    run: Path | None = None,
    own: Sequence[Path] = (),
) -> None:
    """Raise `OutputError` if a file to write is a file that is read or another file to write, or
    lies in a folder that is read or in a run.

    `run` is the directory of a run that is still to be made; `own` are the files that have their
    place in a run.
    """
    files_read = _list_paths(read)
    targets = _list_paths(written)
    own_places = {_resolve(path) for path in own}
    for number, target in enumerate(targets):
        _refuse_writing_twice(target, targets[:number])
        for path in files_read:
            _refuse_replacing(target, path)
        if _resolve(target) not in own_places:
            _refuse_place_in_run(target, run)


def check_own_rows(
    output: Path | None,
    beside: Iterable[Path | None],
    *,
    force: bool,
) -> None:
    """Raise `OutputError` if rows would replace a file that tacos did not write, except with
    `force`.

    `beside` are the files and folders that tacos leaves beside its rows: where none of them is, the
    file is not of tacos. An empty file, a pipe or a device may be written to.
    """
    if force or output is None or not output.is_file() or not output.stat().st_size:
        return
    if not any(path.exists() for path in _list_paths(beside)):
        raise OutputError(
            f"{output} exists, and tacos did not write it: name another file (-o), "
            "or replace it with --force"
        )


def check_own_report(target: Path | None, *, force: bool) -> None:
    """Raise `OutputError` if a report would replace a file that is none, except with `force`."""
    if force or target is None or not target.is_file() or not target.stat().st_size:
        return
    with target.open("rb") as file:
        start = file.read(4096)
    if b"<title>tacos: " not in start:
        raise OutputError(
            f"{target} exists and is no report: name another file, or replace it with --force"
        )


def check_folder_kept(folder: Path, read: Iterable[str | PathLike[str] | None]) -> None:
    """Raise `OutputError` if a folder to write holds a file that is read, or lies in a folder that
    is read or in a run.
    """
    _refuse_place_in_run(folder, None)
    place = _resolve(folder)
    for path in _list_paths(read):
        _refuse_replacing(folder, path)
        if _resolve(path).is_relative_to(place):
            raise OutputError(
                f"{folder} would be replaced, but holds {path}, which this command reads: "
                "name another folder"
            )


def check_run_kept(run: Path, read: Iterable[str | PathLike[str] | None]) -> None:
    """Raise `OutputError` if a file that is read lies in the directory of a run to make, and
    `RunError` if that directory has the files of another program.
    """
    if (run / STATE).is_file():
        read_run_state(run)
    elif (run / REPORT).exists():
        raise RunError(
            f"{run / REPORT} is not of a run of tacos: name another directory (--run)"
        )
    place = _resolve(run)
    for path in _list_paths(read):
        # Standard input is kept in the run.
        if path.name.startswith("stdin-"):
            continue
        if _resolve(path).is_relative_to(place):
            raise OutputError(
                f"{path} is read, but lies in {run}, where this command writes: "
                "name another run directory (--run)"
            )


def _list_paths(given: Iterable[str | PathLike[str] | None]) -> list[Path]:
    """What was named, as paths."""
    return [Path(path) for path in given if path is not None]


def _refuse_writing_twice(target: Path, others: Sequence[Path]) -> None:
    """Raise `OutputError` if another file to write is the same."""
    # A pipe or a device may take several.
    if target.exists() and not target.is_file():
        return
    place = _resolve(target)
    for other in others:
        if place == _resolve(other) or _is_same_file(target, other):
            raise OutputError(
                f"{other} and {target} are the same file, which would be written twice: "
                "name another"
            )


def _refuse_replacing(target: Path, path: Path) -> None:
    """Raise `OutputError` if the target is a file that is read, or in a folder that is read."""
    if _is_same_file(target, path):
        raise OutputError(
            f"{target} is one of the inputs: it would be written over {path}, "
            "which this command reads; name another output (-o)"
        )
    if is_folder(path) and _resolve(target).is_relative_to(_resolve(path)):
        raise OutputError(
            f"{target} is in {path}, a folder of the input, which the next run would read: "
            "name an output elsewhere (-o)"
        )


def _is_same_file(target: Path, path: Path) -> bool:
    """Whether two paths lead to the same file, links and other spellings followed."""
    try:
        return target.is_file() and path.is_file() and target.samefile(path)
    except OSError:  # what cannot be looked at is refused where it is opened
        return False


def _refuse_place_in_run(target: Path, run: Path | None) -> None:
    """Raise `OutputError` if the target lies in the directory of a run."""
    for folder in _iterate_folders(target):
        is_to_be_made = run is not None and folder == _resolve(run)
        if is_run(folder) and folder == _resolve(target):
            raise OutputError(
                f"{target} is a run, whose files tacos alone writes: name an output elsewhere (-o)"
            )
        if is_to_be_made or is_run(folder):
            raise OutputError(
                f"{target} lies in the run {folder}, whose files tacos alone writes: "
                "name an output elsewhere (-o)"
            )


def _resolve(path: Path) -> Path:
    """Where a path leads. Raises `OutputError` if links lead in a circle."""
    try:
        return path.resolve()
    except (
        RuntimeError
    ):  # of Python before 3.13; later ones fail when the file is opened
        raise OutputError(
            f"{path} is a link that leads back to itself: name another output (-o)"
        ) from None


def _iterate_folders(target: Path) -> Iterator[Path]:
    """The folders above a target, the target itself first."""
    place = _resolve(target)
    yield place
    yield from place.parents
