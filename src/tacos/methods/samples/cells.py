"""Turns the cells of a row, and the contents of messages, into texts.

A text is kept as it is. Null, and NaN as pandas writes it for an empty cell, are no text. Other
values are refused with their type, never rendered as Python prints them.
"""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

MAX_REASON = 400
"""Characters of a reason; names of columns that it quotes may be of any length."""
N_SHOWN = 40
"""Characters of an unknown role or part that its reason quotes."""
TEXT_PARTS = (
    "text",
    "input_text",
    "output_text",
)
"""Types of the parts of a message that are texts."""
CALL_PARTS = (
    "tool_call",
    "tool_calls",
    "function_call",
)
"""Types of parts that hold a tool call as text."""
JSON_TYPES = {
    list: "a list",
    tuple: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    Decimal: "a number",
    dict: "an object",
}
PART_TEXTS = (
    "text",
    "value",
    "content",
)
"""Fields of a part that may hold its text."""

# Nothing, in a text. What could be content stays content: the element Na, an input "empty".
PRINTED_BY_PANDAS = frozenset(
    {
        "nan",
        "<NA>",
        "NaT",
    }
)
"""Missing values as pandas prints them, which no person writes: nothing in every column."""
NULL_MARKS = frozenset(
    {
        *PRINTED_BY_PANDAS,
        "NaN",
        "NAN",
        "NA",
        "N/A",
        "n/a",
        "#N/A",
        "None",
        "none",
        "NONE",
        "null",
        "Null",
        "NULL",
        "\\N",
    }
)
"""How exports write null. In columns that may be empty (input, system, history) these are nothing;
an answer may well be "None".
"""
NO_INPUT = frozenset(
    {
        "noinput",
        "noinputrequired",
        "noinputneeded",
        "noinputprovided",
        "noinputgiven",
        "notapplicable",
        "notprovided",
        "无",
        "无输入",
        "没有输入",
        "无需输入",
        "不适用",
    }
)
"""What people write in place of an input; only letters are compared."""
MAX_NO_INPUT = 40
"""Longer inputs are never mere notes that there is no input."""
NOT_A_LETTER = re.compile(r"&\w+;|[\W_]")
AROUND = " \t\r\n<>()[]{}\"'“”."
"""What may stand around a mark, as in `<none>` or `[N/A].`"""
NOTHING = re.compile(r"""[\s\-\N{EN DASH}\N{EM DASH}_"'“”]*""")
"""Cells of dashes or quotation marks alone."""
LIST_START = re.compile(r"\s*\[")
"""How the JSON of a list begins."""
EMPTY_JSON = ("[]", "{}")


class UnusableRow(Exception):
    """Why a row cannot be used; becomes a `Reject`, with the same `reason` and `failure`."""

    def __init__(
        self,
        reason: str,
        failure: bool = True,
    ) -> None:
        super().__init__(reason)
        # A role or a column that it quotes may have several lines, or be as long as a text.
        line = " ".join(reason.splitlines())
        self.reason = line if len(line) <= MAX_REASON else f"{line[:MAX_REASON]}..."
        self.failure = failure


def cell_to_text(
    value: Any,
    column: str,
) -> str:
    """The text of a cell or of a message, "" for null. Raises `UnusableRow` for other types."""
    # Nearly all cells of nearly all rows are strings, so the cheapest test comes first.
    if type(value) is str:
        return value
    if is_missing(value):
        return ""
    # A message may be a list of parts, of which only texts can be used.
    if isinstance(value, list | tuple):
        parts = [_part_to_text(part, column) for part in value]
        return "\n".join(parts)
    # A bool is an int to isinstance(), but no text.
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise UnusableRow(f"{column} is {name_json_type(value)}, not text")
    return str(value)


def name_json_type(value: object) -> str:
    """What JSON calls a value's type.

    >>> name_json_type([]), name_json_type("x"), name_json_type(None), name_json_type(1.5)
    ('a list', 'a text', 'null', 'a number')
    """
    if value is None:
        return "null"
    return JSON_TYPES.get(type(value), type(value).__name__)


def content_to_text(value: Any) -> str:
    """The text of a message's content, which may be an object that holds it."""
    if not isinstance(value, Mapping):
        return cell_to_text(value, "content")
    if isinstance(value.get("parts"), list):
        return cell_to_text(value["parts"], "content")
    return _part_to_text(value, "content")


def is_missing(value: Any) -> bool:
    """Whether a cell holds nothing: null, or NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def is_blank(value: Any) -> bool:
    """Whether a cell holds nothing, white space alone, or a missing value that pandas printed.

    >>> [is_blank(value) for value in (None, " ", "nan", "None", [])]
    [True, True, True, False, False]
    """
    if isinstance(value, str):
        text = value.strip()
        return not text or text in PRINTED_BY_PANDAS
    return is_missing(value)


def is_empty(value: Any) -> bool:
    """Whether a cell that may hold a list or an object, or its JSON, says that there is nothing.

    >>> [is_empty(value) for value in ([], "[]", "null", "", float("nan"), {"name": None})]
    [True, True, True, True, True, True]
    >>> [is_empty(value) for value in ("[1]", [None], 0)]
    [False, False, False]
    """
    # In Parquet, an object that a row lacks may have all its fields, each of them null. Objects may
    # be nested deeper than Python calls.
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, Mapping):
            pending.extend(each.values())
        elif not _is_empty_cell(each):
            return False
    return True


def _is_empty_cell(value: Any) -> bool:
    """`is_empty` of what is no object."""
    if isinstance(value, str):
        return says_nothing(value) or value.strip() in EMPTY_JSON
    if isinstance(value, list | tuple):
        return not value
    return is_missing(value)


def render_json(value: Any) -> str:
    """A value as JSON, integers of any length. Raises `UnusableRow` if it is nested too deeply."""
    try:
        return orjson.dumps(value, default=str).decode()
    except TypeError:
        pass
    try:
        return json.dumps(
            value,
            ensure_ascii=False,
            default=str,
            separators=(",", ":"),
        )
    except RecursionError:
        raise UnusableRow("a value is nested too deeply") from None


def read_number(value: Any) -> float | None:
    """A score or rank as a number, true as 1; None for what is none.

    >>> [read_number(value) for value in ("10", True, None, "good", float("nan"))]
    [10.0, 1.0, None, None, None]
    """
    if not isinstance(value, bool | int | float | str | Decimal):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(number) else number


def join_instruction_and_input(
    instruction: str,
    context: Any,
    column: str,
) -> str:
    """Instruction, blank line, input; inputs that only say that there is none are left out.

    >>> join_instruction_and_input("Name a fruit.", "<noinput>", "input")
    'Name a fruit.'
    """
    text = cell_to_text(context, column)
    if says_nothing(text):
        return instruction
    if says_nothing(instruction):
        return text
    return f"{instruction}\n\n{text}"


def says_nothing(text: str) -> bool:
    """Whether a cell that may be empty is, or only says so.

    >>> [says_nothing(text) for text in ("", "-", "NaN", "<no input>", "<none>")]
    [True, True, True, True, True]
    >>> [says_nothing(text) for text in ("none of them", "0", "Na", "empty", "[]")]
    [False, False, False, False, False]
    """
    if len(text) > MAX_NO_INPUT:
        return not text.strip()
    if NOTHING.fullmatch(text) or text.strip() in NULL_MARKS:
        return True
    if text.strip(AROUND) in NULL_MARKS:
        return True
    letters = NOT_A_LETTER.sub("", text).lower()
    return letters in NO_INPUT


def load_json_cell(
    text: str,
    name: str,
) -> Any:
    """The value of a cell that holds JSON, or a list as Python prints it (as CSV files of data
    frames do). Raises `UnusableRow` if it does not.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        pass
    try:
        with warnings.catch_warnings():
            # Of backslashes that mean nothing.
            warnings.simplefilter("ignore")
            value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        value = None
    if isinstance(value, list | tuple | dict):
        return value
    if text.lstrip().startswith(("[{'", "['", "{'", "[array(", "array(")):
        raise UnusableRow(
            f"{name} is a Python object printed as text, not JSON: write it with json.dumps"
        )
    raise UnusableRow(f"{name} is not JSON")


def _part_to_text(
    part: Any,
    column: str,
) -> str:
    """The text of one part of a message."""
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        raise UnusableRow(
            f"{column} has a part that is {name_json_type(part)}, not text"
        )
    kind = part.get("type") or "text"
    text = None
    for field in PART_TEXTS:
        if isinstance(part.get(field), str):
            text = part[field]
            break
    if kind in TEXT_PARTS + CALL_PARTS and text is not None:
        return str(text)
    shown = str(kind)[:N_SHOWN]
    if kind in TEXT_PARTS:
        keys = ", ".join(map(str, part))
        raise UnusableRow(f"{column} has a part without a text; its keys are {keys}")
    raise UnusableRow(f"{column} has a part that is not text: {shown}", failure=False)
