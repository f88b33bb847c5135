"""Folders that are written whole or not at all, and that never replace another program's.

<parent>/.<name>.new-<pid>    the folder while it is written
<parent>/.<name>.old-<pid>    the older one, until the new one is in place
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tacos.errors import OutputError
from tacos.store import files
from tacos.store.files import check_parent, explain_os_errors


def check_folder(target: Path, own: Collection[str]) -> None:
    """Raise `OutputError` unless the target is a folder, or can become one, in which there are no
    other files than those named `own`.
    """
    if str(target) == "-":
        raise OutputError("- is standard output, which holds no files: name a folder")
    if target.exists() and not target.is_dir():
        raise OutputError(f"{target} is a file: name a folder")
    if target.is_dir():
        foreign_files = sorted(
            path.name for path in target.iterdir() if not _is_own(path.name, own)
        )
        if foreign_files:
            raise OutputError(
                f"{target} has files that tacos did not write, such as {foreign_files[0]}: "
                "name another folder"
            )
    check_parent(target, target.absolute().parent)


@contextmanager
def replace_folder(target: Path, own: Collection[str]) -> Iterator[Path]:
    """An empty folder that becomes `target` if all goes well; an older one that passes
    `check_folder` is replaced. Raises `OutputError`.

    Where `target` is a link, the folder that it leads to is replaced.
    """
    check_folder(target, own)
    place = target.resolve()
    fresh = place.with_name(f".{place.name}.new-{os.getpid()}")
    old = place.with_name(f".{place.name}.old-{os.getpid()}")
    with explain_os_errors(target):
        try:
            # A killed process with the same number may have left one.
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            yield fresh
            _swap_folders(fresh, place, old)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _is_own(name: str, own: Collection[str]) -> bool:
    """Whether a file is one of `own`, or what a killed process left of writing it."""
    return name in own or any(files.is_remnant(name, each) for each in own)


def _swap_folders(
    fresh: Path,
    place: Path,
    old: Path,
) -> None:
    """Put `fresh` in the place of an older folder, which is kept as `old` until that has worked."""
    if place.is_dir():
        shutil.rmtree(old, ignore_errors=True)
        place.rename(old)
    try:
        fresh.rename(place)
    except OSError:
        if old.is_dir():
            old.rename(place)
        raise
    shutil.rmtree(old, ignore_errors=True)
