"""What TRL leaves while it trains: checkpoints, each with the state of the trainer.

checkpoint-STEP/
  model.safetensors  optimizer.pt  scheduler.pt  rng_state.pth  ...
  trainer_state.json    written last, so that a checkpoint with it is complete
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PREFIX = "checkpoint-"
STATE = "trainer_state.json"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint."""

    folder: Path
    step: int
    state: Mapping[str, Any]

    @property
    def n_steps(self) -> int:
        """Steps of the whole training."""
        return int(self.state["max_steps"])

    @property
    def losses(self) -> list[list[float]]:
        """[step, mean loss per trained token] of each step so far."""
        return [
            [entry["step"], entry["loss"]]
            for entry in self.state["log_history"]
            if "loss" in entry
        ]

    def count_tokens(self, starts: Sequence[int]) -> int:
        """Tokens that were read up to here, padding not counted.

        TRL counts anew after each of the steps that it went on from; `starts` are those of all its
        starts, in their order.
        """
        resumed_at: set[int] = set()
        for start in starts:
            # What came after the step that it goes back to does not count any more.
            resumed_at = {step for step in resumed_at if step < start} | {start}
        resumed_at.discard(0)
        total = 0
        last = 0
        for entry in self.state["log_history"]:
            if "num_tokens" not in entry:
                continue
            if entry["step"] - 1 in resumed_at:
                total += last
            last = round(entry["num_tokens"])
        return total + last


def find_last_checkpoint(folder: Path) -> Checkpoint | None:
    """The last complete checkpoint in a folder; those that a killed trainer left unfinished are
    removed.
    """
    complete = []
    for place in folder.glob(f"{PREFIX}*"):
        checkpoint = _read_checkpoint(place)
        if checkpoint is None:
            shutil.rmtree(place, ignore_errors=True)
        else:
            complete.append(checkpoint)
    return max(complete, key=lambda each: each.step, default=None)


def _read_checkpoint(folder: Path) -> Checkpoint | None:
    """A checkpoint, None for one that is not complete."""
    try:
        step = int(folder.name.removeprefix(PREFIX))
        state = json.loads((folder / STATE).read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(state, dict) or state.get("global_step") != step:
        return None
    if not isinstance(state.get("log_history"), list) or "max_steps" not in state:
        return None
    return Checkpoint(folder, step, state)
