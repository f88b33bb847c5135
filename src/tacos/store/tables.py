"""Tables as Parquet files, at exactly the paths given.

To polars a path is more than a name: `*`, `?` and brackets make it a pattern, a leading `~` the
home folder, and `file:` a URL. People's files have such names, so no path goes to polars without
this module.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from tacos.store.files import explain_os_errors


def scan_tables(paths: Sequence[Path]) -> pl.LazyFrame:
    """Several files as one table, read lazily."""
    names = [spell_literally(path) for path in paths]
    return pl.scan_parquet(names, glob=False)


def read_table(path: Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """One file; only `columns`, if given."""
    wanted = list(columns) if columns else None
    return pl.read_parquet(
        spell_literally(path),
        columns=wanted,
        glob=False,
    )


def write_table(
    table: pl.DataFrame,
    path: Path,
    metadata: dict[str, str] | None = None,
) -> None:
    """Write a file under a temporary name, then rename it. Raises `OutputError`, for a full disk
    as well.
    """
    temporary = path.with_suffix(".tmp")
    with explain_os_errors(path):
        try:
            table.write_parquet(
                spell_literally(temporary),
                compression="zstd",
                compression_level=1,
                statistics=False,
                metadata=metadata,
            )
        except pl.exceptions.ComputeError as error:
            raise _find_system_error(error) from None
        os.replace(temporary, path)


def _find_system_error(error: pl.exceptions.ComputeError) -> OSError:
    """What the disk said, which reaches Python in the words of polars.

    >>> _find_system_error(pl.exceptions.ComputeError("io error: no (os error 28)"))
    OSError(28, 'No space left on device')
    """
    number = re.search(r"\(os error (\d+)\)", str(error))
    if number is None:
        return OSError(str(error).rpartition("error: ")[2])
    return OSError(int(number[1]), os.strerror(int(number[1])))


def spell_literally(path: str | Path) -> str:
    """The path as a text that polars takes for nothing but the name of a file.

    >>> spell_literally("~/a.parquet"), spell_literally("/tmp/b.parquet")
    ('./~/a.parquet', '/tmp/b.parquet')
    """
    return os.path.join(os.curdir, path)
