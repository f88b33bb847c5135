"""When each step of a training was done, over all starts of the trainer: steps.jsonl.

{"start": FROM_STEP} for each start, then {"step": STEP, "seconds": SINCE_THE_START} for each step.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tacos.store.files import explain_os_errors


class StepLog:
    """The log of one start, after those of earlier ones."""

    def __init__(self, file: Path, from_step: int) -> None:
        self._file = file
        self._started = time.monotonic()
        self._append({"start": from_step})

    def note_step(self, step: int) -> None:
        """Note that a step is done. Raises `OutputError`."""
        seconds = time.monotonic() - self._started
        self._append({"step": step, "seconds": round(seconds, 3)})

    def count_earlier_seconds(self) -> float:
        """Seconds of earlier starts up to the checkpoint that this one went on from."""
        before = 0.0
        seconds_at: dict[int, float] = {}
        for entry in _read_entries(self._file):
            if "start" in entry:
                before = seconds_at.get(entry["start"], 0.0)
            else:
                seconds_at[entry["step"]] = before + entry["seconds"]
        return before

    @staticmethod
    def read_starts(file: Path) -> list[int]:
        """The step from which each start went on, in their order."""
        return [entry["start"] for entry in _read_entries(file) if "start" in entry]

    def _append(self, entry: dict[str, Any]) -> None:
        with explain_os_errors(self._file), self._file.open("a") as file:
            file.write(json.dumps(entry) + "\n")


def _read_entries(file: Path) -> Iterator[dict[str, Any]]:
    """The entries of a log; a line that a killed process left unfinished is none."""
    for line in file.read_text("utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        yield entry
