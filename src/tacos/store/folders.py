"""A folder that is written whole or not at all, and that never takes the place of somebody else's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tacos.errors import OutputError
from tacos.store.files import failing_clearly


def check_folder(target: Path, own: Collection[str]) -> None:
    """Raise `OutputError` where the target is a file, or a folder that holds anything but files of
    the names `own`.
    """
    if target.exists() and not target.is_dir():
        raise OutputError(f"{target} is a file: name a folder")
    strangers = (
        sorted(path.name for path in target.iterdir() if path.name not in own)
        if target.is_dir()
        else []
    )
    if strangers:
        raise OutputError(
            f"{target} holds what is not ours, e.g. {strangers[0]}: name another folder"
        )
    if not target.absolute().parent.is_dir():
        raise OutputError(
            f"{target} cannot be written: there is no folder {target.parent}; make it first"
        )


@contextmanager
def replace_folder(target: Path, own: Collection[str]) -> Iterator[Path]:
    """An empty folder that becomes `target` when all went well; an older one of ours
    (`check_folder`) makes way.

    Where `target` is a link, the folder that it leads to is replaced.
    """
    check_folder(target, own)
    place = target.resolve()
    fresh, old = (place.with_name(f".{place.name}.{kind}-{os.getpid()}") for kind in ("new", "old"))
    with failing_clearly(target):
        try:
            shutil.rmtree(fresh, ignore_errors=True)  # of a killed process with our number
            fresh.mkdir()
            yield fresh
            _swap_folders(fresh, place, old)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _swap_folders(fresh: Path, place: Path, old: Path) -> None:
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
