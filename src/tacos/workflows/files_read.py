"""The files that an evaluation read, by what they are: named in its result, with their hashes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tacos.errors import InputError
from tacos.formats.pinned_files import PinnedFile

FilesRead = Mapping[str, Sequence[PinnedFile]]
"""What they are (`questions`, `references`, ...) -> the files."""


def list_paths(files: FilesRead) -> list[Path]:
    """Where they lie, so that no output replaces one."""
    return [file.path for each in files.values() for file in each]


def refuse_repeated(files: Sequence[PinnedFile]) -> None:
    """Raise `InputError` if a file stands there twice: a model is no other than itself."""
    places = set()
    for file in files:
        place = file.path.resolve()
        if place in places:
            raise InputError(f"{file} is given twice: give each model's file once")
        places.add(place)


def serialise_files(files: FilesRead) -> dict[str, list[dict[str, Any]]]:
    """For JSON."""
    return {
        role: [{"name": file.name, "sha256": file.sha256} for file in each]
        for role, each in files.items()
    }


def iterate_unpinned(files: FilesRead) -> Iterator[tuple[str, PinnedFile]]:
    """What each file is that was named without its hash, and the file."""
    for role, each in files.items():
        for file in each:
            if file.sha256 and not file.is_pinned:
                yield role, file
