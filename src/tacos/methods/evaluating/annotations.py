"""Preferences between a model's outputs and a baseline's, whoever gave them. Pure.

A row of AlpacaEval's `annotations.json` has `instruction`, `generator_1` and `output_1` (the
baseline's), `generator_2` and `output_2` (the model's) and a `preference` from 1 (the baseline) to
2 (the model); 0 is a tie, null a reply that nobody could read. A compact row has `model`,
`instruction_sha1`, `len_1` and `len_2` in place of the texts. Rows that tacos wrote have the
preference of each order, too (`preference_ab`, `preference_ba`), and `flip` and `weighed`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

N_HASH = 12
"""Hex digits of an instruction's hash."""
LONGEST = 10**9
"""Characters that an output has at most."""
TIE = 0
"""As AlpacaEval writes a tie between 1 and 2."""


class UnusableAnnotation(ValueError):
    """Why a row is no preference."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """The preference between two outputs to one instruction."""

    model: str
    baseline: str
    instruction: str
    """Its hash."""
    preference: float | None
    """For the model, from 0 to 1; None where it is missing."""
    length: int
    """Characters of the model's output."""
    baseline_length: int
    judge: str = "not noted"
    is_flip: bool | None = None
    """Whether the two orders chose different outputs; None where one order was asked."""
    is_weighed: bool | None = None
    """Whether it is of log-probabilities; None where that is not known."""


def hash_instruction(instruction: str) -> str:
    """The hash by which instructions are matched: their order in a file says nothing.

    >>> hash_instruction("Say hello.")
    '93b2b9ee28e9'
    """
    return hashlib.sha1(instruction.encode(), usedforsecurity=False).hexdigest()[
        :N_HASH
    ]


def is_length(value: Any) -> TypeGuard[int | float]:
    """Whether a value is a number of characters; programs that know no integers write 20.0.

    >>> [is_length(value) for value in (20, 20.0, 20.5, -1, True, "20", 10**30)]
    [True, True, False, False, False, False, False]
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value <= LONGEST and value == int(value)


def parse_annotation(row: Mapping[str, Any]) -> Annotation:
    """The preference in a row of AlpacaEval's.

    Raises:
        UnusableAnnotation: The row is none.
    """
    model = row.get("model") or row.get("generator_2")
    if model is None or "preference" not in row:
        raise UnusableAnnotation("it lacks generator_2 or preference")
    return Annotation(
        model=str(model),
        baseline=str(row.get("generator_1") or "not noted"),
        instruction=_read_instruction(row),
        preference=_read_preference(row["preference"]),
        length=_read_length(row, "2"),
        baseline_length=_read_length(row, "1"),
        judge=str(row.get("annotator") or "not noted"),
        is_flip=_read_flag(row.get("flip")),
        is_weighed=_read_flag(row.get("weighed")),
    )


def _read_instruction(row: Mapping[str, Any]) -> str:
    """The hash of the instruction."""
    known = row.get("instruction_sha1")
    if isinstance(known, str) and len(known) >= N_HASH:
        return known[:N_HASH]
    text = row.get("instruction")
    if not isinstance(text, str):
        raise UnusableAnnotation("it lacks instruction")
    return hash_instruction(text)


def _read_length(row: Mapping[str, Any], number: str) -> int:
    """Characters of an output."""
    known = row.get(f"len_{number}")
    if is_length(known):
        return int(known)
    if known is not None:
        raise UnusableAnnotation(f"len_{number} is {known!r}, no number of characters")
    text = row.get(f"output_{number}")
    if not isinstance(text, str):
        raise UnusableAnnotation(f"it lacks output_{number}")
    return len(text)


def _read_preference(value: Any) -> float | None:
    """The preference for the model, from 0 to 1; None for a missing one."""
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise UnusableAnnotation(f"preference is {value!r}, not a number from 1 to 2")
    if math.isnan(value):
        return None
    if value == TIE:
        return 0.5
    if not 1 <= value <= 2:
        raise UnusableAnnotation(f"preference is {value}, not from 1 to 2")
    return float(value) - 1


def _read_flag(value: Any) -> bool | None:
    """A flag; None where it is not known."""
    return value if isinstance(value, bool) else None
