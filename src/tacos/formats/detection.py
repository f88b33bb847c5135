"""Detects the format of a file: by its suffix, checked against its first bytes.

The content decides where the two disagree harmlessly: a .jsonl that really is a JSON array, a .json
of JSON Lines, objects printed over several lines, and files whose suffix says nothing.
"""

from __future__ import annotations

import codecs
from pathlib import PurePath
from typing import Literal

import orjson

from tacos.errors import InputError

Kind = Literal["json", "lines", "csv", "tsv", "parquet", "arrow", ""]
"""What a suffix promises."""
TextContainer = Literal["array", "lines", "objects", "csv", "tsv"]
"""What a file of text is."""

SUFFIXES: dict[str, Kind] = {
    ".json": "json",
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
COMPRESSED = (".gz", ".zst", ".zstd", ".bz2", ".xz")
FORMATS_READ = f"{' '.join(SUFFIXES)}, plain or {' '.join(COMPRESSED)}"
"""All that is read and written, as help texts and errors name it."""
PARQUET = b"PAR1"
"""The first bytes of every Parquet file."""
ARROW_FILE = b"ARROW1"
"""The first bytes of an Arrow file, also called Feather."""
ARROW_STREAM = b"\xff\xff\xff\xff"
"""The first bytes of an Arrow stream, as `datasets` saves tables."""
STAND_INS = {
    b"version https://git-lfs.github.com/spec/": (
        "a Git LFS pointer, not the data: fetch the data with `git lfs pull`"
    ),
    b"/annex/objects/": (
        "a git-annex pointer, not the data: fetch the data with `git annex get`"
    ),
    b"<!doctype html": "a web page, not the data: download the file itself",
    b"<html": "a web page, not the data: download the file itself",
    b"<?xml": "an XML document, such as a server's error: download the file itself",
}
"""First bytes, in lower case, of what is found in place of the data."""


def infer_kind(name: str) -> Kind:
    """What the suffix promises, compression aside; "" where it says nothing.

    >>> infer_kind("a.json.gz"), infer_kind("b.ndjson"), infer_kind("c.txt"), infer_kind("stdin")
    ('json', 'lines', '', '')
    """
    path = PurePath(name.lower())
    if path.suffix in COMPRESSED:
        path = path.with_suffix("")
    suffix = path.suffix
    return SUFFIXES.get(suffix, "")


def refuse_stand_in(head: bytes, name: str) -> None:
    """Raise `InputError` for a file that only stands for the data, whatever its suffix says."""
    start = head[:100].lstrip().lower()
    for beginning, description in STAND_INS.items():
        if start.startswith(beginning):
            raise InputError(f"{name} is {description}")


def is_parquet(head: bytes, name: str) -> bool:
    """Whether the content is Parquet. Raises `InputError` where only the suffix says so."""
    if head.startswith(PARQUET):
        return True
    if is_arrow(head):
        return False
    if infer_kind(name) == "parquet":
        raise InputError(
            f"{name} is not Parquet, or is damaged: "
            f"give it the suffix of its format ({' '.join(SUFFIXES)}), or fetch it again"
        )
    return False


def is_arrow(head: bytes) -> bool:
    """Whether the content is an Arrow file or an Arrow stream."""
    return head.startswith((ARROW_FILE, ARROW_STREAM))


def detect_container(head: bytes, name: str) -> TextContainer:
    """The container of a text file by its suffix and its first decoded bytes.

    Raises `InputError` where the file is empty or is no data set.
    """
    kind = infer_kind(name)
    text = head.lstrip()
    if not text:
        raise InputError(f"{name} is empty: give a file with at least one row")

    # Brackets say more than the suffix does.
    if text.startswith(b"["):
        return "lines" if _has_list_per_line(text, kind) else "array"
    if text.startswith(b"{"):
        if _has_object_per_line(text, kind):
            return "lines"
        return "objects"

    if kind == "csv" or kind == "tsv":
        return kind
    if kind == "lines" and b"\n{" in text:  # only the first line is malformed
        return "lines"
    delimited = _detect_delimited(text) if kind == "" else None
    if delimited is not None:
        return delimited
    raise InputError(_explain_refusal(text, kind, name))


def _has_object_per_line(text: bytes, kind: Kind) -> bool:
    """Whether text that begins with "{" has one object per line, not objects printed over several
    lines.
    """
    first_line, newline, _ = text.partition(b"\n")
    if _is_complete_json(first_line):
        return True
    if kind != "lines" or not newline:
        return False
    # A malformed first line of JSON Lines, unless it is the brace of a printed object.
    return first_line.strip() != b"{"


def _has_list_per_line(text: bytes, kind: Kind) -> bool:
    """Whether text that begins with "[" has one list per line, each of them a row."""
    first_line, _, rest = text.partition(b"\n")
    # Files joined by `cat` have byte order marks in their middle.
    second_line = rest.lstrip().removeprefix(codecs.BOM_UTF8)
    if not second_line.startswith(b"["):
        return False
    # A malformed first line of JSON Lines, unless a list over several lines begins there.
    is_closed = kind == "lines" and first_line.rstrip().endswith(b"]")
    return is_closed or _is_complete_json(first_line)


def _is_complete_json(line: bytes) -> bool:
    """Whether a line is a JSON value by itself."""
    try:
        orjson.loads(line)
    except ValueError:
        return False
    return True


def _detect_delimited(text: bytes) -> Literal["csv", "tsv"] | None:
    """CSV or TSV, when the header has at least two columns and a second line follows it."""
    header, newline, rest = text.partition(b"\n")
    if not newline or not rest.strip():
        return None
    second_line = rest.partition(b"\n")[0]
    if b"\t" in header and b"\t" in second_line:
        return "tsv"
    if b"," in header and b"," in second_line:
        return "csv"
    return None


def _explain_refusal(
    text: bytes,
    kind: Kind,
    name: str,
) -> str:
    """Why this is no data set, and what would be one."""
    start = text[:30].decode("utf-8", "replace").splitlines()[0]
    if kind == "json" or kind == "lines":
        return (
            f"{name} is not JSON: it begins with {start!r} "
            "instead of a row ({...}) or a list of rows ([...])"
        )
    if kind == "parquet":
        return (
            f"{name} is not Parquet: it begins with {start!r}; "
            f"give it the suffix of its format ({' '.join(SUFFIXES)})"
        )
    return (
        f"{name} is not JSON, JSON Lines, CSV with a header, Parquet or Arrow: "
        f"it begins with {start!r}; convert it to one of these"
    )
