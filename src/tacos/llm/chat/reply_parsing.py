"""Finds the JSON that a model was asked for in what it wrote. Pure.

In order: the text as it is; without think blocks; every fenced block and every outermost {...} or
[...] in it, read leniently (`lenient_json`). The value must satisfy the schema. Two different
values that both do are no answer: nobody knows which one was meant. Where the schema asks for a
plain text (`records.asks_for_text`), that is all of it but the think blocks.

Never invented: a missing field, a score out of range or a number that may have been truncated is an
error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import fastjsonschema
import orjson

from tacos.llm.chat import lenient_json
from tacos.records import asks_for_text, canonical_json

Check = Callable[[Any], Any]
THINK = re.compile(
    r"<(think|thinking|reasoning|thought)>.*?</\1>", re.DOTALL | re.IGNORECASE
)
THINK_END = re.compile(
    r".*</(think|thinking|reasoning|thought)>", re.DOTALL | re.IGNORECASE
)
THINK_OPEN = re.compile(
    r"<(think|thinking|reasoning|thought)>.*", re.DOTALL | re.IGNORECASE
)
FENCED = re.compile(r"```[a-zA-Z0-9_-]*[ \t]*\n?(.*?)```", re.DOTALL)
MAX_STARTS = 256
"""Opening brackets that are tried in one text."""


class UnusableReplyError(ValueError):
    """The text holds no answer; the message says why, in words that a model can act on.

    The message goes into the re-ask, and so into its ledger key: other words ask, and pay, again.
    """


@dataclass(frozen=True, slots=True)
class CompiledSchema:
    """A schema, ready to check with."""

    schema: dict[str, Any]
    check: Check

    @property
    def list_field(self) -> str:
        """The one required field if that is a list: a model may then answer with the bare list."""
        required = self.schema.get("required", [])
        if len(required) != 1:
            return ""
        name = str(required[0])
        field_schemas = self.schema.get("properties", {})
        field_schema = field_schemas.get(name, {})
        field_type = field_schema.get("type")
        if field_type != "array":
            return ""
        return name


MAX_SCHEMAS_BY_ID = 256

_schemas: dict[bytes, CompiledSchema] = {}
_schemas_by_id: dict[int, CompiledSchema] = {}


def compile_schema(schema: dict[str, Any]) -> CompiledSchema:
    """`schema` compiled, once."""
    # Schemas are module constants as a rule: the same object comes every time.
    compiled = _schemas_by_id.get(id(schema))
    if compiled is not None and compiled.schema is schema:
        return compiled
    text = canonical_json(schema)
    compiled = _schemas.get(text)
    if compiled is None:
        compiled = CompiledSchema(schema, fastjsonschema.compile(schema))
        _schemas[text] = compiled
    # Only an object that is kept: the number of another one may be used again.
    is_kept = compiled.schema is schema
    if is_kept and len(_schemas_by_id) < MAX_SCHEMAS_BY_ID:
        _schemas_by_id[id(schema)] = compiled
    return compiled


def parse_reply_json(text: str, schema: dict[str, Any]) -> str:
    """The answer as JSON text by `schema`. Raises `UnusableReplyError`.

    >>> fields = {"score": {"type": "number"}}
    >>> schema = {"type": "object", "required": ["score"], "properties": fields}
    >>> parse_reply_json('Sure! ```json\\n{"score": "80",}\\n``` Glad to help.', schema)
    '{"score":80}'
    """
    compiled = compile_schema(schema)
    if asks_for_text(schema):
        return _read_plain_text(strip_think_blocks(text), compiled)
    try:
        compiled.check(orjson.loads(text))
    except (orjson.JSONDecodeError, fastjsonschema.JsonSchemaValueException):
        return _find_fitting_value(strip_think_blocks(text), compiled)
    return text


def _read_plain_text(text: str, compiled: CompiledSchema) -> str:
    """A plain text as JSON, if it satisfies the schema.

    >>> _read_plain_text("Yes.", compile_schema({"type": "string", "pattern": "Yes|No"}))
    '"Yes."'
    """
    try:
        compiled.check(text)
    except fastjsonschema.JsonSchemaValueException as error:
        if not text.strip():
            raise UnusableReplyError("it is empty") from None
        complaint = str(error).replace("data", "the answer", 1)
        raise UnusableReplyError(
            compiled.schema.get("description", complaint)
        ) from None
    return orjson.dumps(text).decode()


def _find_fitting_value(text: str, compiled: CompiledSchema) -> str:
    """The one value in `text` that satisfies the schema."""
    answers: dict[bytes, None] = {}
    complaint = ""
    for value in find_json_values(text):
        try:
            answer = canonical_json(fit_to_schema(value, compiled))
        except fastjsonschema.JsonSchemaValueException as error:
            complaint = complaint or str(error).replace("data", "the answer", 1)
        else:
            answers[answer] = None
    if len(answers) == 1:
        return next(iter(answers)).decode()
    if answers:
        raise UnusableReplyError("it holds several different answers")
    if complaint:
        raise UnusableReplyError(complaint)
    raise UnusableReplyError("it is not JSON" if text.strip() else "it is empty")


def fit_to_schema(value: Any, compiled: CompiledSchema) -> Any:
    """`value` by the schema: a bare list put into its field, items that are plain texts made
    objects, numbers in quotes unquoted, then checked. Raises
    `fastjsonschema.JsonSchemaValueException`.
    """
    if isinstance(value, list) and compiled.list_field:
        value = {compiled.list_field: value}
    if isinstance(value, dict):
        field_schemas = compiled.schema.get("properties", {})
        value = {
            name: _fit_field(member, field_schemas.get(name, {}))
            for name, member in value.items()
        }
    return compiled.check(value)


def _fit_field(value: Any, field_schema: dict[str, Any]) -> Any:
    """A field's value by its schema."""
    item_schema = field_schema.get("items", {})
    if not isinstance(value, list) or not _holds_texts_only(item_schema):
        return unquote_number(value, field_schema)
    return [_complete_item(item, item_schema) for item in value]


def _holds_texts_only(item_schema: dict[str, Any]) -> bool:
    """Whether a list's items are objects of texts, such as a tag and its explanation."""
    fields = item_schema.get("properties", {})
    return bool(fields) and all(
        field == {"type": "string"} for field in fields.values()
    )


def _complete_item(item: Any, item_schema: dict[str, Any]) -> Any:
    """An item with every text that it must have: the first one says what it is, and the others,
    which explain it, may be empty.
    """
    first, *others = item_schema["required"]
    if isinstance(item, str):
        item = {first: item}
    if not isinstance(item, dict) or not isinstance(item.get(first), str):
        return item
    completed = dict(item)
    for name in others:
        if completed.get(name) is None:
            completed[name] = ""
    return completed


def unquote_number(value: Any, field_schema: dict[str, Any]) -> Any:
    """A number where the schema wants one and the model wrote it as text; else `value`."""
    wants_number = field_schema.get("type") in ("number", "integer")
    if not wants_number or not isinstance(value, str):
        return value
    try:
        return orjson.loads(value.strip())
    except orjson.JSONDecodeError:
        return value


def find_misplaced_answer(reasoning: str) -> str:
    """The reasoning, if it is an answer and nothing else; "" for thoughts.

    A server with a reasoning parser whose model does not think takes the answer for thoughts. An
    object in the midst of thoughts may be a draft.

    >>> find_misplaced_answer('\\n{"score": 5}'), find_misplaced_answer('Maybe {"score": 5}?')
    ('{"score": 5}', '')
    """
    text = strip_think_blocks(reasoning).strip()
    is_answer = text.startswith(("{", "[", "```")) and text.endswith(("}", "]", "```"))
    return text if is_answer else ""


def strip_think_blocks(text: str) -> str:
    """`text` without the think blocks of reasoning models, closed or not.

    >>> strip_think_blocks("hm</think>{}"), strip_think_blocks("<think>a</think>{}<think>cut")
    ('{}', '{}')
    >>> strip_think_blocks("{}")
    '{}'
    """
    if "<" not in text:
        return text
    text = THINK.sub("", text)
    text = THINK_END.sub("", text)  # opened by the prompt
    return THINK_OPEN.sub("", text)  # truncated


def find_json_values(text: str) -> Iterator[Any]:
    """Values that could be meant: those of fenced blocks if any can be read, else every outermost
    bracket's.
    """
    fenced_values = []
    for block in FENCED.findall(text):
        fenced_values += read_bracketed_values(block)
    yield from fenced_values or read_bracketed_values(text)


def read_bracketed_values(text: str) -> list[Any]:
    """The values of the outermost brackets of `text`, read leniently, in order."""
    values = []
    position = _find_next_bracket(text, 0)
    for _ in range(MAX_STARTS):
        if position < 0:
            break
        value, end = lenient_json.read_json_at(text, position)
        was_read = end > position
        if was_read:
            values.append(value)
        # Past the value, or past the bracket where none could be read.
        start = max(end, position + 1)
        position = _find_next_bracket(text, start)
    return values


def _find_next_bracket(text: str, position: int) -> int:
    """The position of the next { or [, -1 for none."""
    brace = text.find("{", position)
    bracket = text.find("[", position)
    if brace < 0 or bracket < 0:
        return max(brace, bracket)
    return min(brace, bracket)
