"""The state file of a run directory: what makes a folder a run of tacos.

Other programs write a `run.json`, too; theirs is left alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tacos.errors import RunError
from tacos.formats.paths import RUN_STATE
from tacos.store.artifacts import Store

STATE = RUN_STATE
"""The file in a run directory that says what the run did last."""
KEYS = frozenset({"artifacts", "n", "output", "preset", "settings", "status"})
"""What every state of a run has."""


def read_run_state(directory: Path) -> dict[str, Any]:
    """The state of a run. Raises `RunError` where there is none, or that of another program."""
    state = Store(directory).read_state(STATE)
    if not state.keys() >= KEYS:
        raise RunError(
            f"{directory / STATE} is not of a run of tacos: name another directory"
        )
    return state


def is_run(directory: Path) -> bool:
    """Whether a folder is a run of tacos."""
    try:
        read_run_state(directory)
    except RunError:
        return False
    return True
