"""One raw row -> a sample or a reject, by the row alone: shards of any size give the same samples.

A row is read by what it holds: a conversation (ShareGPT, OpenAI, or a list of texts that take turns), a task with
`instances` (self-instruct), or an instruction and a response in columns (Alpaca and its many synonyms, `history` included).
Settings that name columns win. Decisions:
- A conversation is cut back to its last answer; system turns stay; a tool's output is a system turn.
- An answer that is there but empty makes the row a reject ("empty response"), as does a conversation without an answer
  ("no answer"): these are counted, but are no failures.
- Of several `instances` the first is taken: one row in is one row out.
- Texts are kept as they are; only the content hash looks past blanks around them.
What it does not know: pictures (rows with other parts than text are rejects), branches of a conversation tree.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Protocol

import orjson
import polars as pl

from tacos.config import Ingest
from tacos.errors import InputError
from tacos.records import SAMPLES, Reject, Sample, Turn

Row = Mapping[str, Any]
Role = Literal["system", "user", "assistant"]
MAX_RAW = 2_000

CONVERSATIONS = ("conversations", "messages", "conversation", "dialogue", "dialog", "chat", "data")
INSTRUCTIONS = ("instruction", "prompt", "question", "query", "problem", "instructions", "user", "human", "source")
CONTEXTS = ("input", "context")
RESPONSES = ("output", "response", "completion", "answer", "solution", "assistant", "chosen", "target", "responses")
SYSTEMS = ("system", "system_prompt")

ROLES: dict[str, Role] = {
    **dict.fromkeys(("user", "human", "prompter", "customer"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "gpt4", "model", "bot", "bard", "bing", "ai"), "assistant"),
    **dict.fromkeys(("function_call", "tool_call"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
}
TOOLS = ("tool", "function", "observation", "ipython", "function_response", "tool_response")
NO_INPUT = frozenset({"noinput", "noinputrequired", "noinputneeded", "na", "notapplicable", "none", "null"})
NO_INPUT_ZH = frozenset({"无输入", "没有输入", "无需输入", "不适用"})
"""What people write into an input column to say that there is none."""


class Unusable(Exception):
    """Why a row cannot be used; `failure` as in `Reject`."""

    def __init__(self, reason: str, failure: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.failure = failure


class Shape(NamedTuple):
    """How a row is read: its format and the columns that matter ("" where there is none)."""

    format: Literal["conversation", "self-instruct", "columns"]
    instruction: str
    input: str = ""
    response: str = ""
    system: str = ""
    history: str = ""


class Batch(Protocol):
    """Rows of one file with their numbers, as `tacos.storage.reading` gives them."""

    @property
    def file(self) -> str: ...
    @property
    def first_row(self) -> int: ...
    @property
    def rows(self) -> list[tuple[int, dict[str, Any]]]: ...
    @property
    def rejects(self) -> list[Reject]: ...


def parse_batch(batch: Batch, settings: Ingest) -> tuple[list[Sample], list[Reject]]:
    """Samples and rejects of a batch, each in the order of the rows.

    Raises `InputError` when a file's first batch has rows but none with known columns: that is no failure of rows.
    """
    if batch.first_row == 0 and batch.rows:
        detect([row for _, row in batch.rows], settings)
    made = [parse(row, f"{batch.file}:{number}", settings) for number, row in batch.rows]
    rejects = [*batch.rejects, *(each for each in made if isinstance(each, Reject))]
    rejects.sort(key=lambda reject: int(reject.id.rpartition(":")[2]))
    return [each for each in made if isinstance(each, Sample)], rejects


def detect(rows: Iterable[Row], settings: Ingest) -> Shape:
    """The shape of the first row that has one; `InputError` that lists the columns when none has."""
    columns: dict[str, None] = {}
    for row in rows:
        try:
            shape = shape_of(row, settings)
            missing = next((each for each in (settings.tags, settings.score) if each and each not in row), "")
            if not missing:
                return shape
        except Unusable:
            pass
        columns |= dict.fromkeys(row)
    raise InputError(nothing_fits(list(columns), settings))


def nothing_fits(columns: Sequence[str], settings: Ingest) -> str:
    """Which columns there are, and how to say which of them to read."""
    named = [each for each in (settings.instruction, settings.response, settings.tags, settings.score) if each]
    missing = [each for each in named if each not in columns]
    shown = ", ".join(columns[:20]) + (", ..." if len(columns) > 20 else "")
    if missing:
        return f"no row has the column {missing[0]!r}; the columns are: {shown}"
    return (
        f"no instruction and response found in the columns: {shown}; "
        "name them with --set ingest.instruction=COLUMN --set ingest.response=COLUMN"
    )


def parse(row: Row, id: str, settings: Ingest) -> Sample | Reject:
    """The sample that a row holds, or why it holds none.

    >>> sample = parse({"instruction": "Add.", "input": "1 and 2", "output": "3"}, "x.json:0", Ingest())
    >>> sample.turns
    (Turn(role='user', text='Add.\\n\\n1 and 2'), Turn(role='assistant', text='3'))
    >>> parse({"instruction": "Add.", "output": " "}, "x.json:1", Ingest()).reason
    'empty response'
    """
    try:
        raw = as_json(row)
    except (TypeError, ValueError) as error:
        return Reject(id, "ingest", f"not JSON: {error}", repr(row)[:MAX_RAW].encode("utf-8", "replace").decode())
    try:
        turns = usable(turns_of(row, shape_of(row, settings)))
    except Unusable as problem:
        return Reject(id, "ingest", problem.reason, raw[:MAX_RAW], problem.failure)
    tags = given_tags(row.get(settings.tags)) if settings.tags else None
    score = given_score(row.get(settings.score)) if settings.score else None
    return Sample(id, content_hash(turns), turns, raw, tags, score)


def as_json(row: Row) -> str:
    """The row as one line of JSON, fields in their order; dates become ISO texts, bytes base64."""
    try:
        return orjson.dumps(row, default=plain, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY).decode()
    except TypeError:  # an integer of more than 64 bits
        text = json.dumps(row, ensure_ascii=False, default=plain, separators=(",", ":"))
        text.encode()
        return text


def plain(value: Any) -> Any:
    """What JSON has no type for, as something it has."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


def shape_of(row: Row, settings: Ingest) -> Shape:
    """How to read this row, by its own columns; `Unusable` when they fit nothing."""
    shape = shape_by_names(tuple(row), settings.format, settings.instruction, settings.input, settings.response)
    for column in conversation_columns(tuple(row)) if settings.format in OF_TURNS and not settings.instruction else ():
        if settings.format != "auto" or is_conversation(row[column]):
            return Shape("conversation", column)
    if shape is None:
        names = ", ".join(map(str, list(row)[:8]))
        raise Unusable(f"no instruction and response in the columns {names}" if row else "empty object", bool(row))
    return shape


OF_TURNS = ("auto", "sharegpt", "openai")


@lru_cache(maxsize=1024)
def conversation_columns(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Columns that may hold a conversation, the likeliest first."""
    return tuple(name for name in CONVERSATIONS if name in columns)


def is_conversation(value: Any) -> bool:
    """Whether a value looks like a list of turns (or like its JSON)."""
    if isinstance(value, str):
        return value.lstrip().startswith(("[{", '["'))
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], dict | str)


@lru_cache(maxsize=1024)
def shape_by_names(columns: tuple[str, ...], format: str, instruction: str, input: str, response: str) -> Shape | None:
    """The shape that column names suggest; columns named by the settings win, and then have to be there."""
    named = [each for each in (instruction, input, response) if each]
    if any(each not in columns for each in named):
        return None
    if format in OF_TURNS[1:]:
        return Shape("conversation", instruction) if instruction else None
    asked = instruction or first_of(INSTRUCTIONS, columns) or ("input" if "input" in columns and not input else "")
    if asked and "instances" in columns and not response and format in ("auto", "self-instruct"):
        return Shape("self-instruct", asked, response="instances", system=first_of(SYSTEMS, columns))
    answered = response or first_of([each for each in RESPONSES if each != asked], columns)
    if not asked or not answered or format == "self-instruct":
        return None
    context = input or first_of([each for each in CONTEXTS if each not in (asked, answered)], columns)
    history = "history" if "history" in columns else ""
    return Shape("columns", asked, context, answered, first_of(SYSTEMS, columns), history)


def first_of(wanted: Iterable[str], columns: tuple[str, ...]) -> str:
    """The first of the wanted names that is a column, or ""."""
    return next((name for name in wanted if name in columns), "")


def turns_of(row: Row, shape: Shape) -> list[Turn]:
    """Every turn of a row, in order."""
    system = as_text(row[shape.system], shape.system) if shape.system and row[shape.system] is not None else ""
    turns = [Turn("system", system)] if system.strip() else []
    if shape.format == "conversation":
        return turns + conversation(row[shape.instruction])
    if shape.format == "self-instruct":
        return turns + instance_turns(row, shape)
    if shape.history:
        turns += past_turns(row[shape.history])
    instruction, response = row[shape.instruction], row[shape.response]
    if isinstance(instruction, list) and isinstance(response, list):  # prompt and completion as messages
        return turns + conversation(instruction) + conversation(response)
    context = row[shape.input] if shape.input else ""
    asked = with_input(as_text(instruction, shape.instruction), context if context is not None else "", shape.input)
    return [*turns, Turn("user", asked), Turn("assistant", as_text(response, shape.response))]


def instance_turns(row: Row, shape: Shape) -> list[Turn]:
    """The first instance of a self-instruct task."""
    instances = row[shape.response]
    if not isinstance(instances, list) or not all(isinstance(each, dict) for each in instances):
        raise Unusable("instances is not a list of objects")
    if not instances:
        raise Unusable("no answer", failure=False)
    first = instances[0]
    asked = with_input(as_text(row[shape.instruction], shape.instruction), first.get("input") or "", "input")
    return [Turn("user", asked), Turn("assistant", as_text(first.get("output"), "output"))]


def with_input(instruction: str, context: Any, column: str) -> str:
    """Instruction, blank line, input; inputs that only say that there is none are left out.

    >>> with_input("Name a fruit.", "<noinput>", "input")
    'Name a fruit.'
    """
    text = as_text(context, column)
    if not text.strip() or says_none(text):
        return instruction
    return f"{instruction}\n\n{text}" if instruction.strip() else text


def says_none(text: str) -> bool:
    """Whether an input only says that there is no input."""
    if len(text) > 40:
        return False
    letters = re.sub(r"&\w+;|[\W_]", "", text).lower()
    return letters in NO_INPUT or letters in NO_INPUT_ZH


def as_text(value: Any, column: str) -> str:
    """The text of a cell or of a message; `Unusable` for another type."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(part, dict | str) for part in value):
        return "\n".join(part_text(part) for part in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unusable(f"{column} is {type(value).__name__}, not text")
    return str(value)


def part_text(part: Any) -> str:
    """The text of one part of a message."""
    if isinstance(part, str):
        return part
    text = part.get("text", part.get("content"))
    if part.get("type", "text") not in ("text", "input_text", "output_text") or not isinstance(text, str):
        raise Unusable(f"a part that is no text: {part.get('type', 'unknown')}", failure=False)
    return text


def past_turns(history: Any) -> list[Turn]:
    """Turns of `history`: pairs of question and answer, or messages."""
    past = loaded(history) if isinstance(history, str) and history.strip() else history
    if not past:
        return []
    if not isinstance(past, list):
        raise Unusable("history is not a list")
    if all(isinstance(pair, dict) for pair in past):
        return conversation(past)
    turns: list[Turn] = []
    for pair in past:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise Unusable("history is not a list of pairs")
        turns += [Turn("user", as_text(pair[0], "history")), Turn("assistant", as_text(pair[1], "history"))]
    return turns


def conversation(value: Any) -> list[Turn]:
    """Turns of a list of messages, or of texts that take turns, the user first."""
    messages = loaded(value) if isinstance(value, str) else value
    if not isinstance(messages, list | tuple):
        raise Unusable("the conversation is not a list")
    roles: tuple[Role, Role] = ("user", "assistant")
    return [
        Turn(roles[number % 2], message) if isinstance(message, str) else message_turn(message)
        for number, message in enumerate(messages)
    ]


def loaded(text: str) -> Any:
    """The value of a cell that holds JSON."""
    try:
        return orjson.loads(text)
    except ValueError:
        raise Unusable("the conversation is not JSON") from None


def message_turn(message: Any) -> Turn:
    """One message as a turn."""
    if not isinstance(message, dict):
        raise Unusable(f"a message is {type(message).__name__}, not an object")
    name = message.get("role", message.get("from", message.get("speaker")))
    text = message.get("content", message.get("value", message.get("text")))
    if text is None and (calls := message.get("tool_calls", message.get("function_call"))):
        text = orjson.dumps(calls, default=str).decode()
    key = name.lower() if isinstance(name, str) else ""
    if key in TOOLS:
        return Turn("system", f"Tool: {as_text(text, 'content')}")
    if key not in ROLES:
        raise Unusable(f"unknown role {str(name)[:40]!r}")
    return Turn(ROLES[key], as_text(text, "content"))


def usable(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The turns up to the last answer; `Unusable` without question or answer, or where the last ones are empty."""
    last = max((number for number, turn in enumerate(turns) if turn.role == "assistant"), default=-1)
    if last < 0:
        raise Unusable("no answer" if turns else "empty conversation", failure=False)
    if not turns[last].text.strip():
        raise Unusable("empty response", failure=False)
    kept = tuple(turn for turn in turns[: last + 1] if turn.text.strip())
    asked = [turn for turn in turns[:last] if turn.role == "user"]
    if not asked or not asked[-1].text.strip():
        raise Unusable("empty instruction", failure=False)
    return kept


def content_hash(turns: Sequence[Turn]) -> str:
    """32 hex digits of the turns alone: blanks around texts do not count."""
    canonical = orjson.dumps([(turn.role, turn.text.strip()) for turn in turns])
    return hashlib.blake2b(canonical, digest_size=16).hexdigest()


def given_tags(value: Any) -> tuple[str, ...] | None:
    """Tags of a cell: a list (of texts or objects with a `tag`), its JSON, or texts between commas; None for no cell.

    >>> given_tags('["a b", "c"]'), given_tags("a b, c"), given_tags([{"tag": "a b"}]), given_tags(None)
    (('a b', 'c'), ('a b', 'c'), ('a b',), None)
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = orjson.loads(value)
        except ValueError:
            value = value.strip().strip("[]")
    if isinstance(value, str):
        value = [part.strip().strip("'\"") for part in value.split(",")]
    if not isinstance(value, list | tuple):
        return None
    names = [each.get("tag") if isinstance(each, dict) else each for each in value]
    return tuple(dict.fromkeys(name.strip() for name in names if isinstance(name, str) and name.strip()))


def given_score(value: Any) -> float | None:
    """The number in a cell, or None: what is no number is missing, never a default.

    >>> given_score("4.5"), given_score(""), given_score("good"), given_score(float("nan"))
    (4.5, None, None, None)
    """
    try:
        score = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        return None
    return score if math.isfinite(score) else None


def instruction_of(turns: Sequence[Turn]) -> str:
    """What stands before the last answer: the question alone, or a transcript when there is more."""
    before = turns[:-1]
    if len(before) == 1:
        return before[0].text
    return "\n\n".join(f"{turn.role.capitalize()}: {turn.text}" for turn in before)


def to_frame(samples: Sequence[Sample]) -> pl.DataFrame:
    """Samples as a table by `SAMPLES`."""
    responses = [sample.turns[-1].text for sample in samples]
    columns: dict[str, list[Any] | pl.Series] = {
        "id": [sample.id for sample in samples],
        "content_hash": [sample.content_hash for sample in samples],
        "source": [sample.id.rpartition(":")[0] for sample in samples],
        "turns": turns_column([sample.turns for sample in samples]),
        "instruction": [instruction_of(sample.turns) for sample in samples],
        "response": responses,
        "length": [len(response) for response in responses],
        "given_tags": [None if sample.tags is None else list(sample.tags) for sample in samples],
        "given_score": [sample.score for sample in samples],
        "raw": [sample.raw for sample in samples],
    }
    names = [name for name in SAMPLES.names() if name != "keep"]
    frame = pl.DataFrame({name: pl.Series(name, columns[name], dtype=SAMPLES[name]) for name in names})
    return frame.with_columns(keep=False).select(SAMPLES.names()) if "keep" in SAMPLES else frame


def turns_column(conversations: Sequence[Sequence[Turn]]) -> pl.Series:
    """Turns as a column of lists of structs, built flat (ten times as fast as from nested Python objects)."""
    owner = [number for number, turns in enumerate(conversations) for _ in turns]
    roles = [turn.role for turns in conversations for turn in turns]
    texts = [turn.text for turns in conversations for turn in turns]
    flat = pl.DataFrame({"owner": owner, "role": roles, "text": texts}, schema_overrides={"owner": pl.UInt32})
    grouped = flat.group_by("owner", maintain_order=True).agg(pl.struct("role", "text").alias("turns"))
    return grouped["turns"]
