"""The run directory: one folder per artifact, committed by rename.

    <run>/<artifact>/<key>/part-00000.parquet ...      the table, in its own order
                           rejects-00000.parquet ...   the rows that could not be used
                           manifest.json               stage, settings, inputs, counts, digest ...

An artifact that exists is complete. A draft is `<run>/.making/<artifact>-<key>`; its finished parts
stay when the process dies, and the next one goes on from there. A draft has a file for each batch;
the commit joins them where they are many (`tacos.store.joined_files`), and readers still get the
batches. Nothing committed is ever overwritten.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from tacos.errors import OutputError, RunError
from tacos.records import (
    REJECTS,
    OriginalRows,
    build_reject_frame,
    conform_table,
)
from tacos.store import joined_files
from tacos.store.files import digest_files, explain_os_errors, make_folder
from tacos.store.joined_files import (
    OriginalPart,
    join_originals,
    join_tables,
    read_batches,
)
from tacos.store.tables import read_table, scan_tables, write_table

OWN_FILES = (
    "run.json",
    "stdin.tmp",
    f"stdin-{'[0-9a-f]' * 16}",
    "consent-*.json",
    ".lock",
)
"""What tacos itself puts at the root of a run directory."""
N_ROWS_PER_PART = 500_000
"""Of a table that is written as a whole."""
ORIGINALS = "originals.json"
"""Says where the original rows of each batch lie, if their files were joined."""
LAYOUT = 1
"""Version of the run directory's layout."""


@dataclass(frozen=True)
class Artifact:
    """A committed table with its manifest."""

    path: Path
    manifest: dict[str, Any]

    @property
    def digest(self) -> str:
        """Hash of the table's bytes: what the keys of dependent stages rest on."""
        return str(self.manifest["digest"])

    @property
    def model(self) -> str | None:
        """The name of the model that made the table, if one did."""
        model: str | None = self.manifest.get("model")
        return model

    @property
    def fingerprint(self) -> str | None:
        """The fingerprint of that model; None where the table does not say."""
        fingerprint: str | None = self.manifest.get("fingerprint")
        return fingerprint

    @property
    def parts(self) -> list[Path]:
        """The files of the table, in its order."""
        return sorted(self.path.glob("part-*.parquet"))

    @property
    def originals(self) -> dict[int, OriginalPart]:
        """Number of a batch -> its original rows, where the input has types
        (`records.OriginalRows`).
        """
        try:
            places = orjson.loads((self.path / ORIGINALS).read_bytes())
        except FileNotFoundError:
            files = sorted(self.path.glob("original-*.arrow"))
            return {
                int(file.stem.removeprefix("original-")): OriginalPart(file)
                for file in files
            }
        return {
            int(number): OriginalPart(self.path / name, start)
            for number, (name, start) in places.items()
        }

    def scan(self) -> pl.LazyFrame:
        """The table, read lazily."""
        return scan_tables(self.parts)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The table in the batches in which it was made; only `columns`, if given."""
        for part in self.parts:
            yield from read_batches(part, columns)

    @property
    def reject_parts(self) -> list[Path]:
        """The files of the rows that could not be used, in the order of the parts."""
        return sorted(self.path.glob("rejects-*.parquet"))

    def rejects(self) -> pl.DataFrame:
        """The rows that could not be used (`records.REJECTS`)."""
        parts = self.reject_parts
        if not parts:
            return pl.DataFrame(schema=REJECTS)
        return scan_tables(parts).collect()


@dataclass(frozen=True)
class Draft:
    """An artifact while it is written, part by part."""

    path: Path
    target: Path

    @property
    def finished(self) -> set[int]:
        """Numbers of the parts that an earlier process left complete."""
        numbers = [
            part.stem.removeprefix("part-") for part in self.path.glob("part-*.parquet")
        ]
        return {int(number) for number in numbers}

    def write(
        self,
        number: int,
        table: pl.DataFrame,
        rejects: pl.DataFrame,
    ) -> None:
        """Write one part. Its rejects first, so that a part that exists is complete."""
        if rejects.height:
            write_table(rejects, self.path / f"rejects-{number:05d}.parquet")
        write_table(table, self.path / f"part-{number:05d}.parquet")

    def write_notes(self, number: int, notes: dict[str, Any]) -> None:
        """Write the notes of a part, so that they outlive this process; call it before the part
        itself is written.
        """
        write_json(self.path / f"notes-{number:05d}.json", notes)

    def read_notes(self) -> Iterator[dict[str, Any]]:
        """The notes of the parts that are finished, as far as they were written."""
        for number in sorted(self.finished):
            file = self.path / f"notes-{number:05d}.json"
            if file.exists():
                yield orjson.loads(file.read_bytes())

    def write_original(self, number: int, original: OriginalRows) -> None:
        """Write the original rows of a part; call it before the part itself is written."""
        # Only runs over files with types need pyarrow, which takes long to import.
        from tacos.store.original_rows import write_original_rows

        write_original_rows(original, self.path / f"original-{number:05d}.arrow")

    def drop_parts(self, *, with_failures: bool) -> None:
        """Remove rejects without a part, which a process that died in between has left; and where
        wanted, parts with a failed row, so that they are made again.
        """
        for rejects in self.path.glob("rejects-*.parquet"):
            number = rejects.stem.removeprefix("rejects-")
            part = self.path / f"part-{number}.parquet"
            failures = read_table(rejects, ["failure"])["failure"]
            is_dropped = with_failures and failures.any()
            if part.is_file() and not is_dropped:
                continue
            # The part first: rejects alone do not count as finished.
            part.unlink(missing_ok=True)
            rejects.unlink()

    def write_in_parts(
        self,
        table: pl.DataFrame,
        schema: pl.Schema,
        rejects: pl.DataFrame,
        name_rows: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
    ) -> None:
        """Write a whole table by its schema, in parts of so many rows that one can be read by
        itself. `name_rows` gives texts for ids to some rows, where the table has numbers.
        """
        n_parts = max(
            1, *(-(-part.height // N_ROWS_PER_PART) for part in (table, rejects))
        )
        for number in range(n_parts):
            first = number * N_ROWS_PER_PART
            # Part by part: the table may have narrower types, constants, and numbers for ids.
            part = table.slice(first, N_ROWS_PER_PART)
            if name_rows is not None:
                part = name_rows(part)
            self.write(
                number,
                conform_table(part, schema),
                rejects.slice(first, N_ROWS_PER_PART),
            )

    def count_rejects(self) -> Counter[str]:
        """Reason -> rejects so far, in the order of the first ones."""
        counts: Counter[str] = Counter()
        for part in Artifact(self.path, {}).reject_parts:
            reasons = read_table(part, ["reason"])
            in_order = reasons.group_by("reason", maintain_order=True).len()
            counts.update(dict(in_order.iter_rows()))
        return counts

    def read_failures(self) -> pl.DataFrame:
        """The rejects so far that are failures."""
        failures = [
            read_table(part).filter("failure")
            for part in Artifact(self.path, {}).reject_parts
        ]
        return pl.concat([build_reject_frame(), *failures])

    def n_rows(self) -> int:
        """Rows so far."""
        parts = Artifact(self.path, {}).parts
        if not parts:
            return 0
        count = scan_tables(parts).select(pl.len())
        return int(count.collect().item())

    def commit(self, manifest: dict[str, Any]) -> Artifact:
        """Complete the artifact: write its manifest and rename the folder into place.

        One that another process has made since this draft began stays: by its key it is the same.
        """
        # The digest is of the table's bytes; its rejects are not part of it. Those of the parts,
        # so that it does not depend on how they are joined.
        parts = Artifact(self.path, {}).parts
        complete_manifest = {
            **manifest,
            "n_rows": self.n_rows(),
            "digest": digest_files(parts),
        }
        are_many = len(parts) > joined_files.FILES_PER_FILE
        made = self._join_parts() if are_many else self.path
        # The manifest has the notes of all parts.
        for file in made.glob("notes-*.json"):
            file.unlink()
        # The manifest before the rename: a folder under its final name is complete.
        write_json(made / "manifest.json", complete_manifest)
        make_folder(self.target.parent)
        if not self.target.is_dir():
            os.rename(made, self.target)
        for left in (made, self.path):
            shutil.rmtree(left, ignore_errors=True)
        return Artifact(self.target, complete_manifest)

    def _join_parts(self) -> Path:
        """A folder beside the draft with the same rows in few files. The draft stays until that
        folder is committed: a process may die here.
        """
        folder = self.path.with_name(f"{self.path.name}.joined")
        shutil.rmtree(folder, ignore_errors=True)
        make_folder(folder)
        draft = Artifact(self.path, {})
        with explain_os_errors(self.target):
            join_tables(draft.parts, folder, "part")
            join_tables(draft.reject_parts, folder, "rejects")
            originals = {
                number: original.path for number, original in draft.originals.items()
            }
            places = join_originals(originals, folder)
        if places:
            write_json(folder / ORIGINALS, places)
        return folder


@dataclass(frozen=True)
class Store:
    """The artifacts of one run directory."""

    root: Path

    def find(self, name: str, key: str) -> Artifact | None:
        """The committed artifact of that name and key, or None.

        Raises `RunError` where its manifest is damaged.
        """
        path = self.root / name / key
        manifest_file = path / "manifest.json"
        try:
            manifest = orjson.loads(manifest_file.read_bytes())
        except OSError:
            return None
        except ValueError:
            raise RunError(
                f"{manifest_file} is damaged: remove {path} and run the command again"
            ) from None
        return Artifact(path, manifest)

    def has(self, name: str) -> bool:
        """Whether an artifact of that name was ever committed, under any key."""
        return (self.root / name).is_dir()

    def begin(
        self,
        name: str,
        key: str,
        *,
        resume: bool = True,
    ) -> Draft:
        """A draft of an artifact; with `resume`, it begins with the parts that an earlier process
        left complete.
        """
        path = self.root / ".making" / f"{name.replace('/', '.')}-{key}"
        if not resume:
            shutil.rmtree(path, ignore_errors=True)
        make_folder(path)
        # Parts that were being written when an earlier process died.
        for leftover in path.glob("*.tmp"):
            leftover.unlink()
        draft = Draft(path, self.root / name / key)
        draft.drop_parts(with_failures=False)
        return draft

    def write_state(self, name: str, state: dict[str, Any]) -> None:
        """Write a small JSON file at the run's root, by rename."""
        write_json(self.root / name, state)

    def read_state(self, name: str) -> dict[str, Any]:
        """A small JSON file at the run's root. Raises `RunError` where it cannot be read."""
        try:
            state = orjson.loads((self.root / name).read_bytes())
            if not isinstance(state, dict):
                raise ValueError("it holds no object")
            return state
        except FileNotFoundError:
            if not self.root.exists():
                raise RunError(f"no such run: {self.root}") from None
            raise RunError(
                f"{self.root} is not a finished run (no {name}): name another, "
                "or finish it with the command that started it"
            ) from None
        except NotADirectoryError:
            own = self.root.with_name(f"{self.root.name}.run")
            run = f"a run is a folder, such as {own}"
            if not own.is_dir():
                run = "name the folder of the run that it was selected from (tacos runs lists runs)"
            raise RunError(f"{self.root} is a file; {run}") from None
        except (OSError, ValueError) as error:
            # It may be the file of another program: nobody is told to remove it.
            raise RunError(
                f"{self.root / name} cannot be read: {error}; name another directory"
            ) from None

    def has_state(self, name: str) -> bool:
        """Whether such a file exists."""
        return (self.root / name).is_file()

    def clear_drafts(self) -> None:
        """Remove what other commands left unfinished."""
        shutil.rmtree(self.root / ".making", ignore_errors=True)

    @contextmanager
    def lock(self, *, keeps_parts: bool = False) -> Iterator[None]:
        """Keep other processes off this run while the context lasts.

        A directory without an artifact at the end is removed again; with `keeps_parts`, not if a
        part of one is finished. Raises `RunError` where another
        process holds the lock, `OutputError` where the directory cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            handle = open(self.root / ".lock", "a+")  # noqa: SIM115
        except OSError as error:
            raise OutputError(
                f"cannot write the run directory {self.root}: {error.strerror}; "
                "name another run (--run) or output (-o)"
            ) from None
        with handle:
            # The lock goes with the open file: the system drops it even where a process is killed.
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    f"{self.root} is in use by another process; "
                    "wait for it, or name another run (--run) or output (-o)"
                ) from None
            try:
                yield
            finally:
                has_part = next(self.root.rglob("part-*.parquet"), None) is not None
                if not (keeps_parts and has_part):
                    self._tidy()

    def _tidy(self) -> None:
        """Where no artifact was made, remove the run's own files, and the directory if nothing else
        is in it.
        """
        has_artifact = next(self.root.rglob("manifest.json"), None) is not None
        if has_artifact:
            return
        self.clear_drafts()
        for pattern in OWN_FILES:
            for path in self.root.glob(pattern):
                path.unlink()
        with suppress(OSError):  # the user's own files stay, and so does their folder
            self.root.rmdir()


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write JSON under a temporary name, then rename it. Raises `OutputError`."""
    temporary = path.with_suffix(".tmp")
    content = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
    with explain_os_errors(path):
        temporary.write_bytes(content)
        os.replace(temporary, path)
