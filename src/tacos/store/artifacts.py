"""The store: a run is a directory, one folder per artifact, committed by rename.

    <run>/<artifact>/<key>/part-00000.parquet ...      the table, in its own order
                           rejects-00000.parquet ...   the rows that could not be used
                           manifest.json               stage, settings, inputs, counts, duration, digest

An artifact that is there is complete. One in the making is `<run>/.making/<artifact>-<key>`; its
finished parts stay when the process dies, and the next one goes on from there. Nothing committed is
ever overwritten.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from tacos.errors import OutputError, RunError
from tacos.records import REJECTS
from tacos.store.files import digest_files

OWN_FILES = ("run.json", "stdin*", "consent-*.json", ".lock")
LAYOUT = 1
"""Version of the run directory's layout."""


@dataclass(frozen=True)
class Artifact:
    """A committed table with its manifest."""

    path: Path
    manifest: dict[str, Any]

    @property
    def digest(self) -> str:
        """Hash of the table's bytes: what a dependent stage's key rests on."""
        return str(self.manifest["digest"])

    @property
    def parts(self) -> list[Path]:
        return sorted(self.path.glob("part-*.parquet"))

    def scan(self) -> pl.LazyFrame:
        return pl.scan_parquet(self.parts)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        for part in self.parts:
            yield pl.read_parquet(part, columns=list(columns) if columns else None)

    def rejects(self) -> pl.DataFrame:
        parts = sorted(self.path.glob("rejects-*.parquet"))
        return pl.read_parquet(parts) if parts else pl.DataFrame(schema=REJECTS)


@dataclass(frozen=True)
class Draft:
    """An artifact in the making."""

    path: Path
    target: Path

    @property
    def finished(self) -> set[int]:
        """Numbers of the parts that an earlier process left complete."""
        return {int(part.stem.partition("-")[2]) for part in self.path.glob("part-*.parquet")}

    def write(self, number: int, table: pl.DataFrame, rejects: pl.DataFrame) -> None:
        """Write one part; its rejects first, so that a part that is there is complete."""
        if rejects.height:
            _write_parquet(rejects, self.path / f"rejects-{number:05d}.parquet")
        _write_parquet(table, self.path / f"part-{number:05d}.parquet")

    def read_rejects(self) -> pl.DataFrame:
        return Artifact(self.path, {}).rejects()

    def n_rows(self) -> int:
        parts = Artifact(self.path, {}).parts
        return int(pl.scan_parquet(parts).select(pl.len()).collect().item()) if parts else 0

    def commit(self, manifest: dict[str, Any]) -> Artifact:
        """Seal the artifact: manifest in, folder renamed into place."""
        full = {
            **manifest,
            "n_rows": self.n_rows(),
            "digest": digest_files(Artifact(self.path, {}).parts),
        }
        write_json(self.path / "manifest.json", full)
        self.target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(self.path, self.target)
        return Artifact(self.target, full)


@dataclass(frozen=True)
class Store:
    """The artifacts of one run directory."""

    root: Path

    def find(self, name: str, key: str) -> Artifact | None:
        """The committed artifact of that name and key, or None."""
        path = self.root / name / key
        try:
            return Artifact(path, orjson.loads((path / "manifest.json").read_bytes()))
        except OSError:
            return None
        except ValueError:
            raise RunError(
                f"{path / 'manifest.json'} is damaged: remove {path} and give the command again"
            ) from None

    def begin(self, name: str, key: str, *, resume: bool = True) -> Draft:
        """A draft of an artifact; without `resume`, what an earlier process left of it is thrown
        away.
        """
        path = self.root / ".making" / f"{name.replace('/', '.')}-{key}"
        if not resume:
            shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True, exist_ok=True)
        for leftover in path.glob("*.tmp"):
            leftover.unlink()
        return Draft(path, self.root / name / key)

    def write_state(self, name: str, state: dict[str, Any]) -> None:
        """Write a small JSON file at the run's root, by rename."""
        write_json(self.root / name, state)

    def read_state(self, name: str) -> dict[str, Any]:
        """Read it back; `RunError` where there is none."""
        try:
            return dict(orjson.loads((self.root / name).read_bytes()))
        except FileNotFoundError:
            raise RunError(f"{self.root} is not a finished run: it has no {name}") from None
        except NotADirectoryError:
            raise RunError(
                f"{self.root} is a file; a run is a folder, such as {self.root}.run"
            ) from None
        except (OSError, ValueError) as error:
            raise RunError(f"{self.root / name} cannot be read: {error}") from None

    def has_state(self, name: str) -> bool:
        """Whether such a file is there."""
        return (self.root / name).is_file()

    def clear_drafts(self) -> None:
        """Throw away what runs under other settings left unfinished."""
        shutil.rmtree(self.root / ".making", ignore_errors=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second process off this run for as long as the context lasts.

        A directory in which nothing was made by then is removed again.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            handle = open(self.root / ".lock", "a+")  # noqa: SIM115
        except OSError as error:
            raise OutputError(
                f"cannot write the run directory {self.root}: {error.strerror}"
            ) from None
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    f"{self.root} is in use by another process; wait for it or name another --run"
                ) from None
            try:
                yield
            finally:
                self._tidy()

    def _tidy(self) -> None:
        """Remove the run's own files where no artifact was made, and the directory where nothing
        else is in it.
        """
        if next(self.root.rglob("manifest.json"), None) is not None:
            return
        self.clear_drafts()
        for pattern in OWN_FILES:
            for path in self.root.glob(pattern):
                path.unlink()
        with suppress(OSError):
            self.root.rmdir()


def _write_parquet(table: pl.DataFrame, path: Path) -> None:
    """Write a table under a temporary name, then rename it."""
    temporary = path.with_suffix(".tmp")
    table.write_parquet(temporary, compression="zstd", compression_level=1, statistics=False)
    os.replace(temporary, path)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write JSON under a temporary name, then rename it."""
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
    os.replace(temporary, path)
