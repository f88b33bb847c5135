"""What the terminal shows: progress bars (quiet when standard error is not a terminal) and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

errors = Console(stderr=True, highlight=False, markup=False, emoji=False)
out = Console(
    highlight=False, markup=False, emoji=False
)  # what is printed is data: [b] and :x: mean themselves
UNSEEN = dict.fromkeys(
    [*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)],
    "\N{REPLACEMENT CHARACTER}",
)
"""Characters that a terminal would obey: control characters and changes of direction."""


class ProgressBars:
    """Progress of the loop as bars; see `tacos.pipeline.run_loop.Progress`."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def start(self, name: str, total: int | None) -> None:
        self._tasks[name] = self._progress.add_task(name, total=total)

    def advance(self, name: str, n_rows: int) -> None:
        self._progress.advance(self._tasks[name], n_rows)

    def finish(self, name: str, n_rows: int, *, skipped: bool) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            self._progress.update(task, total=n_rows, completed=n_rows)


@contextmanager
def show_progress(*, show: bool) -> Iterator[ProgressBars]:
    """Progress bars on standard error while the context lasts."""
    columns = (
        TextColumn("{task.description:<16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=errors, disable=not (show and errors.is_terminal), transient=True
    ) as progress:
        yield ProgressBars(progress)


def build_table(title: str, rows: Sequence[tuple[str, str]]) -> Table:
    """A two-column table; what a terminal would obey in its cells, line breaks aside, is shown as a
    sign.
    """
    drawn = Table(title=title, show_header=False, title_justify="left")
    drawn.add_column(style="bold")
    drawn.add_column(overflow="fold")
    for row in rows:
        drawn.add_row(
            *("\n".join(line.translate(UNSEEN) for line in cell.split("\n")) for cell in row)
        )
    return drawn
