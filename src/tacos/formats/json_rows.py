"""A row's JSON text -> a dict, or what is wrong with it.

NaN and Infinity, which Python writes and JSON does not know, are read as null. Integers of more
than 64 bits keep their digits in a field of the row; deeper inside, they become floats.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from tacos.formats.json_splitting import RowText

MAX_RAW = 2_000
"""Characters of a rejected row that are kept."""
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

Row = dict[str, Any]
Item = Row | tuple[int, str, str]
"""A row, or (line, what is wrong, text) of one that cannot be read."""


def parse_json_row(piece: RowText) -> Item:
    """The JSON object of a piece, or what is wrong with it."""
    try:
        value = orjson.loads(piece.text)
    except ValueError as error:
        value = _parse_lenient(piece.text)
        if value is None:
            return (
                piece.line,
                f"malformed JSON: {_format_json_error(error)}",
                _clip_row_text(piece.text),
            )
    if type(value) is not dict:
        return (
            piece.line,
            f"{name_json_type(value)} where an object {{...}} should be",
            _clip_row_text(piece.text),
        )
    if any(type(each) is float and abs(each) >= HUGE for each in value.values()):
        value = json.loads(piece.text)  # integers of any length
    row: Row = value
    return row


def _format_json_error(error: ValueError) -> str:
    """orjson's reason without its own line numbers, which count from the row's beginning."""
    reason = str(error).partition(": line ")[0]
    return "not UTF-8" if "UTF-8" in reason else reason


def _parse_lenient(text: bytes) -> Row | None:
    """Rows with NaN or Infinity, as Python writes them, with null in their place."""
    if b"NaN" not in text and b"Infinity" not in text:
        return None
    try:
        row = json.loads(text, parse_constant=lambda constant: None)
        json.dumps(row, ensure_ascii=False).encode()  # lone surrogates are no text
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _clip_row_text(text: bytes) -> str:
    """The beginning of a row's bytes as text."""
    return text[: 4 * MAX_RAW].decode("utf-8", "replace")[:MAX_RAW]


def name_json_type(value: object) -> str:
    """What JSON calls a value's type.

    >>> name_json_type([]), name_json_type("x"), name_json_type(None), name_json_type(1.5)
    ('a list', 'a text', 'null', 'a number')
    """
    if value is None:
        return "null"
    return JSON_TYPES.get(type(value), type(value).__name__)
