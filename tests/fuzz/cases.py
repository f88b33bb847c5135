"""Files for the fuzzer (`tests.fuzz.files`): rows of one layout in one container, of which one
row, the bytes of the container, its compression or its name was spoilt.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from tests.fuzz.rows import (
    LAYOUTS,
    Layout,
    Talk,
    Written,
    change_again,
    change_row,
    change_talk,
    make_talk,
    write_json,
)

N_ROWS = 4
TEXT_CONTAINERS = ("json", "indented", "jsonl", "objects", "csv", "tsv")
TYPED_CONTAINERS = ("parquet", "arrow", "stream")
SUFFIXES = {
    "json": ".json",
    "indented": ".json",
    "jsonl": ".jsonl",
    "objects": ".json",
    "csv": ".csv",
    "tsv": ".tsv",
    "parquet": ".parquet",
    "arrow": ".arrow",
    "stream": ".arrow",
}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda content: gzip.compress(content, mtime=0),
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
ENCODINGS = {"utf-16": True, "utf-32": True, "utf-8-sig": True, "utf-16-le": False}
"""Encoding -> whether it must be read."""


@dataclass(frozen=True)
class ExpectedRow:
    """What is known of one row."""

    written: str
    """Its JSON; "" where the container holds none."""
    talk: Talk
    turns: tuple[tuple[str, str], ...] | None = None
    """What must be read if it is kept; None if it was changed otherwise than by a text."""
    must_keep: bool = False
    value: Any = None
    """The row that was changed."""
    keeps_roles: bool = False


@dataclass(frozen=True)
class Case:
    """A file and what is known of it."""

    number: int
    name: str
    content: bytes
    layout: str
    container: str
    kind: str
    """What was done."""
    rows: tuple[ExpectedRow, ...] | None = None
    """None where the bytes were changed: only the content as it is tells what it holds."""
    text: bytes = b""
    """The content, not compressed, where it is text."""
    is_readable: bool = False
    """Whether the file must not be refused."""
    settings: dict[str, str] = field(default_factory=dict)


def make_case(seed: int, number: int) -> Case:
    """One of the files; equal seeds and numbers give equal ones."""
    random = Random(f"{seed}:{number}")
    name = random.choice(list(LAYOUTS))
    layout = LAYOUTS[name]
    containers = [*TEXT_CONTAINERS, "json", "jsonl", "jsonl", *TYPED_CONTAINERS]
    container = random.choice(containers)
    if name in ("list of messages", "nested") and container != "json":
        container = "jsonl"
    packed = random.choice(["", "", *PACKERS])
    spoilt = random.choice(["row", "row", "talk", "bytes", "bytes", "packing"])
    if spoilt == "packing" and not packed:
        spoilt = "row"
    made = _make_rows(random, layout, container, spoilt)
    if made is None:
        container, packed = "jsonl", ""
        made = _make_rows(random, layout, container, spoilt)
    assert made is not None
    rows, content, kind = made
    text = content
    is_readable = True
    known: tuple[ExpectedRow, ...] | None = tuple(rows)
    if spoilt == "bytes":
        kind, text, is_same, is_readable = _spoil_bytes(random, content, container)
        if not is_same:
            known = None
    file = PACKERS[packed](text) if packed else text
    suffix = f"{SUFFIXES[container]}{packed}"
    if spoilt == "packing":
        kind, file, text, is_readable = _spoil_packing(random, file, content, packed)
        known = known if is_readable else None
    elif spoilt == "row" and random.random() < 0.06:
        kind = f"{kind}, wrong suffix"
        suffix = random.choice(
            ["", ".txt", ".json", ".jsonl", ".csv", ".gz", ".jsonl.zst"]
        )
        is_readable = False
    return Case(
        number=number,
        name=f"x{suffix}",
        content=file,
        layout=name,
        container=container + packed,
        kind=kind,
        rows=known,
        text=text if container in TEXT_CONTAINERS else b"",
        is_readable=is_readable,
        settings=dict(layout.settings),
    )


def _make_rows(
    random: Random,
    layout: Layout,
    container: str,
    spoilt: str,
) -> tuple[list[ExpectedRow], bytes, str] | None:
    """The rows, their bytes, and what was done; None where the container cannot hold them."""
    n_rows = random.randint(2, N_ROWS)
    talks = [make_talk(random, layout, number) for number in range(n_rows)]
    changed = random.randrange(n_rows)
    kind = "nothing"
    if spoilt == "talk":
        kind, talks[changed] = change_talk(random, talks[changed])
    values = [layout.write(talk) for talk in talks]
    expected = [
        ExpectedRow(
            written=write_json(value),
            talk=talk,
            turns=tuple(talk.list_turns()),
            must_keep=True,
            value=value,
            keeps_roles=True,
        )
        for talk, value in zip(talks, values, strict=True)
    ]
    if spoilt == "talk" and not layout.is_exact:
        expected[changed] = _expect(talks[changed], values[changed], None, keep=False)
    if spoilt == "row":
        is_plain = container in (*TYPED_CONTAINERS, "csv", "tsv")
        done = change_row(random, values[changed], is_plain=is_plain)
        if random.random() < 0.25:
            done = change_again(random, done, is_plain=is_plain)
        kind, values[changed] = done.kind, done.row
        turns = expected[changed].turns if done.is_neutral else None
        expected[changed] = _expect(
            talks[changed],
            done.row,
            turns,
            keep=done.is_neutral,
            roles=done.keeps_roles,
        )
    try:
        content = encode_rows(values, container, ascii_only=random.random() < 0.3)
    except (pa.ArrowException, TypeError, AttributeError, ValueError):
        return None
    return expected, content, kind


def _expect(
    talk: Talk,
    value: Any,
    turns: tuple[tuple[str, str], ...] | None,
    *,
    keep: bool,
    roles: bool = False,
) -> ExpectedRow:
    return ExpectedRow(
        written=write_json(value),
        talk=talk,
        turns=turns,
        must_keep=keep,
        value=value,
        keeps_roles=roles,
    )


# Containers


def encode_rows(rows: Sequence[Any], container: str, *, ascii_only: bool) -> bytes:
    """Rows in a container. Raises what pyarrow raises where it cannot hold them."""
    if container in TYPED_CONTAINERS:
        return _encode_table(rows, container)
    if container in ("csv", "tsv"):
        return _encode_delimited(rows, "\t" if container == "tsv" else ",")
    texts = [write_json(row, ascii_only=ascii_only) for row in rows]
    if container == "json":
        return f"[{', '.join(texts)}]\n".encode("utf-8", "surrogatepass")
    if container == "indented":
        return "[\n  {}\n]\n".format(",\n  ".join(texts)).encode()
    if container == "objects":
        shown = [text.replace("{", "{\n", 1) for text in texts]
        return ("\n".join(shown) + "\n").encode()
    return ("\n".join(texts) + "\n").encode()


def _encode_table(rows: Sequence[Any], container: str) -> bytes:
    columns: dict[str, None] = {}
    for row in rows:
        columns.update(dict.fromkeys(row))
    # pyarrow looks at the columns of the first row alone.
    table = pa.Table.from_pylist([dict.fromkeys(columns) | row for row in rows])
    buffer = io.BytesIO()
    if container == "parquet":
        pq.write_table(table, buffer)
    elif container == "arrow":
        with pa.ipc.new_file(buffer, table.schema) as writer:
            writer.write_table(table)
    else:
        with pa.ipc.new_stream(buffer, table.schema) as writer:
            writer.write_table(table)
    return buffer.getvalue()


def _encode_delimited(rows: Sequence[Any], delimiter: str) -> bytes:
    columns: dict[str, None] = {}
    for row in rows:
        columns.update(dict.fromkeys(row))
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_encode_cell(row.get(column)) for column in columns])
    return buffer.getvalue().encode()


def _encode_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Written):
        return value.text
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# Bytes


Spoilt = tuple[str, bytes, bool, bool]
"""What was done, the bytes, whether they hold the same rows, and whether they must be read."""


def _spoil_bytes(random: Random, content: bytes, container: str) -> Spoilt:
    is_text = container in TEXT_CONTAINERS
    kinds = list(TEXT_SPOILERS) if is_text else list(BYTE_SPOILERS)
    kind = random.choice(kinds)
    if kind in BYTE_SPOILERS:
        return f"bytes: {kind}", BYTE_SPOILERS[kind](random, content), False, False
    return _spoil_text(kind, random, content, container)


def _spoil_text(kind: str, random: Random, content: bytes, container: str) -> Spoilt:
    is_same, is_readable = TEXT_SPOILERS[kind]
    is_delimited = container in ("csv", "tsv")
    shown = f"text file: {kind}"
    if kind == "encoding":
        encoding = random.choice(list(ENCODINGS))
        encoded = content.decode().encode(encoding)
        is_read = ENCODINGS[encoding]
        return f"{shown} {encoding}", encoded, is_read, is_read
    if kind == "latin-1":
        return shown, content.decode().encode("latin-1", "replace"), False, False
    if kind == "line ends":
        end = random.choice([b"\r\n", b"\n\n", b"\n \t\n", b"\r"])
        lines = content.split(b"\n")
        joined = lines[0]
        for line in lines[1:]:
            joined += (end if random.random() < 0.6 else b"\n") + line
        # Within the quotation marks of a cell, a line end is text.
        return (
            shown,
            joined,
            not is_delimited and end != b"\r",
            end != b"\r" and not is_delimited,
        )
    if kind == "bom within":
        place = content.find(b"\n") + 1
        mark = b"\xef\xbb\xbf"
        is_line = container == "jsonl"
        return shown, content[:place] + mark + content[place:], is_line, is_line
    if kind == "blank start":
        blank = random.choice([b" ", b"\n", b"\r\n", b"\t", b"\n\n\n"])
        is_same = not is_delimited
        return shown, blank * random.choice([1, 3, 2_000]) + content, is_same, is_same
    if kind == "blank end":
        blank = random.choice([b" ", b"\n", b"\r\n", b"\x00", b"\x1a"])
        is_blank = blank.isspace() and not is_delimited
        return shown, content + blank * random.choice([1, 3, 2_000]), is_blank, is_blank
    if kind == "junk":
        junk = random.choice(
            [b"// rows\n", b"# rows\n", b")]}',\n", b"var x = ", b"...\n", b"\x00"]
        )
        return shown, junk + content, is_same, is_readable
    if kind == "commas":
        old, new = random.choice(
            [(b"}, {", b"} {"), (b"}, {", b"},, {"), (b"}\n", b"},\n")]
        )
        return shown, content.replace(old, new, 1), is_same, is_readable
    return shown, content + content, is_same, is_readable  # twice


def _cut(random: Random, content: bytes) -> bytes:
    return content[: random.randrange(len(content))]


def _repeat_span(random: Random, content: bytes) -> bytes:
    start = random.randrange(len(content))
    end = min(len(content), start + random.choice([1, 9, 200, 5_000]))
    return content[:end] + content[start:end] * random.choice([1, 3]) + content[end:]


def _drop_span(random: Random, content: bytes) -> bytes:
    start = random.randrange(len(content))
    return content[:start] + content[start + random.choice([1, 2, 30, 400]) :]


def _interleave(random: Random, content: bytes) -> bytes:
    place, other = random.randrange(len(content)), random.randrange(len(content))
    return content[:place] + content[other : other + 300] + content[place:]


def _flip(random: Random, content: bytes) -> bytes:
    flipped = bytearray(content)
    for _ in range(random.choice([1, 1, 4, 30])):
        flipped[random.randrange(len(flipped))] ^= 1 << random.randrange(8)
    return bytes(flipped)


def _insert(random: Random, content: bytes) -> bytes:
    place = random.randrange(len(content))
    odd = [
        b"\xff",
        b"\x00",
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b"\\",
        b",",
        b"\n",
        b"\xed\xa0\x80",
    ]
    odd += [
        b"\xef\xbb\xbf",
        b"\xc3",
        b"\r",
        b"[" * 50_000,
        b"\x80" * 99,
        b" " * 300_000,
    ]
    odd += [b'"' * 99_999, b"\\" * 99_999, b"{" * 3_000, b"," * 99_999, b"\n" * 9_999]
    return content[:place] + random.choice(odd) + content[place:]


BYTE_SPOILERS: dict[str, Callable[[Random, bytes], bytes]] = {
    "truncated": _cut,
    "span repeated": _repeat_span,
    "span dropped": _drop_span,
    "interleaved": _interleave,
    "bits flipped": _flip,
    "inserted": _insert,
}
TEXT_SPOILERS = {
    **dict.fromkeys(BYTE_SPOILERS, (False, False)),
    "encoding": (True, True),
    "latin-1": (False, False),
    "line ends": (True, True),
    "bom within": (True, True),
    "blank start": (True, True),
    "blank end": (True, True),
    "junk": (False, False),
    "commas": (False, False),
    "twice": (False, False),
}
"""Kind -> whether the rows stay the same, and whether the file must be read then."""


# Compression


def _spoil_packing(
    random: Random,
    file: bytes,
    content: bytes,
    packed: str,
) -> tuple[str, bytes, bytes, bool]:
    """What was done, the file, its content where it is known, and whether it must be read."""
    kinds = "truncated flipped garbage frames broken-frame empty-frame twice blanks"
    kind = random.choice(kinds.split())
    shown = f"packing: {kind}"
    pack = PACKERS[packed]
    if kind == "truncated":
        return shown, _cut(random, file), b"", False
    if kind == "flipped":
        return shown, _flip(random, file), b"", False
    if kind == "garbage":
        garbage = random.choice(
            [b"garbage", b"\x1f\x8b", b"\x00", b"\n", random.randbytes(99)]
        )
        return shown, file + garbage, b"", False
    if kind == "frames":
        place = random.randrange(len(content))
        return shown, pack(content[:place]) + pack(content[place:]), content, True
    if kind == "broken-frame":
        place = random.randrange(1, len(content))
        second = _cut(random, pack(content[place:]))
        return shown, pack(content[:place]) + second, b"", False
    if kind == "empty-frame":
        return shown, pack(b"") + file + pack(b""), content, packed != ".bz2"
    if kind == "twice":
        return shown, pack(file), b"", False
    blank = b" " * (4 << 20)
    return shown, pack(blank + content), b"", False
