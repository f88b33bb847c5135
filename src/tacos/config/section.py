"""What the settings of every stage have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.fields import FieldInfo

PERCENT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*", re.ASCII)
"""A share as the summaries print it."""
NUMBERS = frozenset({int, float})


class SettingsSection(BaseModel):
    """Settings of one stage: frozen, and closed to unknown keys.

    The docstring under a setting is its description, which `tacos settings` prints.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _read_numbers(cls, values: Any) -> Any:
        """Shares may be given as they are printed, 45% for 0.45; true is no number."""
        if not isinstance(values, Mapping):
            return values
        read = dict(values)
        for name, field in cls.model_fields.items():
            value = values.get(name)
            kinds = list_kinds(field)
            # Else true would be read as 1.
            if isinstance(value, bool) and bool not in kinds and NUMBERS & kinds:
                raise ValueError(f"{name} must be a number, not {str(value).lower()}")
            form = PERCENT.fullmatch(str(value))
            if form is not None and float in kinds and find_bounds(field)[1] == 1:
                read[name] = float(form[1]) / 100
        return read


def list_kinds(field: FieldInfo) -> set[Any]:
    """The types that a setting may have, those of a union one by one."""
    kinds = {field.annotation}
    for part in get_args(field.annotation):
        kinds.add(part)
        # The bounds of one part stand beside its type.
        kinds.update(kind for kind in get_args(part) if isinstance(kind, type))
    return kinds


def find_bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    """The least and the largest value of a setting, both included; None where there is none."""
    bounds = list(field.metadata)
    for part in get_args(field.annotation):
        for detail in get_args(part):
            bounds += getattr(detail, "metadata", [])
    least: list[Any] = [bound.ge for bound in bounds if isinstance(bound, Ge)]
    largest: list[Any] = [bound.le for bound in bounds if isinstance(bound, Le)]
    return next(iter(least), None), next(iter(largest), None)
