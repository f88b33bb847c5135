"""What a row says about whether its answers are trained on: weights and masks of messages, labels
of rows (KTO).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from tacos.config import IngestSettings
from tacos.methods.samples.cells import UnusableRow
from tacos.methods.samples.column_names import list_found_columns, normalise_name

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
        "output_with_loss",
    }
)
"""Fields of a message that say whether it is trained on: 0 and false mean no."""
LOSS = "loss"
"""As a flag, a weight; as a number, what some model's loss was."""
MASKS = frozenset(
    {
        "mask",
        "masked",
    }
)
"""Fields of a message that is left out of training if they are true."""
LABELS = (
    "label",
    "kto_tag",
    "kto_label",
)
"""Columns that say whether the answer of a row is a good one: only true and false are read."""


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
        if name == LOSS and value is False:
            return False
        if name in MASKS and value is True:
            return False
    return True


def refuse_bad_answer(
    row: Mapping[str, Any],
    settings: IngestSettings,
) -> None:
    """Raise `UnusableRow`, which is no failure, if a row's label says that its answer is bad."""
    for column in list_found_columns(LABELS, tuple(row)):
        # A column that has another meaning by the settings is no label.
        if column in (settings.response, settings.tags, settings.score):
            continue
        if _read_flag(row[column]) is False:
            raise UnusableRow(f"a bad answer: {column} is false", failure=False)


def _read_flag(value: Any) -> Any:
    """A value, or what its text says: CSV files have "0" and "False"."""
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    if text in ("true", "false"):
        return text == "true"
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
