"""The stage key: what decides whether a stage is up to date or must run again.

It is the canonical hash of the stage's name and version, the settings it uses, its prompt, its
model, and the digests of the artifacts it reads. An artifact is stored under the key of the stage
that made it; a run skips a stage whose key is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tacos import prompts
from tacos.config import Settings
from tacos.pipeline.plan import Step
from tacos.pipeline.stage_shapes import PromptStage, Stage
from tacos.records import canonical_hash
from tacos.store.artifacts import LAYOUT


def compute_stage_key(
    step: Step, settings: Settings, model: Any, tables: Mapping[str, Any]
) -> str:
    """16 hex digits that change with anything that can change the artifact.

    `model` is the stage's model or tool, or None; `tables` are those that the step reads.
    """
    stage = step.stage
    # The order is part of the key: never change it, or every run starts again from nothing.
    parts = [
        LAYOUT,
        stage.name,
        stage.version,
        step.round,
        read_used_settings(stage, settings),
        hash_prompt(stage, settings) or "",
        getattr(model, "fingerprint", ""),
        collect_digests(tables),
    ]
    return canonical_hash(parts)[:16]


def read_used_settings(stage: Stage, settings: Settings) -> dict[str, Any]:
    """The settings that a stage uses, by full name: single values or whole sections."""
    return {name: _read_setting(settings, name) for name in stage.uses}


def _read_setting(settings: Settings, name: str) -> Any:
    """The value of a setting by its full name, or a whole section."""
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def hash_prompt(stage: Stage, settings: Settings) -> str | None:
    """The hash of a stage's prompt template, if it has one."""
    if not isinstance(stage, PromptStage):
        return None
    return prompts.hash_template(stage.choose_template(settings))


def collect_digests(tables: Mapping[str, Any]) -> dict[str, str]:
    """Name -> digest of each table."""
    return {name: table.digest for name, table in tables.items()}
