"""The input of a run: its names, a digest of its content, and its rows batch by batch.

Standard input can be read only once, so it is first copied into the run directory, under a name
made from its content: the next command with the same content finds the same digest. Files elsewhere
are read where they are, and told apart by their version.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from tacos.addresses import is_elsewhere
from tacos.config import IngestSettings, Settings
from tacos.errors import InputError
from tacos.formats import reading
from tacos.formats.compression import get_stdin
from tacos.formats.paths import STDIN
from tacos.formats.python_objects import hold_data
from tacos.formats.remote_files import BLOCK, RemoteFile, open_remote
from tacos.formats.remote_inputs import InputFile, find_input_files, load_record
from tacos.records import Table, canonical_hash
from tacos.store.files import digest_files, explain_os_errors

SPOOLED = "stdin-"
"""Begins the name of a run's copy of standard input."""


@dataclass(frozen=True)
class InputSource:
    """Files by name, or Python data; see `tacos.pipeline.run_loop.Source`."""

    digest: str
    names: tuple[str, ...]
    files: tuple[Path | RemoteFile, ...] = ()
    data: Any = None
    anew: tuple[str, ...] = ()
    """What is to be said of inputs that have changed since the run read them."""

    @property
    def old_tables(self) -> Mapping[str, Table]:
        """None: these rows join no run."""
        return {}

    @property
    def read_before(self) -> Mapping[str, IngestSettings]:
        """None, too."""
        return {}

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[Any]:
        """Batches of raw rows (`reading.RowBatch`)."""
        if self.data is not None:
            yield from reading.read_rows(self.data, name=self.names[0])
            return
        for name, file in zip(self.names, self.files, strict=True):
            yield from reading.read_file(file, name, reading.BATCH_SIZE)

    def heads(self, n_rows: int) -> Iterator[Any]:
        """The first `n_rows` rows of each file, as one batch."""
        if self.data is not None:
            yield from islice(
                reading.read_rows(self.data, n_rows, name=self.names[0]), 1
            )
            return
        for name, file in zip(self.names, self.files, strict=True):
            yield from islice(reading.read_file(file, name, n_rows), 1)

    def scan(self) -> pl.LazyFrame:
        """Raises `NotImplementedError`: raw rows are no table."""
        raise NotImplementedError("raw rows have no columns before they are ingested")


def open_source(data: Any, run: Path) -> InputSource:
    """The source of a run in the directory `run`. Raises `InputError` for what cannot be read."""
    record = load_record(run)
    known = list(record.versions)
    paths = reading.list_input_paths(data, record)
    if paths is None:
        return _open_data(data)
    names = reading.name_files(paths)
    files = [_locate_file(path, run) for path in paths]
    for name, file in zip(names, files, strict=True):
        # What a run has read before can be read.
        if not (isinstance(file, RemoteFile) and file.version in known):
            reading.check_readable(file, name)
    try:
        digest = _digest_inputs(names, files)
    except OSError as error:
        raise InputError(
            f"{error.filename} cannot be read: {error.strerror}; check the file and its permissions"
        ) from None
    record.save(run)
    return InputSource(
        digest=digest,
        names=tuple(names),
        files=tuple(files),
        anew=tuple(
            f"{name} has changed since this run read it: it is read again"
            for name in record.changed
        ),
    )


def is_stdin(file: Path | RemoteFile, run: Path) -> bool:
    """Whether a file of a run's input is its copy of standard input."""
    if isinstance(file, RemoteFile):
        return False
    return file.parent == run and file.name.startswith(SPOOLED)


def copy_record(run: Path, target: Path) -> None:
    """Let a run in `target` read the same commits of the hub as the one in `run`."""
    load_record(run).save(target)


def pin_evaluation_sets(settings: Settings) -> Settings:
    """Settings in which evaluation sets elsewhere have their version as digest, so that a changed
    one is noticed. Raises `InputError` for what cannot be found.
    """
    digests = dict(settings.clean.against)
    for name in digests:
        if not is_elsewhere(name):
            continue
        files = [
            file for file in find_input_files([name]) if isinstance(file, RemoteFile)
        ]
        digests[name] = canonical_hash([_read_version(file) for file in files])
    if digests == settings.clean.against:
        return settings
    cleaning = settings.clean.model_copy(update={"against": digests})
    return settings.model_copy(update={"clean": cleaning})


def _digest_inputs(names: Sequence[str], files: Sequence[Path | RemoteFile]) -> str:
    """A hash of names and contents. The names are in the ids of rows."""
    here = [file for file in files if not isinstance(file, RemoteFile)]
    elsewhere = [file for file in files if isinstance(file, RemoteFile)]
    parts: list[Any] = [names, digest_files(here)]
    if elsewhere:
        parts.append([_read_version(file) for file in elsewhere])
    return canonical_hash(parts)


def _read_version(file: RemoteFile) -> str:
    """What tells contents of a file apart; the content itself where its server says nothing."""
    if file.version:
        return file.version
    digest = hashlib.blake2b(digest_size=16)
    with open_remote(file) as content:
        while chunk := content.read(BLOCK):
            digest.update(chunk)
    return digest.hexdigest()


def _open_data(data: Any) -> InputSource:
    """The source of Python data."""
    # It is read twice: for its digest and for its rows.
    data = hold_data(data)
    return InputSource(
        digest=reading.digest_data(data),
        names=("data",),
        data=data,
    )


def _locate_file(path: InputFile, run: Path) -> Path | RemoteFile:
    """The file of an input; standard input becomes one."""
    if isinstance(path, RemoteFile):
        return path
    if str(path) == STDIN:
        return _spool_stdin(run)
    return Path(path)


def _spool_stdin(run: Path) -> Path:
    """Copy standard input into the run directory; the file is named by its content."""
    temporary = run / "stdin.tmp"
    stdin = get_stdin()
    with explain_os_errors(temporary), temporary.open("wb") as file:
        shutil.copyfileobj(stdin, file)
    digest = digest_files([temporary])
    target = run / f"{SPOOLED}{digest[:16]}"
    os.replace(temporary, target)
    return target
