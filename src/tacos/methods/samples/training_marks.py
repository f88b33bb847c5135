"""What a row says about whether its answers are trained on: weights and masks of messages, labels
of rows (KTO), verdicts about a row's only answer, and weights of rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from tacos.config import IngestSettings
from tacos.methods.samples.cells import UnusableRow, is_empty
from tacos.methods.samples.column_names import (
    find_first_column,
    list_found_columns,
    normalise_name,
)
from tacos.methods.samples.table_layout import RowLayout

Message = Mapping[str, Any]

WEIGHTS = frozenset(
    {
        "weight",
        "loss_weight",
        "loss_mask",
        "loss_scale",
        "train",
        "training",
        "trainable",
        "train_on_turn",
        "calculate_loss",
        "learn",
        "output_with_loss",
    }
)
"""Fields of a message that say whether it is trained on: 0 and false mean no."""
LOSS = "loss"
"""As a flag or a whole number, a weight; as another number, what some model's loss was."""
MASKS = frozenset(
    {
        "mask",
        "masked",
        "no_loss",
        "ignore",
    }
)
"""Fields of a message that is left out of training if they are true or 1."""
FLAGS = {
    "true": True,
    "yes": True,
    "on": True,
    "false": False,
    "no": False,
    "off": False,
}
WHOLE = re.compile(r"-?\d+")
LABEL = "label"
"""Of KTO, whether the answer of a row is a good one; elsewhere, a class of any kind."""
KTO_LABELS = (
    "kto_tag",
    "kto_label",
)
VERDICTS = (
    "accepted",
    "is_accepted",
    "isaccepted",
    "correct",
    "is_correct",
    "iscorrect",
    "answer_is_correct",
    "answer_correct",
)
"""Flags that say whether the answer of a row is a good one, where the row has no other answer."""
OTHER_ANSWERS = re.compile(
    r"predict(ed|ion)s?|generat(ed|ion)s?|completions?|candidates?|hypothes[ie]s|attempts?"
    r"|outputs?|responses?|answers?|solutions?"
)
"""Words of the names of what a verdict may be about instead."""
ROW_WEIGHTS = (
    "weight",
    "sample_weight",
    "loss_weight",
)
"""Of a row: 0 means that it is not trained on."""
BAD = (
    "false",
    "0",
)
"""What the label of a bad answer is."""


def is_trained(message: Message) -> bool:
    """Whether a message is trained on, as far as it says so.

    >>> marks = ({"weight": "0"}, {"Loss_Mask": 0}, {"masked": True}, {"loss": 0.0})
    >>> [is_trained(mark) for mark in marks]
    [False, False, False, True]
    """
    for field, name in _list_marks(tuple(message)):
        value = _read_flag(message[field])
        if name in WEIGHTS and isinstance(value, int | float | Decimal) and value <= 0:
            return False
        if name == LOSS and isinstance(value, int) and value <= 0:
            return False
        if name in MASKS and isinstance(value, int) and value == 1:
            return False
    return True


def refuse_bad_answer(
    row: Mapping[str, Any],
    layout: RowLayout,
    settings: IngestSettings,
) -> None:
    """Raise `UnusableRow`, which is no failure, if a row's label says that its answer is bad, or
    its weight that it is not trained on.
    """
    for column in list_row_weights(row, layout):
        if column in _list_mapped(settings):
            continue
        if _read_flag(row[column]) == 0:
            raise UnusableRow(f"not to be trained on: {column} is 0", failure=False)
    # The worse answers are asked for.
    if settings.preference == "rejected":
        return
    labels = (*list_kto_labels(row, layout), *list_verdicts(row, layout))
    for column in labels:
        # A column that has another meaning by the settings is no label.
        if column in _list_mapped(settings):
            continue
        if str(row[column]).strip().lower() in BAD:
            raise UnusableRow(f"a bad answer: {column} is false", failure=False)


def list_kto_labels(row: Mapping[str, Any], layout: RowLayout) -> tuple[str, ...]:
    """The columns that say whether the answer is a good one.

    TRL has them beside prompt and completion, LLaMA-Factory as a flag beside a conversation.
    """
    columns = tuple(row)
    named = list_found_columns(KTO_LABELS, columns)
    label = find_first_column((LABEL,), columns)
    if not label:
        return named
    names = (normalise_name(layout.instruction), normalise_name(layout.response))
    is_flag = str(row[label]).strip().lower() in ("true", "false")
    is_talk = layout.format == "conversation" and is_flag
    is_kto = names == ("prompt", "completion") or is_talk
    return (*named, label) if is_kto else named


def list_verdicts(row: Mapping[str, Any], layout: RowLayout) -> tuple[str, ...]:
    """The flags that say whether the answer that is read is a good one.

    A row that has another answer as well, such as a prediction beside the true one, does not say
    which of them is meant.

    >>> layout = RowLayout("columns", "question", response="answer")
    >>> list_verdicts({"question": "1 + 1?", "answer": "3", "is_correct": False}, layout)
    ('is_correct',)
    >>> list_verdicts({"question": "?", "answer": "2", "prediction": "3", "correct": False}, layout)
    ()
    """
    columns = tuple(row)
    named = [
        column
        for column in list_found_columns(VERDICTS, columns)
        if column not in _list_read(layout) and _is_flag(row[column])
    ]
    if not named:
        return ()
    others = (
        column for column in columns if column not in (*_list_read(layout), *named)
    )
    for column in others:
        words = re.split(r"[^a-z]+", normalise_name(column))
        if any(OTHER_ANSWERS.fullmatch(word) for word in words) and not is_empty(
            row[column]
        ):
            return ()
    return tuple(named)


def list_row_weights(row: Mapping[str, Any], layout: RowLayout) -> tuple[str, ...]:
    """The columns that say how much the row counts in training."""
    named = list_found_columns(ROW_WEIGHTS, tuple(row))
    return tuple(
        column
        for column in named
        if column not in _list_read(layout) and _is_number(_read_flag(row[column]))
    )


def _list_read(layout: RowLayout) -> tuple[str, ...]:
    """The columns of question and answer."""
    return (layout.instruction, layout.input, layout.response, layout.system)


def _list_mapped(settings: IngestSettings) -> tuple[str, ...]:
    """The columns that have another meaning by the settings."""
    return (settings.response, settings.tags, settings.score)


def _is_number(value: Any) -> bool:
    """Whether a value is a number; true and false are none."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _is_flag(value: Any) -> bool:
    """Whether a value is true or false, or the text of one."""
    return str(value).strip().lower() in ("true", "false")


def _read_flag(value: Any) -> Any:
    """A value, or what its text says: CSV files have "0" and "False"."""
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    if text in FLAGS:
        return FLAGS[text]
    if WHOLE.fullmatch(text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return None


@lru_cache(maxsize=1024)
def _list_marks(fields: tuple[Any, ...]) -> tuple[tuple[Any, str], ...]:
    """Field and compared name of each mark; cached, as messages repeat fields."""
    names = ((field, normalise_name(field)) for field in fields)
    known = WEIGHTS | MASKS | {LOSS}
    return tuple((field, name) for field, name in names if name in known)
