"""What was taken of each row, for the summary: its columns, who spoke, and what was left.

A note is a text such as "columns: question -> answer", "role: gpt as assistant" or "not read:
explanation"; a run counts the rows with each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from tacos.config import IngestSettings
from tacos.methods.samples.answers import (
    FoundAnswer,
    find_answer,
    is_list_in_text,
)
from tacos.methods.samples.messages import ends_with_question, list_speakers
from tacos.methods.samples.table_layout import RowLayout
from tacos.methods.samples.unread_columns import list_unread_columns

COLUMNS = "columns: "
ROLE = "role: "
FIRST_ANSWER = "first of several answers: "
BEST_ANSWER = "best of several answers: "
LIST_ANSWER = "list in one text: "
NOT_READ = "not read: "
N_NOT_READ = 8
"""Columns that were not read and are named."""
KINDS = {
    "columns": COLUMNS,
    "roles": ROLE,
    "first_answers": FIRST_ANSWER,
    "best_answers": BEST_ANSWER,
    "list_answers": LIST_ANSWER,
    "not_read": NOT_READ,
}
"""Kind of note -> how its notes begin."""
ANSWER_TEXTS = {
    "first_answers": "the first of several answers in {}",
    "best_answers": "the best of several answers in {}",
    "list_answers": "lists in {} that are one text, read as one answer",
}
"""Kind of note on answers -> how it is told."""


def list_reading_notes(
    row: Mapping[str, Any],
    layout: RowLayout,
    settings: IngestSettings,
) -> list[str]:
    """The notes on one row that was read."""
    columns = describe_layout(layout)
    notes = []
    answer = None
    if layout.format == "conversation":
        messages = row[layout.instruction]
        speakers = list_speakers(messages, settings.roles)
        notes += [f"{ROLE}{speaker} as {role}" for speaker, role in speakers.items()]
        # The answer of a preference stands in a column of its own.
        is_open = layout.response and ends_with_question(messages, settings.roles)
        if is_open or layout.is_preference:
            columns += f" -> {layout.response}"
            answer = find_answer(row, layout.response)
        else:
            layout = layout._replace(response="")
    elif layout.format == "columns":
        answer = find_answer(row, layout.response)
    if answer is not None:
        notes += _list_answer_notes(answer, layout.response)
    unread = list_unread_columns(row, layout, answer, settings)
    notes += [NOT_READ + column for column in unread]
    return [COLUMNS + columns, *notes]


def _list_answer_notes(found: FoundAnswer, column: str) -> list[str]:
    """Which of several answers was taken."""
    if found.rated_by:
        return [f"{BEST_ANSWER}{column} by {found.rated_by}"]
    if found.n_answers > 1:
        return [FIRST_ANSWER + column]
    if is_list_in_text(found.value):
        return [LIST_ANSWER + column]
    return []


def describe_unread(grouped: Mapping[str, Mapping[str, int]]) -> str:
    """The columns that were not read, most rows first; "" if there are none.

    >>> describe_unread({"not_read": {"labels": 3, "explanation": 2}})
    'labels, explanation'
    """
    names = list(grouped.get("not_read", {}))
    n_more = len(names) - N_NOT_READ
    shown = ", ".join(names[:N_NOT_READ])
    return f"{shown} and {n_more:,} more" if n_more > 0 else shown


def group_notes(notes: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Kind -> what was taken -> rows, from the counted notes of a stage; most rows first.

    >>> group_notes({"columns: q -> a": 3, "role: gpt as assistant": 1})
    {'columns': {'q -> a': 3}, 'roles': {'gpt as assistant': 1}}
    """
    grouped = {}
    for kind, start in KINDS.items():
        counts = dict(_iterate_kind(notes, start))
        # A kind without a note has no place in the summary.
        if counts:
            grouped[kind] = counts
    return grouped


def describe_answers(grouped: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """What was taken of several answers, in words -> rows, from the groups of `group_notes`.

    >>> describe_answers({"best_answers": {"answers by rank": 3}})
    {'the best of several answers in answers by rank': 3}
    """
    described = {}
    for kind, text in ANSWER_TEXTS.items():
        for name, count in grouped.get(kind, {}).items():
            described[text.format(name)] = count
    return described


@lru_cache(maxsize=1024)
def describe_layout(layout: RowLayout) -> str:
    """The columns that a layout takes.

    >>> describe_layout(RowLayout("columns", "question", response="answer"))
    'question -> answer'
    """
    before = [
        layout.system,
        layout.history,
        layout.instruction,
        *layout.more,
        layout.input,
    ]
    named = [name for name in before if name]
    text = " + ".join(named)
    if layout.format == "conversation" or not layout.response:
        return text
    answer = layout.response
    if layout.reasoning:
        answer = f"{layout.reasoning} + {answer}"
    return f"{text} -> {answer}"


def _iterate_kind(notes: Mapping[str, Any], start: str) -> Iterator[tuple[str, int]]:
    """What was taken, and how often, of one kind of note."""
    most_first = sorted(notes.items(), key=lambda note: (-note[1], note[0]))
    for note, count in most_first:
        if note.startswith(start):
            yield note.removeprefix(start), count
