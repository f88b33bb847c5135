"""What the settings of every stage have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class SettingsSection(BaseModel):
    """Settings of one stage: frozen, and closed to unknown keys.

    The docstring under a setting is its description, which `tacos settings` prints.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )
