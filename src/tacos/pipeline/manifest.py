"""What each artifact says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Manifest:
    """The fields of `manifest.json`, apart from those that the store adds (rows, digest)."""

    stage: str
    version: int
    round: int | None
    key: str
    settings: Mapping[str, Any]
    """Those that are part of the key."""
    prompt: str | None = None
    """The hash of the prompt template, for stages that have one."""
    model: str | None = None
    fingerprint: str | None = None
    """That of the model, which its name may not tell: a folder keeps its name."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Table that was read -> its digest."""
    rejects: Mapping[str, int] = field(default_factory=dict)
    """Reason -> rows, the most frequent reasons first."""
    n_rejects: int = 0
    n_failures: int = 0
    """Rejects that count towards the failure rate."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    duration_s: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON, in the order of the fields."""
        return dict(vars(self))
