"""Progress that nobody watches: what a workflow reports to unless it is given something better."""

from __future__ import annotations


class SilentProgress:
    """Ignores what the loop reports; see `tacos.pipeline.run_loop.Progress`."""

    def start(self, name: str, total: int | None) -> None: ...
    def advance(self, name: str, n_rows: int) -> None: ...
    def finish(self, name: str, n_rows: int, *, skipped: bool) -> None: ...
