"""What a selection takes in memory, forecast from what was measured (`docs/scale.md`).

Row-wise stages run in worker processes, beside a main process that holds little of each row. The
stages that look at all rows, and the report, run in the main process alone. So there are two peaks,
and the larger one counts. A forecast is no limit: nothing ends a process that takes more.
"""

from __future__ import annotations

from tacos.amounts import format_memory
from tacos.counts import count_words
from tacos.errors import ConfigError

MAIN = 800e6
"""Bytes of the main process without rows: models, figures of the report."""
PER_ROW = 75.0
"""Bytes that it holds of each row at most."""
PER_WORKER = 470e6
"""Bytes of a worker process that tags and grades."""


def check_limit(limit: float | None) -> None:
    """Raise `ConfigError` where the main process takes more than the limit without any rows (None:
    there is no limit).
    """
    if limit is not None and limit < MAIN:
        raise ConfigError(
            f"--max-memory {format_memory(limit)} is too little: "
            f"tacos select takes some {format_memory(MAIN)} whatever the data"
        )


def fit_workers(limit: float, n_workers: int) -> int:
    """At most so many workers as fit beside the main process; 1 is that process itself."""
    n_fitting = int((limit - MAIN) // PER_WORKER)
    return max(1, min(n_workers, n_fitting))


def check_rows(limit: float | None, n_rows: int) -> None:
    """Raise `ConfigError` where so many rows take more than the limit (None: there is none)."""
    needed = MAIN + n_rows * PER_ROW
    if limit is None or needed <= limit:
        return
    n_most = int((limit - MAIN) / PER_ROW)
    raise ConfigError(
        f"{count_words(n_rows, 'row')} take some {format_memory(needed)} to select from, more than "
        f"--max-memory {format_memory(limit)} (enough for {count_words(n_most, 'row')}): "
        "give it more, or select from parts of the data, then from the selections"
    )
