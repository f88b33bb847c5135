"""JSON: an array of rows, or objects one after another over any number of lines.

The text is cut into rows without parsing it, in bounded memory, at hundreds of megabytes a second.
The idea is simdjson's (Langdale and Lemire 2019, arXiv 1902.08318, section 3.1), with numpy for
SIMD: mark quotes, brackets and commas, drop escaped quotes, and the parity of quotes tells what
lies inside strings; a running sum of brackets gives the depth. A row is what lies between two
commas at the depth of the array.

Each row is then parsed by itself, so a malformed row costs no other. Only a missing quote or
bracket makes the rest of the file unreadable, and that is an `InputError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from tacos.errors import InputError
from tacos.formats import json_rows
from tacos.formats.json_rows import RowText
from tacos.formats.rows import Item, RawRow

QUOTE, BACKSLASH, COMMA = b'"\\,'
IS_STRUCTURAL = bytes(int(code in b'"{}[],') for code in range(256))
"""1 for each byte that can delimit a value: quotes, brackets, commas."""
DEPTH_STEP = np.zeros(256, np.int8)
"""By how much each byte changes the depth."""
DEPTH_STEP[list(b"{[")] = 1
DEPTH_STEP[list(b"}]")] = -1

Ints = npt.NDArray[np.int64]


def read_json_array(chunks: Iterable[bytes], name: str) -> Iterator[Item]:
    """Rows of a JSON array. Raises `InputError` where the array does not end, or where anything
    follows it.
    """
    return map(json_rows.parse_json_row, split_array(chunks, name))


def read_json_objects(
    chunks: Iterable[bytes],
    name: str,
) -> Iterator[Item]:
    """Rows of a file of objects one after another. Raises `InputError` where one has no end."""
    return map(json_rows.parse_json_row, split_objects(chunks, name))


def encode_json_array(rows: Iterable[RawRow]) -> Iterator[bytes]:
    """A JSON array with one row per line."""
    opening = b"[\n"
    separator = opening
    for row in rows:
        yield separator
        yield json_rows.encode_json_row(row)
        separator = b",\n"
    is_empty = separator is opening
    yield b"[]\n" if is_empty else b"\n]\n"


# Cutting text into rows


def split_array(chunks: Iterable[bytes], name: str) -> Iterator[RowText]:
    """One piece per element of a JSON array. Raises `InputError` where the array does not end, or
    where anything follows it.
    """
    stream = iter(chunks)
    line, rest = _enter_array(stream)
    while True:
        positions, depths = _find_structure(rest)
        closers = positions[depths < 0]
        has_end = len(closers) > 0
        stop = int(closers[0]) if has_end else len(rest)

        # Rows end at the commas between elements.
        is_separator = (depths == 0) & _is_comma(rest, positions)
        separators = positions[is_separator]
        separators = separators[separators < stop]
        start = 0
        for end in separators.tolist():
            piece, line = _cut_row(rest, start, end, line)
            yield piece
            start = end + 1

        # The last row ends at the array's closing bracket.
        if has_end:
            piece, line = _cut_row(rest, start, stop, line)
            if piece.text:  # a comma after the last row is allowed
                yield piece
            _check_array_end(rest[stop:], stream, name, line)
            return

        rest = _drop_consumed(rest, start, name, line)
        chunk = next(stream, b"")
        if not chunk:
            raise _missing_end(name, line + _count_leading_lines(rest))
        rest += chunk


def split_objects(chunks: Iterable[bytes], name: str) -> Iterator[RowText]:
    """One piece per JSON value, where values follow one another over any number of lines."""
    line = 1
    rest = b""
    for chunk in chunks:
        rest += chunk
        positions, depths = _find_structure(rest)
        # Values end where a bracket leads back to depth 0.
        is_closer = (depths == 0) & ~_is_comma(rest, positions)
        closers = positions[is_closer]
        start = 0
        for end in (closers + 1).tolist():
            piece, line = _cut_row(rest, start, end, line)
            yield piece
            start = end
        rest = _drop_consumed(rest, start, name, line)
    if rest.strip():
        raise _missing_end(name, line)


def _find_structure(text: bytes) -> tuple[Ints, Ints]:
    """Positions of commas and brackets outside strings, and the depth after each (0 at the start of
    `text`); both of shape (number of marks,).
    """
    codes = np.frombuffer(text, np.uint8)  # (bytes,)
    marked = text.translate(IS_STRUCTURAL)
    # A bytearray, since an array over bytes could not be written to.
    is_mark = np.frombuffer(bytearray(marked), np.bool_)  # (bytes,)

    # An escaped quote neither opens nor closes a string. What a backslash at the end of the text
    # escapes is not there yet.
    backslashes = np.flatnonzero(codes == BACKSLASH)
    escaped = _find_escaped(backslashes)
    escaped = escaped[escaped < len(text)]
    is_mark[escaped] = False

    # Outside strings the number of quotes so far is even.
    positions = np.flatnonzero(is_mark)
    marks = codes[positions]
    is_quote = marks == QUOTE
    n_quotes = np.cumsum(is_quote)
    is_outside = ~is_quote & (n_quotes % 2 == 0)

    structure = marks[is_outside]
    depths = np.cumsum(DEPTH_STEP[structure], dtype=np.int64)
    return positions[is_outside], depths


def _find_escaped(backslashes: Ints) -> Ints:
    """Positions after a backslash that is not escaped itself: every second one of a run counts."""
    if not len(backslashes):
        return backslashes
    order = np.arange(len(backslashes))
    # A run is a row of backslashes side by side; for each, where its run starts.
    gaps = np.diff(backslashes)
    starts_run = np.concatenate(([True], gaps != 1))
    run_starts = np.where(starts_run, order, 0)
    run_start = np.maximum.accumulate(run_starts)
    place_in_run = order - run_start
    is_escaping = place_in_run % 2 == 0
    escaping: Ints = backslashes[is_escaping]
    return escaping + 1


def _is_comma(text: bytes, positions: Ints) -> npt.NDArray[np.bool_]:
    """Which of the positions hold a comma."""
    is_comma: npt.NDArray[np.bool_] = np.frombuffer(text, np.uint8)[positions] == COMMA
    return is_comma


def _enter_array(stream: Iterator[bytes]) -> tuple[int, bytes]:
    """The line of the array's opening bracket, and what has been read after it."""
    line = 1
    for chunk in stream:
        before, bracket, after = chunk.partition(b"[")
        line += before.count(b"\n")
        if bracket:
            return line, after
    return line, b""


def _check_array_end(
    rest: bytes,
    stream: Iterator[bytes],
    name: str,
    line: int,
) -> None:
    """Raise `InputError` unless `rest` is the array's closing bracket and only blanks follow."""
    if rest[:1] != b"]":
        raise InputError(
            f"{name}: unmatched closing bracket at line {line}; "
            "add the quote or bracket that is missing before it"
        )
    for chunk in (rest[1:], *stream):
        text = chunk.lstrip()
        if text:
            line += _count_leading_lines(chunk)
            excerpt = text[:30].decode("utf-8", "replace").splitlines()[0]
            raise InputError(
                f"{name}: {excerpt!r} at line {line} follows the end of the JSON array; "
                "put all rows into one array, or write one per line"
            )
        line += chunk.count(b"\n")


def _cut_row(
    text: bytes,
    start: int,
    end: int,
    line: int,
) -> tuple[RowText, int]:
    """The piece `text[start:end]` without surrounding space, and the line on which the next one
    begins.
    """
    part = text[start:end]
    first_line = line + _count_leading_lines(part)
    next_line = line + part.count(b"\n")
    piece = RowText(first_line, part.strip())
    return piece, next_line


def _count_leading_lines(text: bytes) -> int:
    """Line ends before the first character that is not blank."""
    n_blank = len(text) - len(text.lstrip())
    return text.count(b"\n", 0, n_blank)


def _drop_consumed(
    text: bytes,
    start: int,
    name: str,
    line: int,
) -> bytes:
    """`text` from `start` on. Raises `InputError` when that is too long for one row."""
    if len(text) - start > json_rows.MAX_ROW:
        raise InputError(
            f"{name}: the row that begins at line {line} is longer than "
            f"{json_rows.MAX_ROW >> 20} MiB: a quote or bracket is missing there, "
            "or one object holds all rows; write a row per line"
        )
    return text[start:]


def _missing_end(name: str, line: int) -> InputError:
    return InputError(
        f"{name} ends within the row that begins at line {line}: it is truncated, or a quote or "
        "bracket is missing there; fix the row or fetch the file again"
    )
