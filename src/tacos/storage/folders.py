"""A folder that is written whole or not at all, and that never takes the place of somebody else's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tacos.errors import OutputError
from tacos.storage.writing import failing_clearly


def check_folder(target: Path, own: Collection[str]) -> None:
    """Raise `OutputError` where the target is a file, or a folder that holds anything but files of the names `own`."""
    if target.exists() and not target.is_dir():
        raise OutputError(f"{target} is a file: name a folder")
    strangers = sorted(path.name for path in target.iterdir() if path.name not in own) if target.is_dir() else []
    if strangers:
        raise OutputError(f"{target} holds what is not ours, e.g. {strangers[0]}: name another folder")
    if not target.absolute().parent.is_dir():
        raise OutputError(f"{target} cannot be written: there is no folder {target.parent}; make it first")


@contextmanager
def replacing_folder(target: Path, own: Collection[str]) -> Iterator[Path]:
    """An empty folder that becomes `target` when all went well; an older one of ours (`check_folder`) makes way."""
    check_folder(target, own)
    place = target.absolute()
    fresh, old = (place.with_name(f".{place.name}.{kind}-{os.getpid()}") for kind in ("new", "old"))
    with failing_clearly(target):
        try:
            fresh.mkdir()
            yield fresh
            if place.is_dir():
                place.rename(old)
            fresh.rename(place)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)
