"""What the settings of every stage have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class SettingsSection(BaseModel):
    """Settings of one stage: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
