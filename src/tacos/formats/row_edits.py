"""Edits by hand: rows to keep or to drop whatever their score, and tags that a person has set.

A file of edits has one JSON object a line and one line a row:

    {"content_hash": "9c1f...", "decision": "keep"}
    {"content_hash": "04ab...", "decision": "drop", "note": "a joke"}
    {"content_hash": "77d0...", "tags": ["Unit Conversion", "Cooking"]}

`content_hash` names the row by its content, so that edits hold in a shuffled input, too; the
sidecar and `tacos explain` show it. `decision` is keep, drop or none: none takes back what an
earlier run was told of the row. `tags` stand in place of the row's canonical tags, as they are
written. `id`, `note` and other fields are for people, and are not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import orjson

from tacos.errors import InputError
from tacos.store import files
from tacos.visible_text import clean_line, find_unseen

Decision = Literal["keep", "drop", "none"]
FIELDS = ("content_hash", "decision", "tags", "note")
N_SHOWN = 60
"""Characters of a faulty line that its error quotes."""


@dataclass(frozen=True, slots=True)
class RowEdit:
    """What a person decided about one row."""

    content_hash: str
    decision: Decision | None = None
    """None: nothing is said."""
    tags: tuple[str, ...] | None = None
    """None: nothing is said; empty: the row has none."""
    note: str = ""
    place: str = ""
    """Where it stands, for messages: file and line."""
    others: Mapping[str, Any] = field(default_factory=dict)
    """Fields that are not read, and are written back as they were."""

    def as_dict(self) -> dict[str, Any]:
        """As a line of the file; what is not said is left out."""
        said = {"decision": self.decision, "tags": self.tags, "note": self.note or None}
        given = {name: value for name, value in said.items() if value is not None}
        return {"content_hash": self.content_hash, **given, **self.others}


Edits = Mapping[str, RowEdit]
"""By content hash."""


def read_edits(path: Path) -> dict[str, RowEdit]:
    """The edits of a file. Raises `InputError`, with the line, for one that cannot be read, and for
    two that are about the same row.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise InputError(f"edits {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"edits {path} are not UTF-8 text") from None
    return parse_edits(text.split("\n"), str(path))


def parse_edits(lines: Iterable[str], name: str) -> dict[str, RowEdit]:
    """The edits of the lines of a file, by content hash.

    >>> line = '{"content_hash": "9c1f", "decision": "keep"}'
    >>> parse_edits([line, ""], "x.jsonl")["9c1f"].decision
    'keep'
    """
    edits: dict[str, RowEdit] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        edit = _parse_edit(line, f"{name}, line {number}")
        first = edits.setdefault(edit.content_hash, edit)
        if first is not edit:
            raise InputError(
                f"{edit.place}: {first.place} is about the same row: put both into one line, "
                "with one decision"
            )
    return edits


def write_edits(edits: Edits, path: Path) -> None:
    """Write a file of edits, sorted, by rename. Raises `OutputError` if it cannot be written."""
    lines = []
    for content_hash in sorted(edits):
        line = orjson.dumps(edits[content_hash].as_dict()).decode()
        lines.append(f"{line}\n")
    files.write_text("".join(lines), path)


def read_tag(text: str) -> str:
    """A tag as a person typed it, without spaces around it.

    Raises `InputError` for one with a character that nobody can see: it would be another tag than
    the one that looks the same.

    >>> read_tag(" Unit Conversion ")
    'Unit Conversion'
    """
    tag = text.strip()
    unseen = find_unseen(tag)
    if unseen:
        raise InputError(
            f"the tag {clean_line(tag)[:N_SHOWN]!r} has a character that cannot be seen "
            f"(U+{ord(unseen):04X}): type it again by hand"
        )
    return tag


def _parse_edit(line: str, place: str) -> RowEdit:
    """One edit. Raises `InputError` if it is not valid."""
    try:
        row = orjson.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise InputError(
            f'{place}: {line[:N_SHOWN]!r} is no edit, such as {{"content_hash": "...", '
            '"decision": "keep"}'
        )
    content_hash = row.get("content_hash")
    if not isinstance(content_hash, str) or not content_hash:
        raise InputError(
            f"{place}: no content_hash: take it from the sidecar or from tacos explain"
        )
    decision = row.get("decision")
    if decision not in (None, *get_args(Decision)):
        raise InputError(
            f"{place}: decision is {str(decision)[:N_SHOWN]!r}; give keep, drop or none"
        )
    note = row.get("note")
    return RowEdit(
        content_hash=content_hash,
        decision=decision,
        tags=_parse_tags(row.get("tags"), place),
        note=note if isinstance(note, str) else "",
        place=place,
        others={name: value for name, value in row.items() if name not in FIELDS},
    )


def _parse_tags(value: Any, place: str) -> tuple[str, ...] | None:
    """The tags of an edit, each once. Raises `InputError` unless they are a list of names."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise InputError(f'{place}: tags must be a list of names, such as ["Cooking"]')
    tags = []
    for tag in value:
        if not isinstance(tag, str) or not tag.strip():
            raise InputError(
                f"{place}: tags must be a list of names, none of them empty"
            )
        try:
            tags.append(read_tag(tag))
        except InputError as error:
            raise InputError(f"{place}: {error}") from None
    return tuple(dict.fromkeys(tags))
