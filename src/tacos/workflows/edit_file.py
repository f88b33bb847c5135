"""The file of edits beside a run, as the local page reads and changes it.

Whatever is changed is on disk before the page says so. People at once, in several processes too,
take turns: a change reads the file, changes one row, and writes it by rename.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from tacos.errors import InputError
from tacos.formats import row_edits
from tacos.formats.row_edits import Decision, RowEdit
from tacos.report.judge_words import clip_text
from tacos.store.journal import hold_lock
from tacos.workflows.selection import Selection

RUN_ENDING = ".run"
ENDING = ".edits.jsonl"
LOCK = ".edits.lock"
MAX_TAGS = 50
MAX_TAG_CHARS = 200
N_SHOWN = 2_000
"""Edits that are listed; the file has all."""
N_HASH = 40
"""Characters of a hash that a message repeats."""


@dataclass(frozen=True)
class EditFile:
    """The edits of one run, in a file beside it that `--edits` takes."""

    done: Selection

    @property
    def path(self) -> Path:
        """The file; it may not exist yet."""
        run = self.done.run.absolute()
        return run.with_name(run.name.removesuffix(RUN_ENDING) + ENDING)

    def read(self) -> dict[str, RowEdit]:
        """All edits, by content hash. Raises `InputError` where the file cannot be read."""
        if not self.path.exists():
            return {}
        return row_edits.read_edits(self.path)

    def describe_row(self, content_hash: str) -> dict[str, Any]:
        """What the file says of a row, and what the run itself was told."""
        edit = self.read().get(content_hash, RowEdit(content_hash))
        selecting = self.done.settings.select
        told = None
        if content_hash in selecting.keep:
            told = "keep"
        if content_hash in selecting.exclude:
            told = "drop"
        return {
            "content_hash": content_hash,
            "decision": edit.decision,
            "tags": edit.tags,
            "note": edit.note,
            "of_run": told,
            "own_tags": self._read_tags(content_hash),
            "file": str(self.path),
        }

    def change(
        self,
        content_hash: str,
        decision: Decision | None,
        tags: list[str] | None,
        note: str = "",
    ) -> dict[str, Any]:
        """Say something else of a row; nothing at all takes its line out of the file.

        Raises `InputError` if the data has no such row, or for tags that are none.
        """
        row_id = self._find_id(content_hash)
        given = None if tags is None else _check_tags(tags)
        with self._take_turn():
            edits = self.read()
            old = edits.pop(content_hash, RowEdit(content_hash))
            if decision is not None or given is not None:
                # With its id, for people who read the file.
                edits[content_hash] = replace(
                    old,
                    decision=decision,
                    tags=given,
                    note=note.strip(),
                    others={**old.others, "id": row_id},
                )
            row_edits.write_edits(edits, self.path)
        return self.describe_row(content_hash)

    def list_edits(self) -> dict[str, Any]:
        """All edits with the beginnings of their rows, and the commands that take them."""
        edits = self.read()
        shown = list(edits)[:N_SHOWN]
        rows = self._read_rows(shown)
        listed = []
        for content_hash in shown:
            edit = edits[content_hash]
            entry = {
                **edit.as_dict(),
                "decision": edit.decision,
                "tags": edit.tags,
                "note": edit.note,
                "id": None,
                "question": None,
            }
            listed.append(entry | rows.get(content_hash, {}))
        return {
            "file": str(self.path),
            "n": len(edits),
            "edits": listed,
            "n_unknown": sum(entry["question"] is None for entry in listed),
            "commands": self._list_commands(),
        }

    def _list_commands(self) -> list[str]:
        """What selects with these edits."""
        edits = shlex.quote(str(self.path))
        run = shlex.quote(str(self.done.run.absolute()))
        return [
            f"tacos reselect {run} --edits {edits} -o edited.jsonl",
            f"tacos select DATA -o selected.jsonl --edits {edits}",
        ]

    @contextmanager
    def _take_turn(self) -> Iterator[None]:
        """Keep other writers of the file off."""
        with hold_lock(self.done.run / LOCK):
            yield

    def _find_id(self, content_hash: str) -> str:
        """The id of a row. Raises `InputError` if there is none."""
        samples = self.done.artifacts["samples"].scan().select("id", "content_hash")
        ids = samples.filter(content_hash=content_hash).collect()["id"]
        if ids.is_empty():
            raise InputError(
                f"no usable row of this run has the content hash {content_hash[:N_HASH]!r}: it was "
                "rejected as it was read, or is of other data; the sidecar and tacos explain show "
                "the hashes of rows"
            )
        return str(ids[0])

    def _read_tags(self, content_hash: str) -> list[str]:
        """The canonical tags of a row in the run."""
        if "canonical_tags" not in self.done.artifacts:
            return []
        row_id = self._find_id(content_hash)
        tags = self.done.artifacts["canonical_tags"].scan().filter(id=row_id)
        found = tags.collect()["tags"].to_list()
        return found[0] if found else []

    def _read_rows(self, hashes: list[str]) -> dict[str, dict[str, str]]:
        """The ids and the beginnings of rows, by content hash."""
        samples = self.done.artifacts["samples"].scan()
        is_listed = pl.col("content_hash").is_in(hashes)
        rows = samples.select("content_hash", "id", "instruction").filter(is_listed)
        return {
            content_hash: {"id": row_id, "question": clip_text(instruction)}
            for content_hash, row_id, instruction in rows.collect().iter_rows()
        }


def _check_tags(tags: list[str]) -> tuple[str, ...]:
    """Tags as the file has them, each once. Raises `InputError` for what is no tag."""
    names = [row_edits.read_tag(tag) for tag in tags]
    if len(names) > MAX_TAGS or any(
        not 0 < len(name) <= MAX_TAG_CHARS for name in names
    ):
        raise InputError(
            f"a row takes up to {MAX_TAGS} tags of 1 to {MAX_TAG_CHARS} characters"
        )
    return tuple(dict.fromkeys(names))
