"""Turns the values of a raw row into the turns of a conversation.

`tacos.methods.samples.messages` reads conversations, `tacos.methods.samples.cells` the values of
columns, `tacos.methods.samples.answers` finds the answer among several. `history` is a list of
[question, answer].

Not supported: images and sound (a message with parts other than text makes the row a reject).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tacos.methods.samples.answers import find_answer
from tacos.methods.samples.cells import (
    UnusableRow,
    cell_to_text,
    content_to_text,
    is_blank,
    is_empty,
    join_instruction_and_input,
    load_json_cell,
    says_nothing,
)
from tacos.methods.samples.choices import refuse_hidden_choices
from tacos.methods.samples.message_trees import list_best_path
from tacos.methods.samples.messages import (
    JSON_START,
    is_list_of_named_texts,
    is_message,
    is_message_list,
    list_messages,
    read_conversation,
    split_named_texts,
    unfold_messages,
)
from tacos.methods.samples.roles import NO_ROLES, Roles
from tacos.methods.samples.row_layout import get_tree, holds_messages
from tacos.methods.samples.table_layout import Row, RowLayout
from tacos.methods.samples.transcripts import split_transcript
from tacos.records import Turn

HH_START = "\n\nHuman:"
"""How each transcript of HH-RLHF begins."""
OPEN_ENDS = (":", ">", "]")
"""How the mark ends that a dialogue breaks off with."""

# Rows


def read_turns(
    row: Row,
    shape: RowLayout,
    roles: Roles = NO_ROLES,
) -> list[Turn]:
    """Every turn of a row, in order.

    Raises `UnusableRow` for values of another type than the layout expects.
    """
    turns: list[Turn] = []
    if shape.system:
        system = _read_system(row[shape.system], shape.system)
        if not says_nothing(system):
            turns.append(Turn("system", system))
    if shape.format == "conversation":
        turns += _read_messages(row, shape, roles)
    elif shape.format == "tree":
        turns += read_conversation(list_best_path(get_tree(row, shape)), roles)
    elif shape.format == "self-instruct":
        turns += _read_instance_turns(row, shape)
    else:
        if shape.history:
            turns += _read_history(row[shape.history], roles)
        turns += _read_exchange(row, shape, roles)
    return turns


def keep_answered_turns(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The turns up to the last answer, without empty ones.

    Raises `UnusableRow`, not counted as a failure, if there is no question or no answer, or if the
    last one of either is empty.
    """
    last_answer = -1
    for number, turn in enumerate(turns):
        if turn.role == "assistant":
            last_answer = number
    if last_answer < 0:
        reason = "no answer of an assistant" if turns else "empty conversation"
        raise UnusableRow(reason, failure=False)
    if not turns[last_answer].text.strip():
        raise UnusableRow("empty response", failure=False)

    last_question = ""
    for turn in turns[:last_answer]:
        if turn.role == "user":
            last_question = turn.text
    if not last_question.strip():
        raise UnusableRow("empty instruction", failure=False)
    answered = turns[: last_answer + 1]
    return tuple(turn for turn in answered if turn.text.strip())


def _read_messages(
    row: Row,
    shape: RowLayout,
    roles: Roles,
) -> list[Turn]:
    """The turns of a conversation; one that ends with a question goes on in the column of the
    answer, as files of preferences have it.
    """
    value = row[shape.instruction]
    messages = list_messages(value, roles)
    _refuse_odd_texts(messages)
    turns = read_conversation(messages, roles)
    if turns:
        asked = "\n".join(turn.text for turn in turns if turn.role != "assistant")
        refuse_hidden_choices(row, shape, asked, turns[-1].text)
    if not shape.response or not turns:
        return turns
    if shape.is_preference:
        turns = _drop_last_answer(turns)
    elif turns[-1].role == "assistant" or is_blank(row[shape.response]):
        return turns
    response = find_answer(row, shape.response).value
    if isinstance(value, str):
        response = _decode_messages(response)
    question = turns[-1].text if turns else ""
    answer = _read_answer(response, shape.response, roles, question)
    return answer if _is_whole(answer) else turns + answer


def _refuse_odd_texts(messages: Sequence[Any]) -> None:
    """Raise `UnusableRow` for alternating texts of an odd number: the first may be the system's, or
    the last a question without an answer.
    """
    n_texts = len(messages)
    is_odd = n_texts > 1 and n_texts % 2 == 1
    is_odd = is_odd and not split_named_texts(messages)
    if is_odd and all(isinstance(text, str) for text in messages):
        raise UnusableRow(
            "a list of an odd number of texts does not say who speaks: "
            "write its messages as {role, content}",
            failure=False,
        )


def _read_exchange(
    row: Row,
    shape: RowLayout,
    roles: Roles,
) -> list[Turn]:
    """Question and answer from columns.

    Either column may hold messages, as in TRL's `prompt` and `completion`, or `chosen`.
    """
    instruction = unfold_messages(row[shape.instruction])
    response = find_answer(row, shape.response).value
    if isinstance(instruction, Mapping) and is_message_list(
        instruction.get("messages")
    ):
        # OpenAI's preferences: {messages, tools}.
        instruction = instruction["messages"]
    decoded = _decode_messages(instruction)
    # Where both are JSON, it is that of a table: nobody asks in messages and is answered in them.
    if decoded is not instruction and _decode_messages(response) is not response:
        instruction = decoded
        response = _decode_messages(response)
    if is_message_list(instruction):
        answer = _read_answer(response, shape.response, roles)
        if _is_whole(answer):
            return answer
        before = read_conversation(instruction, roles)
        if shape.is_preference:
            before = _drop_last_answer(before)
        return before + answer

    question = _read_whole_question(row, shape, instruction)
    answer = _read_answer(response, shape.response, roles, question)
    if _is_whole(answer):
        # The column of the answer holds the whole conversation, including its question.
        return answer
    refuse_hidden_choices(row, shape, question, answer[-1].text if answer else "")
    if shape.reasoning:
        answer = _add_reasoning(row, shape, answer)
    dialogue = _read_open_dialogue(question)
    if dialogue:
        return [*dialogue, *answer]
    return [Turn("user", question), *answer]


def _read_whole_question(
    row: Row,
    shape: RowLayout,
    instruction: Any,
) -> str:
    """The instruction, and below it what it is about."""
    question = _read_question(instruction, shape.instruction)
    about = read_input(row, shape)
    return "\n\n".join(text for text in (question, about) if text)


def read_input(row: Row, shape: RowLayout) -> str:
    """What an instruction is about: the input, and questions and contexts beside it, "" without
    them.
    """
    instruction = row[shape.instruction]
    known = instruction if isinstance(instruction, str) else ""
    texts = []
    for column in shape.more:
        text = row[column]
        # Many files have the question within the instruction, too.
        if isinstance(text, str) and text.strip() not in known:
            texts.append(text)
    if shape.input:
        texts.append(cell_to_text(row[shape.input], shape.input))
    given = dict.fromkeys(text for text in texts if not says_nothing(text))
    return "\n\n".join(given)


def _drop_last_answer(turns: Sequence[Turn]) -> list[Turn]:
    """The turns up to the last question."""
    n_kept = len(turns)
    while n_kept and turns[n_kept - 1].role == "assistant":
        n_kept -= 1
    return list(turns[:n_kept])


def _add_reasoning(
    row: Row,
    shape: RowLayout,
    answer: Sequence[Turn],
) -> list[Turn]:
    """The answer after what leads to it."""
    *before, last = answer
    reasoning = cell_to_text(row[shape.reasoning], shape.reasoning)
    if says_nothing(reasoning) or not last.text.strip():
        return list(answer)
    return [*before, Turn(last.role, f"{reasoning}\n\n{last.text}")]


def _read_open_dialogue(question: str) -> list[Turn]:
    """The turns of a dialogue that breaks off after the mark of the assistant, or none.

    A single question between marks is a prompt template, which is set aside elsewhere.
    """
    if not question.rstrip().endswith(OPEN_ENDS):
        return []
    dialogue = split_transcript(question)
    if dialogue is None or dialogue[-1] != ("assistant", ""):
        return []
    roles = [role for role, _ in dialogue]
    n_answers = roles.count("assistant")
    if n_answers == 1 and not question.startswith(HH_START):
        return []
    # All but the mark that it breaks off with.
    answered = dialogue[:-1]
    messages = [{"role": role, "content": text} for role, text in answered]
    return read_conversation(messages)


def _read_system(value: Any, column: str) -> str:
    """The text of the system, which may be a message without a use for its role."""
    if is_empty(value):
        return ""
    return content_to_text(value) if is_message(value) else cell_to_text(value, column)


def _read_question(value: Any, column: str) -> str:
    """The text of a question, "" where the cell only says that there is none."""
    while isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, list | tuple) and value:
        n_texts = len(value)
        raise UnusableRow(f"{column} is a list of {n_texts} values, not one text")
    text = cell_to_text(value, column)
    return "" if says_nothing(text) else text


def _read_answer(
    value: Any,
    column: str,
    roles: Roles,
    question: str = "",
) -> list[Turn]:
    """The turns in the column of the answer: the answer alone, or a whole conversation.

    `question` is what has been asked so far.
    """
    if is_blank(value):
        return [Turn("assistant", "")]
    value = unfold_messages(value)
    if isinstance(value, str):
        whole = _read_whole_text(value, roles, question)
        return whole or [Turn("assistant", value)]
    if is_message(value):
        return read_conversation([value], roles)
    if is_message_list(value):
        return read_conversation(value, roles)
    text = cell_to_text(value, column)
    return [Turn("assistant", text)]


def _read_whole_text(
    text: str,
    roles: Roles,
    question: str,
) -> list[Turn]:
    """The turns of an answer that is a whole conversation in one text, or none.

    After a question it is one only if it holds that question: people also ask for the JSON of
    messages, and for dialogues.
    """
    may_be_whole = text.startswith(HH_START) or JSON_START.match(text)
    if not may_be_whole or not holds_messages(text):
        return []
    asked = question.strip()
    turns = read_conversation(text, roles)
    if not asked or text.strip().startswith(asked):
        return turns
    questions = [turn.text.strip() for turn in turns if turn.role == "user"]
    return turns if asked in questions else []


def _decode_messages(value: Any) -> Any:
    """The messages of a text that is their JSON, as tables have them; anything else as it is."""
    if not isinstance(value, str) or not JSON_START.match(value):
        return value
    try:
        decoded = load_json_cell(value, "the conversation")
    except UnusableRow:
        return value
    if is_message(decoded) or is_message_list(decoded):
        return decoded
    return value


def _is_whole(turns: Sequence[Turn]) -> bool:
    """Whether turns hold the question, too."""
    return any(turn.role == "user" for turn in turns)


def _read_instance_turns(
    row: Row,
    shape: RowLayout,
) -> list[Turn]:
    """An instance of a self-instruct task: one input row gives one output row."""
    instance = choose_instance(list_instances(row[shape.response]))
    instruction = cell_to_text(row[shape.instruction], shape.instruction)
    question = join_instruction_and_input(instruction, instance.get("input"), "input")
    output = instance.get("output")
    answer = "" if is_blank(output) else cell_to_text(output, "output")
    return [
        Turn("user", question),
        Turn("assistant", answer),
    ]


def list_instances(value: Any) -> Any:
    """The instances of a task; tables have them as JSON. Raises `UnusableRow`."""
    if isinstance(value, str) and not is_blank(value):
        return load_json_cell(value, "instances")
    return value


def choose_instance(instances: Any) -> dict[str, Any]:
    """The first instance of a self-instruct task that has an output, or else the first.

    Raises `UnusableRow` where there is none.
    """
    if is_blank(instances):
        raise UnusableRow("no answer of an assistant", failure=False)
    if not isinstance(instances, list):
        raise UnusableRow("instances is not a list of objects")
    if not all(isinstance(instance, dict) for instance in instances):
        raise UnusableRow("instances is not a list of objects")
    if not instances:
        raise UnusableRow("no answer of an assistant", failure=False)
    answered = [item for item in instances if not is_blank(item.get("output"))]
    chosen: dict[str, Any] = (answered or instances)[0]
    return chosen


def _read_history(history: Any, roles: Roles) -> list[Turn]:
    """The turns of `history`: pairs of question and answer, messages, or alternating texts."""
    if is_empty(history):
        return []
    if isinstance(history, str):
        history = load_json_cell(history, "history")
    history = unfold_messages(history)
    if not isinstance(history, list | tuple):
        raise UnusableRow("history is not a list")
    is_all_objects = all(isinstance(message, dict) for message in history)
    if is_all_objects or is_list_of_named_texts(history, roles):
        return read_conversation(history, roles)
    is_alternating = all(isinstance(text, str) for text in history)
    if is_alternating and len(history) % 2 == 0:
        return read_conversation(history, roles)
    turns: list[Turn] = []
    for pair in history:
        is_pair = isinstance(pair, list | tuple) and len(pair) == 2
        if not is_pair:
            raise UnusableRow("history is not a list of pairs")
        question = cell_to_text(pair[0], "history")
        answer = cell_to_text(pair[1], "history")
        turns += [
            Turn("user", question),
            Turn("assistant", answer),
        ]
    return turns
