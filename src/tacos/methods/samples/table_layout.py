"""How a row is read, and the layout of rows whose question and answer have columns of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from tacos.methods.samples.column_names import (
    CONTEXTS,
    COUPLES,
    DEFINITIONS,
    EXPLANATIONS,
    FINAL_ANSWERS,
    GENERAL_INSTRUCTIONS,
    HISTORIES,
    INSTRUCTIONS,
    QUESTIONS,
    REASONINGS,
    RESPONSES,
    SYSTEMS,
    Columns,
    find_first_column,
    list_found_columns,
    normalise_name,
)

Row = Mapping[str, Any]


BARE_ANSWERS = (
    *FINAL_ANSWERS,
    "response",
    "output",
)
"""Columns whose answer may need what leads to it."""


class RowLayout(NamedTuple):
    """How to read a row, and the columns that matter ("" for none).

    In a conversation, `instruction` is the column of the messages, and `response` one whose answer
    follows where the messages end with a question. In the self-instruct format, `response` is the
    column of the instances; in a tree, `instruction` that of the first message.
    """

    format: Literal["conversation", "self-instruct", "columns", "tree"]
    instruction: str
    input: str = ""
    response: str = ""
    system: str = ""
    history: str = ""
    more: Columns = ()
    """Columns of texts that an instruction is about, beside `input`."""
    reasoning: str = ""
    """What leads to the answer and stands before it."""
    is_preference: bool = False
    """Whether the response is the answer whatever else answers the question."""


def choose_table_layout(
    columns: Columns,
    format: str,
    instruction: str,
    input: str,
    response: str,
    system: str,
) -> RowLayout | None:
    """The layout of rows with question and answer in columns of their own, if the columns fit."""
    system = system or find_first_column(SYSTEMS, columns)
    question = instruction or find_first_column(INSTRUCTIONS, columns)

    instances = find_first_column(("instances",), columns)
    may_be_self_instruct = format in ("auto", "self-instruct")
    if may_be_self_instruct and question and instances and not response:
        return RowLayout(
            "self-instruct",
            question,
            response=instances,
            system=system,
        )

    # The usual names have failed: couples of names, then `input` as the question.
    answer = response
    if not question and not response:
        question, answer = _find_couple(columns)
    if not question:
        question = find_first_column(("input",), columns, (input,))
    if not answer:
        answer = find_first_column(RESPONSES, columns, (question, input))
    if not question or not answer or format == "self-instruct":
        return None
    contexts = _list_contexts(question)
    context = input or find_first_column(contexts, columns, (question, answer))
    more: Columns = ()
    # What is named by a setting is whole.
    if not instruction and not input:
        more = _list_more(columns, question, answer, context)
    reasoning = ""
    if not response and normalise_name(answer) in BARE_ANSWERS:
        names = (*REASONINGS, *EXPLANATIONS)
        reasoning = find_first_column(names, columns)
    return RowLayout(
        "columns",
        question,
        input=context,
        response=answer,
        system=system,
        history=find_first_column(HISTORIES, columns),
        more=more,
        reasoning=reasoning,
    )


def _list_contexts(question: str) -> Columns:
    """The names of what a question may be about."""
    is_definition = normalise_name(question) in DEFINITIONS
    return (*CONTEXTS, "inputs") if is_definition else CONTEXTS


def _list_more(
    columns: Columns,
    question: str,
    answer: str,
    context: str,
) -> Columns:
    """The columns that belong to a question beside its context: others, and what a general
    instruction is to be done with.
    """
    names = _list_contexts(question)
    if normalise_name(question) in GENERAL_INSTRUCTIONS:
        names = (*QUESTIONS, "prompt", *names)
    elif normalise_name(question) == "prompt":
        names = ("question", *names)
    found = list_found_columns(names, columns)
    used = (question, answer, context)
    return tuple(name for name in found if name not in used)


def _find_couple(columns: Columns) -> tuple[str, str]:
    """Question and answer columns from `COUPLES`, or ("", "")."""
    usual = find_first_column(("input",), columns)
    for names in COUPLES:
        # Beside an input, `source` names where the row is from.
        if usual and names == ("source", "target"):
            continue
        question, answer = (find_first_column((name,), columns) for name in names)
        if question and answer:
            return question, answer
    return "", ""
