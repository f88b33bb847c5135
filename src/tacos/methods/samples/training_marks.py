"""What a row says about whether its answers are trained on: weights and masks of messages, labels
of rows (KTO).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from tacos.config import IngestSettings
from tacos.methods.samples.cells import UnusableRow
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
    """Raise `UnusableRow`, which is no failure, if a row's label says that its answer is bad."""
    # The worse answers are asked for.
    if settings.preference == "rejected":
        return
    for column in list_kto_labels(row, layout):
        # A column that has another meaning by the settings is no label.
        if column in (settings.response, settings.tags, settings.score):
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
