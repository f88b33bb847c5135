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


def infer_kind(name: str) -> Kind:
    """What the suffix promises, compression aside; "" where it says nothing.

    >>> infer_kind("a.json.gz"), infer_kind("b.ndjson"), infer_kind("c.txt"), infer_kind("stdin")
    ('json', 'lines', '', '')
    """
    path = PurePath(name.lower())
    if path.suffix in COMPRESSED:
        path = path.with_suffix("")
    return SUFFIXES.get(path.suffix, "")


def detect_container(head: bytes, name: str) -> Container:
    """The container of a file by its suffix and its first decoded bytes.

    Raises `InputError` where they do not go together, with what to do.
    """
    kind = infer_kind(name)
    text = head.lstrip()
    if not text:
        raise InputError(f"{name} is empty")
    if text.startswith(b"["):
        return "array"
    if text.startswith(b"{"):
        return "lines" if _is_one_per_line(text, kind) else "objects"
    if kind == "csv" or kind == "tsv":
        return kind
    if kind == "lines" and b"\n{" in text:
        return "lines"
    if kind == "" and (found := _detect_delimited(text)):
        return found
    raise InputError(_explain_refusal(text, kind, name))


def _is_one_per_line(text: bytes, kind: Kind) -> bool:
    """Whether text that begins with "{" is one object per line, not objects printed over several
    lines.
    """
    first, newline, _ = text.partition(b"\n")
    if _is_complete_json(first):
        return True
    return kind == "lines" and bool(newline) and first.strip() != b"{"


def _is_complete_json(line: bytes) -> bool:
    """Whether a line is a JSON value by itself."""
    try:
        orjson.loads(line)
    except ValueError:
        return False
    return True


def _detect_delimited(text: bytes) -> Literal["csv", "tsv", None]:
    """CSV or TSV, when the header has at least two columns and a second line follows it."""
    header, newline, rest = text.partition(b"\n")
    if not newline or not rest.strip():
        return None
    second = rest.partition(b"\n")[0]
    if b"\t" in header and b"\t" in second:
        return "tsv"
    return "csv" if b"," in header and b"," in second else None


def _explain_refusal(text: bytes, kind: Kind, name: str) -> str:
    """Why this is no data set, and what would be one."""
    start = text[:30].decode("utf-8", "replace").splitlines()[0]
    if kind == "json" or kind == "lines":
        return f"{name} is not JSON: it begins with {start!r} where a row ({{...}}) or a list of rows ([...]) should"
    if kind == "parquet":
        return f"{name} is not Parquet: it begins with {start!r}; name it by what it is (.json, .jsonl, .csv)"
    return (
        f"{name} is none of JSON, JSON lines, CSV with a header, Parquet: it begins with {start!r}"
    )
