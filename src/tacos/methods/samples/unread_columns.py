"""Which columns of a row were not read although they may matter: texts, choices, ratings, flags.

No list of names holds every data set's, so what was left is named, and a wrong guess is seen at
once. Ids, sources, categories and plain numbers are left out of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from tacos.config import IngestSettings
from tacos.methods.samples.answers import FoundAnswer
from tacos.methods.samples.cells import is_empty
from tacos.methods.samples.column_names import (
    CHOSEN_ANSWERS,
    REJECTED,
    normalise_name,
)
from tacos.methods.samples.table_layout import RowLayout
from tacos.methods.samples.training_marks import (
    list_kto_labels,
    list_row_weights,
    list_verdicts,
)

Row = Mapping[str, Any]

MAX_NAME = 40
"""Characters of a column's name that are shown."""
MIN_TEXT = 20
"""Characters of the shortest text that counts as one by itself; shorter ones are often values of
a list, such as the name of a place.
"""
TELLING = re.compile(
    r"(answer|response|output|completion|generation|candidate|solution|target"
    r"|chosen|reject(ed)?|accepted|(dis)?preferred|preference|winner|loser|better|worse|best"
    r"|positive|negative|label|score|rating|rank|reward|quality|correct|correctness"
    r"|feedback|critique|weight|mask|option|op[a-f]|choice|ending"
    r"|explanation|reasoning|rationale|thought|thinking|step|cot|exp|hint"
    r"|question|prompt|instruction|context|passage|input|history|system|message|conversation)s?"
)
"""Words of a name whose column is named whatever it holds."""
PLAIN = re.compile(
    r"(id|uuid|uid|key|hash|sha|source|src|url|uri|link|lang|language|locale|country"
    r"|category|categories|topic|subject|domain|subset|dataset|split|level|difficulty"
    r"|licen[sc]e|date|time|timestamp|created|updated|model|version|file|filename|path"
    r"|author|user|username|token|length|len|count|index|idx|number|num|type|kind|name|tag"
    r"|meta|metadata|info|config|parameter|tool|image|audio|video|embedding)s?"
)
"""Last words of the names of what says something about a row."""
COUNTED = frozenset({"num", "n", "count", "number", "len", "length"})
"""First words of such names."""
WORDS = re.compile(r"[^\W\d_]+")
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def list_unread_columns(
    row: Row,
    layout: RowLayout,
    answer: FoundAnswer | None,
    settings: IngestSettings,
) -> list[str]:
    """The columns that were not read and hold text, choices, ratings or flags, in their order.

    >>> row = {"id": "a 1", "question": "1 + 1?", "answer": "2", "labels": [0, 1]}
    >>> layout = RowLayout("columns", "question", response="answer")
    >>> list_unread_columns(row, layout, None, IngestSettings())
    ['labels']
    """
    # A tree is spread over the row.
    if layout.format == "tree":
        return []
    used = (
        *_list_used_columns(layout, settings),
        *list_kto_labels(row, layout),
        *list_verdicts(row, layout),
        *list_row_weights(row, layout),
    )
    rated_by = answer.rated_by if answer is not None else ""
    sides = (*CHOSEN_ANSWERS, *REJECTED)
    read = (layout.instruction, layout.response)
    is_pair = any(normalise_name(column) in sides for column in read)
    found = []
    for column, is_telling in _list_other_columns(tuple(row), used, is_pair):
        value = row[column]
        if column == rated_by or is_empty(value):
            continue
        if is_telling or _may_matter(value):
            found.append(str(column)[:MAX_NAME])
    return found


def _list_used_columns(layout: RowLayout, settings: IngestSettings) -> tuple[str, ...]:
    """What the layout and the settings take."""
    named = (
        layout.instruction,
        layout.input,
        layout.response,
        layout.system,
        layout.history,
        layout.reasoning,
        *layout.more,
        settings.tags,
        settings.score,
    )
    return tuple(name for name in named if name)


@lru_cache(maxsize=1024)
def _list_other_columns(
    columns: tuple[str, ...],
    used: tuple[str, ...],
    is_pair: bool,
) -> tuple[tuple[str, bool], ...]:
    """The other columns, and whether the name alone says that one matters; cached, as rows repeat
    columns.
    """
    taken = {*used, *(path.split(".")[0] for path in used)}
    found = []
    for column in columns:
        # Of a preference, the other side is left out on purpose.
        is_side = is_pair and normalise_name(column) in (*CHOSEN_ANSWERS, *REJECTED)
        if column in taken or is_side:
            continue
        split = CAMEL.sub("_", str(column))
        words = WORDS.findall(f"{column} {split}".lower())
        if not _is_plain(words):
            found.append((column, any(map(TELLING.fullmatch, words))))
    return tuple(found)


def _is_plain(words: Collection[str]) -> bool:
    """Whether a name of these words is that of an id, a source, a number of something."""
    first, *_ = *words, ""
    *_, last = "", *words
    is_count = first in COUNTED and len(words) > 1
    return is_count or PLAIN.fullmatch(last) is not None


def _may_matter(value: Any) -> bool:
    """Whether a value is a text, a flag, or a list."""
    if isinstance(value, str):
        is_spaced = " " in value.strip() or not value.isascii()
        return len(value) >= MIN_TEXT and is_spaced
    return isinstance(value, bool | list | tuple)
