"""What was taken of each row, for the summary: its columns, and who spoke.

A note is a text such as "columns: question -> answer" or "role: gpt as assistant"; a run counts
the rows with each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from tacos.methods.samples.messages import ends_with_question, list_speakers
from tacos.methods.samples.roles import Roles
from tacos.methods.samples.row_layout import RowLayout

COLUMNS = "columns: "
ROLE = "role: "
FIRST_ANSWER = "first of several answers: "
KINDS = {
    "columns": COLUMNS,
    "roles": ROLE,
    "first_answers": FIRST_ANSWER,
}
"""Kind of note -> how its notes begin."""


def list_reading_notes(
    row: Mapping[str, Any],
    layout: RowLayout,
    roles: Roles,
) -> list[str]:
    """The notes on one row that was read."""
    columns = describe_layout(layout)
    notes = []
    if layout.format == "conversation":
        messages = row[layout.instruction]
        speakers = list_speakers(messages, roles)
        notes += [f"{ROLE}{speaker} as {role}" for speaker, role in speakers.items()]
        # The answer of a preference stands in a column of its own.
        if layout.response and ends_with_question(messages, roles):
            columns += f" -> {layout.response}"
    elif layout.format == "columns":
        answers = row[layout.response]
        # Messages and parts are objects; several answers are texts.
        if (
            isinstance(answers, list)
            and len(answers) > 1
            and isinstance(answers[0], str)
        ):
            notes.append(FIRST_ANSWER + layout.response)
    return [COLUMNS + columns, *notes]


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
        layout.input,
    ]
    named = [name for name in before if name]
    text = " + ".join(named)
    if layout.format == "conversation" or not layout.response:
        return text
    return f"{text} -> {layout.response}"


def _iterate_kind(notes: Mapping[str, Any], start: str) -> Iterator[tuple[str, int]]:
    """What was taken, and how often, of one kind of note."""
    most_first = sorted(notes.items(), key=lambda note: (-note[1], note[0]))
    for note, count in most_first:
        if note.startswith(start):
            yield note.removeprefix(start), count
