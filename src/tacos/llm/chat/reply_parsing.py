"""Reading the JSON that a model was asked for out of what it wrote. Pure.

In order: the text as it stands; without think blocks; every fenced block and every outermost {...}
or [...] in it; the same read loosely (`loose.py`: single quotes, trailing commas, cut ends). What
is found must satisfy the schema. Two different objects that both do are no answer: nobody knows
which one was meant.

Never invented: a missing field, a score out of range or a number that a cut may have shortened is
an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import fastjsonschema
import orjson

from tacos.llm.chat import lenient_json
from tacos.records import canonical_json

Check = Callable[[Any], Any]
THINK = re.compile(r"<(think|thinking|reasoning|thought)>.*?</\1>", re.DOTALL | re.IGNORECASE)
THINK_END = re.compile(r".*</(think|thinking|reasoning|thought)>", re.DOTALL | re.IGNORECASE)
THINK_OPEN = re.compile(r"<(think|thinking|reasoning|thought)>.*", re.DOTALL | re.IGNORECASE)
FENCED = re.compile(r"```[a-zA-Z0-9_-]*[ \t]*\n?(.*?)```", re.DOTALL)
MAX_STARTS = 256
"""Opening brackets that are tried in one text."""


class UnusableReplyError(ValueError):
    """The text holds no answer; the message says why, in words that a model can act on."""


@dataclass(frozen=True, slots=True)
class CompiledSchema:
    """A schema, ready to check with."""

    schema: dict[str, Any]
    check: Check

    @property
    def list_field(self) -> str:
        """The one required field if that is a list: a model may then answer with the bare list."""
        required = self.schema.get("required", [])
        kinds = self.schema.get("properties", {})
        lonely = len(required) == 1 and kinds.get(required[0], {}).get("type") == "array"
        return str(required[0]) if lonely else ""


_shapes: dict[bytes, CompiledSchema] = {}
_shapes_by_id: dict[int, CompiledSchema] = {}


def compile_schema(schema: dict[str, Any]) -> CompiledSchema:
    """`schema` compiled, once."""
    known = _shapes_by_id.get(id(schema))
    if known is not None and known.schema is schema:
        return known
    text = canonical_json(schema)
    if text not in _shapes:
        _shapes[text] = CompiledSchema(schema, fastjsonschema.compile(schema))
    if len(_shapes_by_id) < 256 and _shapes[text].schema is schema:
        _shapes_by_id[id(schema)] = _shapes[text]
    return _shapes[text]


def parse_reply_json(text: str, schema: dict[str, Any]) -> str:
    """The answer as JSON text by `schema`. Raises `UnusableReplyError`.

    >>> parse_reply_json('Sure! ```json\\n{"score": "80",}\\n``` Glad to help.', {"type": "object", "required": ["score"],
    ...     "properties": {"score": {"type": "number"}}})
    '{"score":80}'
    """
    wanted = compile_schema(schema)
    try:
        wanted.check(orjson.loads(text))
    except (orjson.JSONDecodeError, fastjsonschema.JsonSchemaValueException):
        return _find_fitting_value(strip_think_blocks(text), wanted)
    return text


def _find_fitting_value(text: str, wanted: CompiledSchema) -> str:
    """The one value in `text` that satisfies the schema."""
    found: dict[bytes, None] = {}
    complaint = ""
    for value in find_json_values(text):
        try:
            found[canonical_json(fit_to_schema(value, wanted))] = None
        except fastjsonschema.JsonSchemaValueException as error:
            complaint = complaint or str(error).replace("data", "the answer", 1)
    if len(found) == 1:
        return next(iter(found)).decode()
    if found:
        raise UnusableReplyError("it holds several different answers")
    raise UnusableReplyError(complaint or ("it is empty" if not text.strip() else "it is not JSON"))


def fit_to_schema(value: Any, wanted: CompiledSchema) -> Any:
    """`value` by the schema: a bare list put into its field, numbers in quotes unquoted, then
    checked.
    """
    if isinstance(value, list) and wanted.list_field:
        value = {wanted.list_field: value}
    if isinstance(value, dict):
        kinds = wanted.schema.get("properties", {})
        value = {key: unquote_number(each, kinds.get(key, {})) for key, each in value.items()}
    return wanted.check(value)


def unquote_number(value: Any, kind: dict[str, Any]) -> Any:
    """A number where the schema wants one and the model wrote it as text."""
    if kind.get("type") not in ("number", "integer") or not isinstance(value, str):
        return value
    try:
        return orjson.loads(value.strip())
    except orjson.JSONDecodeError:
        return value


def strip_think_blocks(text: str) -> str:
    """`text` without the think blocks of reasoning models, closed or not.

    >>> strip_think_blocks("hm</think>{}"), strip_think_blocks("<think>a</think>{}<think>cut"), strip_think_blocks("{}")
    ('{}', '{}', '{}')
    """
    if "<" not in text:
        return text
    text = THINK_END.sub("", THINK.sub("", text))
    return THINK_OPEN.sub("", text)


def find_json_values(text: str) -> Iterator[Any]:
    """Values that could be meant: those of fenced blocks if any can be read, else every outermost
    bracket's.
    """
    blocks = [read_bracketed_values(block) for block in FENCED.findall(text)]
    fenced = [value for block in blocks for value in block]
    yield from fenced or read_bracketed_values(text)


def read_bracketed_values(text: str) -> list[Any]:
    """What stands in the outermost brackets of `text`, read loosely, in order."""
    found = []
    position, tries = _find_next_bracket(text, 0), 0
    while position >= 0 and tries < MAX_STARTS:
        tries += 1
        value, end = lenient_json.read_json_at(text, position)
        if end > position:
            found.append(value)
        position = _find_next_bracket(text, max(end, position + 1))
    return found


def _find_next_bracket(text: str, position: int) -> int:
    """Where the next { or [ stands, -1 for nowhere."""
    starts = [at for at in (text.find("{", position), text.find("[", position)) if at >= 0]
    return min(starts, default=-1)
