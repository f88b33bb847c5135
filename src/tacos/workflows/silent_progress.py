"""Progress that nobody watches: what a workflow reports to unless it is given something better."""

from __future__ import annotations

from tacos.pipeline.request_meter import RequestMeter
from tacos.pipeline.run_loop import Progress


class SilentProgress:
    """Ignores what the loop reports; see `tacos.pipeline.run_loop.Progress`."""

    def start(self, name: str, total: int | None) -> None: ...
    def advance(self, name: str, n_rows: int) -> None: ...
    def follow(self, name: str, meter: RequestMeter) -> None: ...
    def announce(self, text: str) -> None: ...
    def finish(self, name: str, n_rows: int, *, skipped: bool) -> None: ...


def choose_progress(progress: Progress | None) -> Progress:
    """The given progress, or a silent one. Raises `TypeError` for what cannot be told of any."""
    if progress is None:
        return SilentProgress()
    if not hasattr(progress, "start"):
        raise TypeError(
            "progress must be a tacos.pipeline.run_loop.Progress, "
            f"not {type(progress).__name__}"
        )
    return progress
