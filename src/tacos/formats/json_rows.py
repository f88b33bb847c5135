"""The JSON text of one row, parsed and encoded.

What a row says is never altered by reading it. Numbers that a double cannot hold (integers of more
than 64 bits, 1e400, decimals of twenty digits) and repeated keys would be; such a row is a
`records.WrittenRow`, which carries its text to the output. NaN and Infinity, which Python writes
but JSON does not allow, are read as null. A row that is a bare list of messages is read as
{"messages": [...]}.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from tacos.formats.rows import MAX_RAW, Item, MalformedRow, RawRow, Row
from tacos.methods.samples.cells import name_json_type
from tacos.methods.samples.messages import is_list_of_exchanges, is_message_list
from tacos.records import WrittenRow

MAX_ROW = 1 << 24
"""Bytes of one row's text at most (16 MiB); `clean` holds some 20 times as much of a row."""
HUGE = float(1 << 63)
"""orjson reads integers from about here on as floats."""
LONG_NUMBER = re.compile(rb"[0-9][0-9.]{15}|[eE][+-]?[0-9]{3}")
"""Every number with up to 15 digits and a small exponent survives as a double."""
STRING_OR_CONSTANT = re.compile(rb"""("(?:[^"\\]|\\.)*")|-?Infinity|NaN""", re.DOTALL)
"""A text, in group 1, or what Python writes for a number that is none."""


@dataclass(frozen=True, slots=True)
class RowText:
    """A row's bytes, and the line (from 1) on which it begins."""

    line: int
    text: bytes


def parse_json_row(piece: RowText) -> Item:
    """The JSON object of a piece, or what is wrong with it."""
    # Files joined by `cat` have byte order marks in their middle.
    text = piece.text.removeprefix(codecs.BOM_UTF8)
    try:
        value = orjson.loads(text)
    except ValueError as error:
        text = _write_null(text)
        value = _parse_lenient(text)
        if value is None:
            problem = _explain_malformed(text, error)
            return _reject_piece(piece, f"malformed JSON: {problem}")
    if isinstance(value, WrittenRow):
        return value
    if type(value) is list and _is_conversation(value):
        text = b'{"messages":' + text + b"}"
        value = {"messages": value}
    if type(value) is not dict:
        return _reject_piece(
            piece, f"{name_json_type(value)} where an object {{...}} should be"
        )
    row: Row = value
    if _may_lose(row, text) and not _keeps_everything(text):
        return _keep_text(text)
    return row


def decode_rows(rows: Iterable[RawRow]) -> list[Mapping[str, Any]]:
    """Rows as mappings."""
    return [row if isinstance(row, Mapping) else decode_exactly(row) for row in rows]


def decode_row(text: bytes | str) -> Row:
    """The values of a row that was read before; integers keep all their digits."""
    try:
        row: Row = orjson.loads(text)
    except ValueError:
        # 1e400, which is infinite as a double.
        return dict(json.loads(text, parse_int=_parse_integer))
    _, floats = _count_keys(row)
    has_huge_number = any(abs(number) >= HUGE for number in floats)
    if has_huge_number:
        # The standard library cannot read as deep as orjson.
        with suppress(RecursionError):
            row = json.loads(text, parse_int=_parse_integer)
    return row


def decode_exactly(text: bytes | str) -> Row:
    """The values of a row that was read before, with every digit: what no double is becomes a
    `Decimal`, so that an answer of 1e-400 is not read as 0.
    """
    encoded = text if isinstance(text, bytes) else text.encode()
    # The standard library cannot read as deep as orjson.
    with suppress(RecursionError):
        if LONG_NUMBER.search(encoded) is not None:
            row: Row = _load_exactly(encoded)
            return row
    return decode_row(text)


def encode_json_row(row: RawRow) -> bytes:
    """A row as one line of JSON, without the line end; JSON text stays as it is."""
    if isinstance(row, bytes):
        return row
    if isinstance(row, str):
        return row.encode()
    return encode_json_value(row)


def encode_json_value(value: Any) -> bytes:
    """Any value as JSON; what JSON does not know becomes its `str`."""
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # Integers of more than 64 bits are beyond orjson.
        text = json.dumps(
            value,
            ensure_ascii=False,
            default=str,
            separators=(",", ":"),
        )
        return text.encode()


def _reject_piece(piece: RowText, problem: str) -> MalformedRow:
    # A character takes at most 4 bytes, so the text is decoded no further than needed.
    beginning = piece.text[: 4 * MAX_RAW].decode("utf-8", "replace")
    return MalformedRow(piece.line, problem, beginning[:MAX_RAW])


def _is_conversation(value: list[Any]) -> bool:
    """Whether a row is a bare list of messages."""
    return is_message_list(value) or is_list_of_exchanges(value)


def _explain_malformed(text: bytes, error: ValueError) -> str:
    """What is wrong with a row's text: what people often write, or the parser's reason."""
    if text.endswith(b",") and _is_json(text[:-1]):
        return "a comma at the end of the line"
    if text.startswith(b",") and _is_json(text[1:]):
        return "a comma between objects that are not in a list"
    if text.startswith(b"{'"):
        return "a Python dict, not JSON (write it with json.dumps)"
    return _shorten_json_error(error)


def _is_json(text: bytes) -> bool:
    """Whether a text is a JSON value by itself."""
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True


def _shorten_json_error(error: ValueError) -> str:
    """orjson's reason without its own line numbers, which count from the row's beginning."""
    reason = str(error).partition(": line ")[0]
    return "not UTF-8" if "UTF-8" in reason else reason


def _write_null(text: bytes) -> bytes:
    """The text with null in place of NaN and Infinity, as Python writes them."""
    if b"NaN" not in text and b"Infinity" not in text:
        return text
    return STRING_OR_CONSTANT.sub(_keep_string, text)


def _keep_string(match: re.Match[bytes]) -> bytes:
    return match[1] or b"null"


def _parse_lenient(text: bytes) -> Row | None:
    """A row that had NaN or Infinity, or one with a number that is infinite as a double."""
    with suppress(ValueError):
        row = orjson.loads(text)
        return row if isinstance(row, dict) else None
    if LONG_NUMBER.search(text) is None:
        return None
    try:
        row = _load_exactly(text)
        # Fails on lone surrogates: they are not text.
        json.dumps(row, ensure_ascii=False, default=str).encode()
    except (ValueError, RecursionError):
        return None
    return WrittenRow(row, _join_lines(text)) if isinstance(row, dict) else None


def _keep_text(text: bytes) -> WrittenRow:
    """The row with its text, whose numbers and keys JSON parsers would not all keep."""
    written = _join_lines(text)
    return WrittenRow(decode_exactly(written), written)


def _join_lines(text: bytes) -> str:
    """The same JSON on one line: strings hold no line ends, only their escapes."""
    # bytes.splitlines() splits at line ends alone, not at what else ends a line of a text.
    lines = [line.strip() for line in text.splitlines()]
    return b"".join(lines).decode()


def _may_lose(row: Row, text: bytes) -> bool:
    """Whether the values may say less than the text, by a quick look that errs towards yes."""
    n_keys, floats = _count_keys(row)
    # A quotation mark and a colon also occur inside texts.
    n_written = text.count(b'":') + text.count(b'" :')
    if n_written > n_keys:
        return True
    return bool(floats) and LONG_NUMBER.search(text) is not None


def _count_keys(row: Row) -> tuple[int, list[float]]:
    """How many keys all objects of a row have together, and the floats in it."""
    n_keys = 0
    floats: list[float] = []
    rest: list[Any] = [row]
    while rest:
        value = rest.pop()
        kind = type(value)
        if kind is dict:
            n_keys += len(value)
            rest.extend(value.values())
        elif kind is list:
            rest.extend(value)
        elif kind is float:
            floats.append(value)
    return n_keys, floats


def _keeps_everything(text: bytes) -> bool:
    """Whether parsing loses no key and no digit."""
    n_lost = 0

    def build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal n_lost
        fields = dict(pairs)
        n_lost += len(pairs) - len(fields)
        return fields

    def parse_float(written: str) -> float:
        nonlocal n_lost
        number = float(written)
        n_lost += not _is_exact(written, number)
        return number

    def parse_integer(written: str) -> int:
        nonlocal n_lost
        # orjson has 64 bits, with or without a sign.
        n_lost += not -(1 << 63) <= int(written) < 1 << 64
        return 0

    try:
        json.loads(
            text,
            object_pairs_hook=build_object,
            parse_float=parse_float,
            parse_int=parse_integer,
        )
    except (ValueError, RecursionError):
        return False
    return n_lost == 0


def _load_exactly(text: bytes) -> Any:
    """JSON with every digit. Raises `ValueError`, or `RecursionError`."""
    return json.loads(text, parse_int=_parse_digits, parse_float=_parse_decimal)


def _parse_digits(written: str) -> int | Decimal:
    """An integer; of more than 4,300 digits, which Python refuses, a `Decimal`."""
    try:
        return int(written)
    except ValueError:
        return Decimal(written)


def _parse_decimal(written: str) -> float | Decimal | str:
    """A number with a point or an exponent; one that no `Decimal` holds as it is written."""
    number = float(written)
    if _is_exact(written, number):
        return number
    try:
        return Decimal(written)
    except InvalidOperation:
        return written


def _parse_integer(written: str) -> int | float:
    """An integer; infinity in place of more than 4,300 digits, which Python refuses."""
    try:
        return int(written)
    except ValueError:
        return float(written)


def _is_exact(written: str, number: float) -> bool:
    """Whether the shortest text of a double means the number that was written."""
    try:
        return Decimal(written) == Decimal(repr(number))
    except InvalidOperation:
        return False
