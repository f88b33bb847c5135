"""Which container a file is: the suffix decides, the content is checked (and decides where the
suffix says nothing).

A .jsonl that really is a JSON array, a .json of JSON lines, and objects printed over several lines
one after another are told apart by their first bytes.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Literal

import orjson

from tacos.errors import InputError

Container = Literal["array", "lines", "objects", "csv", "tsv", "parquet"]
Kind = Literal["json", "lines", "csv", "tsv", "parquet", ""]

SUFFIXES: dict[str, Kind] = {
    ".json": "json",
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
COMPRESSED = (".gz", ".zst", ".zstd")
PARQUET = b"PAR1"


def kind_of(name: str) -> Kind:
    """What the suffix promises, compression aside; "" where it says nothing.

    >>> kind_of("a.json.gz"), kind_of("b.ndjson"), kind_of("c.txt"), kind_of("stdin")
    ('json', 'lines', '', '')
    """
    path = PurePath(name.lower())
    if path.suffix in COMPRESSED:
        path = path.with_suffix("")
    return SUFFIXES.get(path.suffix, "")


def container_of(head: bytes, name: str) -> Container:
    """The container of a file by its suffix and its first decoded bytes.

    Raises `InputError` where they do not go together, with what to do.
    """
    kind = kind_of(name)
    text = head.lstrip()
    if not text:
        raise InputError(f"{name} is empty")
    if text.startswith(b"["):
        return "array"
    if text.startswith(b"{"):
        return "lines" if is_lines(text, kind) else "objects"
    if kind == "csv" or kind == "tsv":
        return kind
    if kind == "lines" and b"\n{" in text:
        return "lines"
    if kind == "" and (found := tabular(text)):
        return found
    raise InputError(refusal(text, kind, name))


def is_lines(text: bytes, kind: Kind) -> bool:
    """Whether text that begins with "{" is one object per line, not objects printed over several
    lines.
    """
    first, newline, _ = text.partition(b"\n")
    if complete(first):
        return True
    return kind == "lines" and bool(newline) and first.strip() != b"{"


def complete(line: bytes) -> bool:
    """Whether a line is a JSON value by itself."""
    try:
        orjson.loads(line)
    except ValueError:
        return False
    return True


def tabular(text: bytes) -> Literal["csv", "tsv", None]:
    """CSV or TSV, when the header has at least two columns and a second line follows it."""
    header, newline, rest = text.partition(b"\n")
    if not newline or not rest.strip():
        return None
    second = rest.partition(b"\n")[0]
    if b"\t" in header and b"\t" in second:
        return "tsv"
    return "csv" if b"," in header and b"," in second else None


def refusal(text: bytes, kind: Kind, name: str) -> str:
    """Why this is no data set, and what would be one."""
    start = text[:30].decode("utf-8", "replace").splitlines()[0]
    if kind == "json" or kind == "lines":
        return f"{name} is not JSON: it begins with {start!r} where a row ({{...}}) or a list of rows ([...]) should"
    if kind == "parquet":
        return f"{name} is not Parquet: it begins with {start!r}; name it by what it is (.json, .jsonl, .csv)"
    return (
        f"{name} is none of JSON, JSON lines, CSV with a header, Parquet: it begins with {start!r}"
    )
