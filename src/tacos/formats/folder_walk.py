"""Walks through folders with links, and the files that a pattern matches there.

Each real folder is entered once, whichever links lead to it: links may lead back, or to each other.
"""

from __future__ import annotations

import glob
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

ANY_FOLDERS = "**"
"""The part of a pattern that stands for any folders below one another, or none."""


def walk_folders(
    top: Path, list_folders: Callable[[Path], Iterable[Path]]
) -> Iterator[Path]:
    """A folder and those below it, each real folder once, by its own name where it has one there.

    Args:
        top: The folder to begin with. Links that lead back to it or above it are passed over.
        list_folders: The folders in a folder that are to be entered.
    """
    entered = {folder.resolve() for folder in top.absolute().parents} - {top.resolve()}
    folders = [top]
    links: deque[Path] = deque()
    while folders or links:
        # Links come last: a folder is not to go by the name of a link.
        folder = folders.pop() if folders else links.popleft()
        place = folder.resolve()
        if place in entered:
            continue
        entered.add(place)
        yield folder
        below = sorted(list_folders(folder))
        links += [path for path in below if path.is_symlink()]
        folders += [path for path in reversed(below) if not path.is_symlink()]


def match_files(pattern: str, top: Path) -> list[Path]:
    """The files that a pattern matches from a folder on, sorted by name; hidden ones only where the
    pattern names them, as in a shell.
    """
    path = Path(pattern)
    parts = list(path.parts)
    if path.is_absolute():
        top = Path(parts.pop(0))
    found = {file for file in _match_parts(parts, top) if file.is_file()}
    return sorted(found, key=str)


def _match_parts(parts: list[str], top: Path) -> Iterator[Path]:
    """What the parts of a pattern match from a folder on."""
    if not parts:
        return
    if ANY_FOLDERS not in parts:
        pattern = os.path.join(*parts)
        yield from (top / name for name in glob.glob(pattern, root_dir=top))
        return
    place = parts.index(ANY_FOLDERS)
    # At the end it stands for the files in these folders, too.
    rest = parts[place + 1 :] or ["*"]
    if rest[0] == ANY_FOLDERS:
        # Twice is once.
        yield from _match_parts([*parts[:place], *rest], top)
        return
    starts = _match_parts(parts[:place], top) if place else iter([top])
    for start in starts:
        if start.is_dir():
            for folder in walk_folders(start, _list_shown_folders):
                yield from _match_parts(rest, folder)


def _list_shown_folders(folder: Path) -> list[Path]:
    """The folders in a folder that are not hidden; none in one that may not be read."""
    try:
        return [
            path
            for path in folder.iterdir()
            if not path.name.startswith(".") and path.is_dir()
        ]
    except OSError:
        return []
