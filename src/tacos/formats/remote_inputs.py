"""Addresses and names of data sets as inputs: which files they stand for, and what a run remembers
of them.

A run keeps the commit of each data set of the hub that it reads, and the files found there, so that
it reads the same ones again, even without a network. Of other files it keeps the version, so that a
changed one is noticed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from tacos.addresses import (
    COMMIT,
    HUB,
    is_elsewhere,
    parse_hub_name,
    parse_hub_path,
    redact_address,
)
from tacos.errors import InputError
from tacos.formats.detection import FORMATS_READ
from tacos.formats.hub_datasets import find_commit, list_split_files
from tacos.formats.paths import FilePath, expand_folders, may_hold_rows
from tacos.formats.remote_files import (
    RemoteFile,
    RemoteFolder,
    find_file,
    is_remote_folder,
    read_bytes,
)
from tacos.formats.saved_folders import (
    SPLITS,
    STATE,
    check_splits,
    read_data_files,
)

RECORD = "inputs.json"
"""The file of a run that keeps what was found elsewhere."""
InputFile = FilePath | RemoteFile


@dataclass
class InputRecord:
    """What was found at the addresses of a run's inputs."""

    commits: dict[str, str] = field(default_factory=dict)
    """`OWNER/NAME@REVISION` -> commit."""
    files: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Input, without secrets -> `address`, `version` and `size` of each of its files."""
    changed: list[str] = field(default_factory=list)
    """Inputs whose files are others than when the run was here last."""

    @property
    def versions(self) -> set[str]:
        """Those of all files."""
        files = [file for found in self.files.values() for file in found]
        return {file["version"] for file in files if file["version"]}

    def save(self, run: Path) -> None:
        """Write the record into the directory of a run."""
        if not self.files:
            return
        content = {"commits": self.commits, "files": self.files}
        target = run / RECORD
        temporary = target.with_suffix(".tmp")
        temporary.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
        os.replace(temporary, target)

    def note(self, given: str, files: Sequence[RemoteFile]) -> None:
        """Remember what an input stands for."""
        name = redact_address(given)
        found = [
            {"address": str(file), "version": file.version, "size": file.size}
            for file in files
        ]
        before = self.files.get(name)
        if before is not None and before != found:
            self.changed.append(name)
        self.files[name] = found


def load_record(run: Path) -> InputRecord:
    """The record in the directory of a run; empty if there is none."""
    try:
        content = orjson.loads((run / RECORD).read_bytes())
        return InputRecord(content["commits"], content["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return InputRecord()


def find_input_files(
    paths: Sequence[FilePath],
    record: InputRecord | None = None,
) -> list[InputFile]:
    """The files that paths, addresses and names of data sets stand for; a folder stands for the
    data files in it.

    Raises `InputError` where there are none.
    """
    record = record or InputRecord()
    files: list[InputFile] = []
    for path in paths:
        if is_elsewhere(path):
            files += _find_remote_files(str(path), record)
        else:
            files += expand_folders([path])
    return files


def _find_remote_files(given: str, record: InputRecord) -> list[RemoteFile]:
    """The files of one address or name."""
    name = parse_hub_name(given)
    place = parse_hub_path(given)
    known = record.files.get(redact_address(given))
    if known and (name or place):
        # A commit never changes: nothing needs to be asked.
        return [
            RemoteFile(file["address"], file["version"], file["size"]) for file in known
        ]
    if name is not None:
        commit = _pin(name.repository, name.revision, given, record)
        files = list_split_files(name, commit, given)
    elif place is not None:
        commit = _pin(place.repository, place.revision, given, record)
        files = _list_files(f"{HUB}{place.repository}@{commit}/{place.path}")
    else:
        files = _list_files(given)
    record.note(given, files)
    return files


def _pin(
    repository: str,
    revision: str,
    given: str,
    record: InputRecord,
) -> str:
    """The commit of a revision: the one that the run has read, if it has."""
    if COMMIT.fullmatch(revision):
        return revision
    key = f"{repository}@{revision or 'main'}"
    if key not in record.commits:
        record.commits[key] = find_commit(repository, revision, given)
    return record.commits[key]


def _list_files(address: str) -> list[RemoteFile]:
    """The file at an address, or the data files of a folder there."""
    if not is_remote_folder(address):
        return [find_file(address)]
    folder = RemoteFolder(address)
    shown = redact_address(address)
    names = _choose_data_files(folder, shown)
    if not names:
        raise InputError(
            f"{shown} holds no data file: the names of such files end in {FORMATS_READ}; "
            "name other files one by one"
        )
    return [folder.open_file(name) for name in names]


def _choose_data_files(folder: RemoteFolder, shown: str) -> list[str]:
    """The names of the files with rows, as `paths.expand_folders` chooses them."""
    saved: dict[str, list[str]] = {}
    for name in folder.names:
        path = PurePosixPath(name)
        if path.name == SPLITS:
            place = f"{shown.rstrip('/')}/{path.parent}".removesuffix("/.")
            check_splits(read_bytes(folder.open_file(name)), place)
        elif path.name == STATE:
            listed = read_data_files(read_bytes(folder.open_file(name)))
            if listed is not None:
                saved[str(path.parent)] = listed
    chosen = []
    for name in folder.names:
        path = PurePosixPath(name)
        is_hidden = any(part.startswith((".", "_")) for part in path.parts)
        listed = saved.get(str(path.parent))
        is_listed = listed is None or path.name in listed
        if not is_hidden and is_listed and may_hold_rows(path.name):
            chosen.append(name)
    return chosen
