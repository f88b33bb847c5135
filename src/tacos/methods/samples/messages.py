"""Turns a conversation's messages into turns.

A message is {role, content} or {from, value}, under any of the usual names. An object without a
speaker is an exchange if its keys are speakers themselves, such as {human, assistant}, or a
question and an answer, such as {input, output}; it gives two turns. A pair [speaker, text] is a
message if all pairs begin with a speaker, else [question, answer]. In a list of texts user and
assistant alternate, the user first. An object of lists, as `datasets` makes of a list of objects,
is that list. The output of a tool is a system turn.

An answer of weight 0 is not trained on, so the conversation ends with the last answer that is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tacos.methods.samples.cells import (
    UnusableRow,
    cell_to_text,
    content_to_text,
    is_blank,
    is_empty,
    load_json_cell,
    name_json_type,
)
from tacos.methods.samples.column_names import normalise_name
from tacos.methods.samples.message_fields import (
    CONTENTS,
    SPEAKER_KEYS,
    SPEAKERS,
    Message,
    get_first_field,
    get_speaker,
    list_sides,
    spell_speaker,
)
from tacos.methods.samples.roles import (
    NO_ROLES,
    Role,
    Roles,
    TurnRole,
    is_role,
    resolve_role,
)
from tacos.methods.samples.tool_messages import (
    TOOL_MARK,
    render_tool_calls,
    render_tool_output,
)
from tacos.methods.samples.training_marks import is_trained
from tacos.methods.samples.transcripts import (
    list_marks,
    split_transcript,
    strip_marks,
)
from tacos.records import Turn

ALTERNATING_ROLES: tuple[TurnRole, TurnRole] = ("user", "assistant")
JSON_START = re.compile(r"""\s*(\[\s*[\[{"']|\{)""")
"""How the JSON of messages, or Python's print of them, begins."""
NAMED_TEXT = re.compile(
    r"\s*(Human|User|Assistant|AI|Bot|System)\s*:\s*",
    re.IGNORECASE,
)
"""How a text begins that names its speaker."""
TURN_KEY = re.compile(r"turn_?(\d+)")


class PlacedTurn(NamedTuple):
    """A turn, and where its text stands: the number of its message, and the message's field ("" for
    a message that is a text, or whose text was made from several fields; "0" or "1" in a pair).
    """

    turn: Turn
    number: int
    field: str
    is_trained: bool = True


def read_conversation(
    value: Any,
    roles: Roles = NO_ROLES,
) -> list[Turn]:
    """The turns of a list of messages or of alternating texts, of its JSON, or of a transcript.

    Raises `UnusableRow` for anything else.
    """
    return [placed.turn for placed in place_turns(value, roles)]


def place_turns(
    value: Any,
    roles: Roles = NO_ROLES,
) -> list[PlacedTurn]:
    """The turns of a conversation with their places, up to the last answer that is trained on.

    Raises `UnusableRow`.
    """
    messages = list_messages(value, roles)
    turns = list(_iterate_turns(messages, roles))
    answers = [number for number, turn in enumerate(turns) if _is_answer(turn)]
    trained = [number for number in answers if turns[number].is_trained]
    if len(trained) == len(answers):
        return turns
    if not trained:
        raise UnusableRow("no answer has a weight above 0", failure=False)
    # What follows the last answer that counts is of no use.
    n_kept = trained[-1] + 1
    return turns[:n_kept]


def list_messages(value: Any, roles: Roles = NO_ROLES) -> Sequence[Any]:
    """The messages of a conversation in whatever form a cell holds it; none in an empty cell.

    Raises `UnusableRow`.
    """
    if is_empty(value):
        return []
    if isinstance(value, str):
        transcript = None if JSON_START.match(value) else split_transcript(value)
        if transcript is not None:
            return [{"role": role, "content": text} for role, text in transcript]
        value = load_json_cell(value, "the conversation")
    if isinstance(value, Mapping):
        return _list_numbered_turns(value)
    if not isinstance(value, list | tuple):
        raise UnusableRow("the conversation is not a list")
    if is_list_of_named_texts(value, roles):
        return [{"role": speaker, "content": text} for speaker, text in value]
    return value


def is_message(value: Any) -> bool:
    """Whether an object is a message: it names its speaker."""
    if not isinstance(value, Mapping):
        return False
    field, speaker = get_first_field(value, SPEAKERS)
    return field != "" and not isinstance(speaker, list | tuple)


def is_list_of_named_texts(value: Any, roles: Roles = NO_ROLES) -> bool:
    """Whether a value is a list of pairs [speaker, text], where a text may be null or parts.

    >>> is_list_of_named_texts([["user", "Hi."], ["gpt", None]])
    True
    >>> is_list_of_named_texts([["Hi.", "Hello."]])
    False
    """
    if not isinstance(value, list | tuple) or not value:
        return False
    return all(_is_named_text(pair, roles) for pair in value)


def split_named_texts(messages: Sequence[Any]) -> list[tuple[str, str]]:
    """Speaker and text of texts that each begin with a speaker; none if one does not.

    >>> split_named_texts(["Human: Hi.", "Assistant: Hello."])
    [('Human', 'Hi.'), ('Assistant', 'Hello.')]
    >>> split_named_texts(["Human: Hi.", "Hello."])
    []
    """
    if len(messages) < 2:
        return []
    found = []
    for message in messages:
        match = NAMED_TEXT.match(message) if isinstance(message, str) else None
        if match is None:
            return []
        found.append((match[1], message[match.end() :]))
    return found


def is_pair_of_texts(message: Any) -> bool:
    """Whether a message is [question, answer] or [speaker, text]."""
    if not isinstance(message, list | tuple) or len(message) != 2:
        return False
    return all(isinstance(text, str) for text in message)


def is_object_of_lists(value: Any) -> bool:
    """Whether an object holds a list of objects field by field, as `datasets` stores it.

    >>> is_object_of_lists({"from": ["human", "gpt"], "value": ["Hi.", "Hello."]})
    True
    """
    if not isinstance(value, Mapping):
        return False
    columns = list(_list_columns(value).values())
    if len(columns) < 2:
        return False
    if not all(isinstance(column, list | tuple) for column in columns):
        return False
    lengths = {len(column) for column in columns}
    # The parts of a message are objects.
    has_parts = any(isinstance(item, Mapping) for column in columns for item in column)
    return len(lengths) == 1 and lengths != {0} and not has_parts


def is_exchange(value: Any) -> bool:
    """Whether an object holds what user and assistant say, under keys that name them.

    >>> is_exchange({"human": "Hi.", "assistant": "Hello."}), is_exchange({"input": "Hi."})
    (True, False)
    """
    if not isinstance(value, Mapping):
        return False
    names = {normalise_name(key) for key in value}
    has_user = not names.isdisjoint(SPEAKER_KEYS["user"])
    has_assistant = not names.isdisjoint(SPEAKER_KEYS["assistant"])
    if len(names) == 1:
        return has_user or has_assistant
    return has_user and has_assistant


def is_list_of_exchanges(value: Any) -> bool:
    """Whether a value is a list of objects that each hold a question and an answer, under any of
    the usual keys.
    """
    if not isinstance(value, list | tuple) or not value:
        return False
    if not isinstance(value[0], Mapping):
        return False
    sides = list_sides(value[0])
    roles = {role for role, _, _ in sides}
    return roles >= {"user", "assistant"}


def is_message_list(value: Any) -> bool:
    """Whether a value is a list of messages: objects, or pairs [speaker, text]."""
    if not isinstance(value, list | tuple) or not value:
        return False
    return is_message(value[0]) or is_list_of_named_texts(value)


def unfold_messages(value: Any) -> Any:
    """The list of messages, or of exchanges, in an object of lists; anything else as it is."""
    if not is_object_of_lists(value):
        return value
    messages = list_messages(value)
    is_talk = is_message_list(messages) or is_list_of_exchanges(messages)
    return messages if is_talk else value


def list_speakers(value: Any, roles: Roles) -> dict[str, Role]:
    """Speaker, as it is spelled in a conversation or by the marks of a transcript, -> role."""
    if isinstance(value, str) and not JSON_START.match(value):
        return list_marks(value)
    found: dict[str, Role] = {}
    for message in list_messages(value, roles):
        if not isinstance(message, Mapping):
            continue
        field, speaker = get_speaker(message)
        if field:
            name = spell_speaker(speaker)
            found[name] = resolve_role(name, roles)
        else:
            # Its keys are the speakers.
            sides = list_sides(message)
            found |= {key: role for role, key, _ in sides}
    return found


def ends_with_question(value: Any, roles: Roles) -> bool:
    """Whether nobody answers the last message of a conversation."""
    turns = place_turns(value, roles)
    return bool(turns) and not _is_answer(turns[-1])


def _iterate_turns(messages: Sequence[Any], roles: Roles) -> Iterator[PlacedTurn]:
    """The turns of all messages."""
    named = split_named_texts(messages)
    for number, message in enumerate(messages):
        if named:
            speaker, text = named[number]
            role = resolve_role(speaker, roles)
            said = (
                Turn("system", f"{TOOL_MARK}{text}")
                if role == "tool"
                else Turn(role, text)
            )
            yield PlacedTurn(said, number, "")
            continue
        if isinstance(message, str):
            alternating = ALTERNATING_ROLES[number % 2]
            yield PlacedTurn(Turn(alternating, message), number, "")
            continue
        if is_pair_of_texts(message):
            for place, text in enumerate(message):
                turn = Turn(ALTERNATING_ROLES[place], text)
                yield PlacedTurn(turn, number, str(place))
            continue
        if not isinstance(message, Mapping):
            raise UnusableRow(f"a message is {name_json_type(message)}, not an object")
        field, speaker = get_speaker(message)
        if field:
            yield _read_message(message, speaker, number, roles)
        else:
            yield from _read_exchange(message, number)


def _is_named_text(pair: Any, roles: Roles) -> bool:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        return False
    speaker = pair[0]
    return isinstance(speaker, str) and is_role(speaker, roles)


def _is_answer(placed: PlacedTurn) -> bool:
    return placed.turn.role == "assistant"


def _read_message(
    message: Message,
    speaker: Any,
    number: int,
    roles: Roles,
) -> PlacedTurn:
    """One message that names its speaker."""
    role = resolve_role(spell_speaker(speaker), roles)
    field, content = get_first_field(message, CONTENTS)
    if role == "tool":
        text = render_tool_output(message, content)
        return PlacedTurn(Turn("system", f"{TOOL_MARK}{text}"), number, "")
    text = "" if is_blank(content) else content_to_text(content)
    calls = render_tool_calls(message)
    if calls:
        text = f"{text}\n{calls}" if text.strip() else calls
        field = ""
    return PlacedTurn(
        Turn(role, text),
        number,
        field,
        is_trained=is_trained(message),
    )


def _read_exchange(message: Message, number: int) -> Iterator[PlacedTurn]:
    """The turns of an object whose keys say who speaks."""
    sides = list_sides(message)
    if not sides:
        keys = ", ".join(map(str, list(message)[:8])) or "none"
        raise UnusableRow(f"a message has no role; its keys are: {keys}")
    for role, key, value in sides:
        text = "" if is_blank(value) else strip_marks(cell_to_text(value, key))
        yield PlacedTurn(
            Turn(role, text),
            number,
            key,
            is_trained=role != "assistant" or is_trained(message),
        )


def _list_columns(value: Message) -> dict[Any, Any]:
    """The fields that hold something: in Parquet, one that another row has is null in this one."""
    return {name: column for name, column in value.items() if column is not None}


def _list_numbered_turns(value: Message) -> Sequence[Any]:
    """The messages of an object of turns {turn_1, turn_2, ...} or of lists, or a single one."""
    if is_object_of_lists(value):
        columns = _list_columns(value)
        rows = zip(*columns.values(), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]
    numbers = {}
    for key in value:
        name = str(key).lower()
        match = TURN_KEY.fullmatch(name)
        if match:
            numbers[key] = int(match[1])
    if numbers and len(numbers) == len(value):
        # By number: as texts, turn_10 comes before turn_2.
        in_order = sorted(numbers, key=numbers.__getitem__)
        return [value[key] for key in in_order]
    if is_message(value) or is_exchange(value):
        return [value]
    raise UnusableRow("the conversation is not a list")
