"""Cuts JSON text into its rows without parsing it, in bounded memory, at hundreds of megabytes a
second.

The idea is simdjson's (Langdale and Lemire 2019, arXiv 1902.08318, section 3.1), with numpy for
SIMD: mark quotes, brackets and commas, drop escaped quotes, and the parity of quotes tells what
lies inside strings; a running sum of brackets gives the depth. A row is what lies between two
commas at the depth of the array. Rows come out as they stand in the file, so a broken one costs
itself and no other; only a missing quote or bracket takes the rest of the file with it, and that is
said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tacos.errors import InputError

MAX_ROW = 1 << 26
"""Bytes of one row at most (64 MiB): beyond it, something is not closed."""

QUOTE, BACKSLASH, COMMA = b'"\\,'
MARKED = bytes(int(code in b'"{}[],') for code in range(256))
STEP = np.zeros(256, np.int8)
STEP[list(b"{[")] = 1
STEP[list(b"}]")] = -1

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RowText:
    """A row's bytes, and the line (from 1) on which it begins."""

    line: int
    text: bytes


def _find_structure(text: bytes) -> tuple[Ints, Ints]:
    """Positions of commas and brackets outside strings, and the depth after each (0 at the start of
    `text`).
    """
    codes = np.frombuffer(text, np.uint8)
    marks = np.frombuffer(bytearray(text.translate(MARKED)), np.bool_)
    escaped = _find_escaped(np.flatnonzero(codes == BACKSLASH))
    marks[escaped[escaped < len(text)]] = False
    at = np.flatnonzero(marks)
    found = codes[at]
    quotes = found == QUOTE
    outside = ~quotes & (np.cumsum(quotes) % 2 == 0)
    at, found = at[outside], found[outside]
    return at, np.cumsum(STEP[found], dtype=np.int64)


def _find_escaped(backslashes: Ints) -> Ints:
    """Positions after a backslash that is not escaped itself: every second one of a run counts."""
    if not len(backslashes):
        return backslashes
    order = np.arange(len(backslashes))
    starts = np.concatenate(([True], np.diff(backslashes) != 1))
    run_start = np.maximum.accumulate(np.where(starts, order, 0))
    active: Ints = backslashes[(order - run_start) % 2 == 0]
    return active + 1


def split_lines(chunks: Iterable[bytes], name: str) -> Iterator[RowText]:
    """One piece per line that is not blank."""
    line, rest = 1, b""
    for chunk in chunks:
        rest += chunk
        *whole, rest = rest.split(b"\n")
        for text in whole:
            if stripped := text.strip():
                yield RowText(line, stripped)
            line += 1
        if len(rest) > MAX_ROW:
            raise InputError(
                f"{name}: line {line} is longer than {MAX_ROW >> 20} MiB: is it one row?"
            )
    if rest := rest.strip():
        yield RowText(line, rest)


def split_objects(chunks: Iterable[bytes], name: str) -> Iterator[RowText]:
    """One piece per value of JSON values that follow one another, over as many lines as they like."""
    line, rest = 1, b""
    for chunk in chunks:
        rest += chunk
        at, depth = _find_structure(rest)
        closed = at[(depth == 0) & (np.frombuffer(rest, np.uint8)[at] != COMMA)] + 1
        start = 0
        for end in closed.tolist():
            piece, line = _cut_row(rest, start, end, line)
            yield piece
            start = end
        rest = _drop_consumed(rest, start, name, line)
    if rest.strip():
        raise InputError(_format_unclosed(name, line))


def split_array(chunks: Iterable[bytes], name: str) -> Iterator[RowText]:
    """One piece per element of a JSON array; `InputError` where the array has no end or something
    follows it.
    """
    stream = iter(chunks)
    line, rest = _enter_array(stream)
    while True:
        at, depth = _find_structure(rest)
        closers = at[depth < 0]
        stop = int(closers[0]) if len(closers) else len(rest)
        commas = at[(depth == 0) & (np.frombuffer(rest, np.uint8)[at] == COMMA)]
        start = 0
        for end in commas[commas < stop].tolist():
            piece, line = _cut_row(rest, start, end, line)
            yield piece
            start = end + 1
        if len(closers):
            piece, line = _cut_row(rest, start, stop, line)
            if piece.text:  # nothing after the last comma is forgiven
                yield piece
            _check_array_end(rest[stop:], stream, name, line)
            return
        rest = _drop_consumed(rest, start, name, line)
        chunk = next(stream, b"")
        if not chunk:
            raise InputError(
                _format_unclosed(name, line + rest.count(b"\n", 0, len(rest) - len(rest.lstrip())))
            )
        rest += chunk


def _enter_array(stream: Iterator[bytes]) -> tuple[int, bytes]:
    """The line of the array's opening bracket, and what has been read after it."""
    line = 1
    for chunk in stream:
        before, bracket, after = chunk.partition(b"[")
        line += before.count(b"\n")
        if bracket:
            return line, after
    return line, b""


def _check_array_end(rest: bytes, stream: Iterator[bytes], name: str, line: int) -> None:
    """Raise `InputError` unless `rest` is the array's closing bracket and only blanks follow."""
    if rest[:1] != b"]":
        raise InputError(
            f"{name}: line {line} closes what was not opened: a quote or bracket is missing before it"
        )
    for chunk in (rest[1:], *stream):
        if text := chunk.lstrip():
            line += chunk.count(b"\n", 0, len(chunk) - len(text))
            shown = text[:30].decode("utf-8", "replace").splitlines()[0]
            raise InputError(f"{name}: line {line} goes on after the end of the list: {shown!r}")
        line += chunk.count(b"\n")


def _cut_row(text: bytes, start: int, end: int, line: int) -> tuple[RowText, int]:
    """The piece `text[start:end]` without surrounding space, and the line on which the next one
    begins.
    """
    part = text[start:end]
    stripped = part.lstrip()
    begins = line + part.count(b"\n", 0, len(part) - len(stripped))
    return RowText(begins, stripped.rstrip()), line + part.count(b"\n")


def _drop_consumed(text: bytes, start: int, name: str, line: int) -> bytes:
    """What is left of `text` from `start`; `InputError` when that is too long for one row."""
    if len(text) - start > MAX_ROW:
        raise InputError(_format_unclosed(name, line))
    return text[start:]


def _format_unclosed(name: str, line: int) -> str:
    """The message for a row without end."""
    return f"{name} ends within the row that begins at line {line}: truncated, or a quote or bracket is missing there"
