"""The JSON text of one row, parsed and encoded.

NaN and Infinity, which Python writes but JSON does not allow, are read as null. Integers of more
than 64 bits keep their digits in a field of the row; deeper inside, they become floats.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import orjson

from tacos.formats.rows import MAX_RAW, Item, MalformedRow, RawRow, Row

MAX_ROW = 1 << 26
"""Bytes of one row's text at most (64 MiB)."""
HUGE = float(1 << 63)
"""orjson reads integers from about here on as floats."""
JSON_TYPES = {
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    dict: "an object",
}


@dataclass(frozen=True, slots=True)
class RowText:
    """A row's bytes, and the line (from 1) on which it begins."""

    line: int
    text: bytes


def parse_json_row(piece: RowText) -> Item:
    """The JSON object of a piece, or what is wrong with it."""
    try:
        value = orjson.loads(piece.text)
    except ValueError as error:
        value = _parse_lenient(piece.text)
        if value is None:
            return _reject_piece(piece, f"malformed JSON: {_shorten_json_error(error)}")
    if type(value) is not dict:
        return _reject_piece(
            piece, f"{name_json_type(value)} where an object {{...}} should be"
        )
    has_huge_number = any(
        type(cell) is float and abs(cell) >= HUGE for cell in value.values()
    )
    if has_huge_number:
        # The standard library keeps every digit of an integer.
        value = json.loads(piece.text)
    row: Row = value
    return row


def encode_json_row(row: RawRow) -> bytes:
    """A row as one line of JSON, without the line end; JSON text stays as it is."""
    if isinstance(row, bytes):
        return row
    if isinstance(row, str):
        return row.encode()
    return encode_json_value(row)


def encode_json_value(value: Any) -> bytes:
    """Any value as JSON; what JSON does not know becomes its `str`."""
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)


def name_json_type(value: object) -> str:
    """What JSON calls a value's type.

    >>> name_json_type([]), name_json_type("x"), name_json_type(None), name_json_type(1.5)
    ('a list', 'a text', 'null', 'a number')
    """
    if value is None:
        return "null"
    return JSON_TYPES.get(type(value), type(value).__name__)


def _reject_piece(piece: RowText, problem: str) -> MalformedRow:
    # A character takes at most 4 bytes, so the text is decoded no further than needed.
    beginning = piece.text[: 4 * MAX_RAW].decode("utf-8", "replace")
    return MalformedRow(piece.line, problem, beginning[:MAX_RAW])


def _shorten_json_error(error: ValueError) -> str:
    """orjson's reason without its own line numbers, which count from the row's beginning."""
    reason = str(error).partition(": line ")[0]
    return "not UTF-8" if "UTF-8" in reason else reason


def _parse_lenient(text: bytes) -> Row | None:
    """A row with NaN or Infinity, as Python writes them, with null in their place."""
    if b"NaN" not in text and b"Infinity" not in text:
        return None
    try:
        row = json.loads(text, parse_constant=lambda constant: None)
        json.dumps(
            row, ensure_ascii=False
        ).encode()  # fails on lone surrogates: they are not text
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
