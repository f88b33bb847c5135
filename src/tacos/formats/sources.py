"""The input of a run: its names, a digest of its content, and its rows batch by batch.

Standard input can be read only once, so it is first copied into the run directory, under a name
made from its content: the next command with the same content finds the same digest.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from tacos.errors import InputError
from tacos.formats import reading
from tacos.formats.paths import STDIN
from tacos.records import Table, canonical_hash
from tacos.store.files import digest_files


@dataclass(frozen=True)
class InputSource:
    """Files by name, or Python data; see `tacos.pipeline.run_loop.Source`."""

    digest: str
    names: tuple[str, ...]
    files: tuple[Path, ...] = ()
    data: Any = None

    @property
    def old_tables(self) -> Mapping[str, Table]:
        """None: these rows join no run."""
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
    paths = reading.list_input_paths(data)
    if paths is None:
        return _open_data(data)
    names = reading.name_files(paths)
    files = [_locate_file(path, run) for path in paths]
    for name, file in zip(names, files, strict=True):
        reading.check_readable(file, name)
    try:
        # The names are in the ids of rows, so they belong to the content.
        digest = canonical_hash([names, digest_files(files)])
    except OSError as error:
        raise InputError(
            f"{error.filename} cannot be read: {error.strerror}; check the file and its permissions"
        ) from None
    return InputSource(
        digest=digest,
        names=tuple(names),
        files=tuple(files),
    )


def _open_data(data: Any) -> InputSource:
    """The source of Python data."""
    # An iterator can be read only once, but is read twice: for its digest and for its rows.
    if isinstance(data, Iterator):
        data = list(data)
    return InputSource(
        digest=reading.digest_data(data),
        names=("data",),
        data=data,
    )


def _locate_file(path: str | Path, run: Path) -> Path:
    """The file of an input; standard input becomes one."""
    if str(path) == STDIN:
        return _spool_stdin(run)
    return Path(path)


def _spool_stdin(run: Path) -> Path:
    """Copy standard input into the run directory; the file is named by its content."""
    temporary = run / "stdin.tmp"
    with temporary.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    digest = digest_files([temporary])
    target = run / f"stdin-{digest[:16]}"
    os.replace(temporary, target)
    return target
