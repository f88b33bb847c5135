"""What a training will be like, before it starts; kept in the folder until it is finished."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tacos.methods.chats.trainer_rows import Layout
from tacos.store import files
from tacos.trainers.forecast import Forecast
from tacos.trainers.row_check import Machine, ModelSize


@dataclass(frozen=True)
class TrainingPlan:
    """What a training will be like."""

    key: str
    """Over everything that decides its result."""
    recipe_name: str
    recipe_hash: str
    model: str
    base_digest: str
    """Of the files of a local base model, else empty."""
    layout: Layout
    n_rows: int
    """Rows given."""
    n_held_out: int
    left_out: dict[str, int]
    """Why rows are not trained on -> rows."""
    data_hash: str
    """Of the rows that are trained on."""
    forecast: Forecast
    machine: Machine
    model_size: ModelSize
    versions: dict[str, str]

    @property
    def cautions(self) -> list[str]:
        """What the user must know before it starts."""
        return list(_list_cautions(self))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "cautions": self.cautions}


def write_plan(plan: TrainingPlan, file: Path) -> None:
    """Write a plan. Raises `OutputError`."""
    files.write_text(json.dumps(asdict(plan)) + "\n", file)


def read_plan(file: Path) -> TrainingPlan | None:
    """The plan in a file; None where there is none, or one of another version."""
    try:
        return TypeAdapter(TrainingPlan).validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None


def _list_cautions(plan: TrainingPlan) -> list[str]:
    forecast, machine = plan.forecast, plan.machine
    cautions = []
    if forecast.memory > machine.memory:
        cautions.append(
            f"about {forecast.memory / 1e9:,.1f} GB of memory are needed, and {machine.name} has "
            f"{machine.memory / 1e9:,.1f}: it may run out (--set gradient_checkpointing=true "
            "--set micro_batch_size=1)"
        )
    return cautions
