"""Progress on standard error: bars in a terminal, plain lines where standard error is none."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.progress_bar import ProgressBar
from rich.text import Text

from tacos.cli.shared.console import errors
from tacos.cli.shared.stage_progress import StageProgress, format_clock
from tacos.counts import count_words
from tacos.pipeline.request_meter import RequestMeter
from tacos.visible_text import clean_line

SHORTEST_TOLD = 1.0
"""Seconds from which on a log says how long a stage took."""
FIRST_LINE = 30.0
"""Seconds to the first line of a log about a stage that still runs."""
LONGEST_SILENCE = 300.0
GROWTH = 0.1
"""A log is silent for this share of the time that a stage has taken, within these limits."""
NAME_WIDTH = 14
BAR_WIDTH = 8
WIDE = 100
"""Columns of a terminal with room for a wide bar."""


class ProgressBars:
    """Progress of the loop as bars; see `tacos.pipeline.run_loop.Progress`."""

    def __init__(self, progress: Progress, stages: dict[TaskID, StageProgress]) -> None:
        self._progress = progress
        self._stages = stages
        self._tasks: dict[str, TaskID] = {}

    def announce(self, text: str) -> None:
        # By the console of the bars, which moves them down and out of its way.
        self._progress.console.print(text, soft_wrap=True)

    def start(self, name: str, total: int | None) -> None:
        task = self._progress.add_task(name, total=total)
        self._tasks[name] = task
        self._stages[task] = StageProgress(name, total, time.monotonic())

    def advance(self, name: str, n_rows: int) -> None:
        self._progress.advance(self._tasks[name], n_rows)
        self._stages[self._tasks[name]].n_rows += n_rows

    def follow(self, name: str, meter: RequestMeter) -> None:
        self._stages[self._tasks[name]].meter = meter

    def finish(self, name: str, n_rows: int, *, skipped: bool) -> None:
        # A stage that was up to date finishes without having started.
        task = self._tasks.pop(name, None)
        if task is not None:
            self._stages.pop(task)
            self._progress.update(task, total=n_rows, completed=n_rows)


class StageColumn(ProgressColumn):
    """Counts, time left, pace and cost of a stage that runs."""

    def __init__(self, stages: dict[TaskID, StageProgress]) -> None:
        super().__init__()
        self._stages = stages

    def render(self, task: Task) -> Text:
        stage = self._stages.get(task.id)
        if stage is None:
            # It has finished.
            took = format_clock(task.finished_time or 0.0)
            return Text(f"{task.completed:,.0f} in {took}", no_wrap=True)
        figures = stage.measure(time.monotonic())
        return Text(figures.describe_short(), no_wrap=True, overflow="ellipsis")


class StageBar(ProgressColumn):
    """A bar that counts questions where a stage asks them, and rows elsewhere."""

    def __init__(self, stages: dict[TaskID, StageProgress], width: int) -> None:
        super().__init__()
        self._stages = stages
        self._width = width

    def render(self, task: Task) -> ProgressBar:
        stage = self._stages.get(task.id)
        n_done, total = task.completed, task.total
        if stage is not None:
            figures = stage.measure(time.monotonic())
            n_done, total = figures.n_done, figures.total
        return ProgressBar(
            total,
            n_done,
            width=self._width,
            pulse=total is None,
            animation_time=task.get_time(),
        )


class ProgressLines:
    """Progress of the loop as plain lines, for a log: one when a stage ends and, where it takes
    `SHORTEST_TOLD` or longer, one before it; then more and more seldom how far it has come.
    """

    def __init__(self) -> None:
        self._stage: StageProgress | None = None
        self._next_line = threading.Timer(0.0, print)
        self._lock = threading.Lock()

    def announce(self, text: str) -> None:
        self._print(text)

    def start(self, name: str, total: int | None) -> None:
        self.close()
        stage = StageProgress(name, total, time.monotonic())
        with self._lock:
            self._stage = stage
        self._wait(SHORTEST_TOLD, stage, is_first=True)

    def advance(self, name: str, n_rows: int) -> None:
        if self._stage is not None:
            self._stage.n_rows += n_rows

    def follow(self, name: str, meter: RequestMeter) -> None:
        if self._stage is not None:
            self._stage.meter = meter

    def finish(self, name: str, n_rows: int, *, skipped: bool) -> None:
        stage = self._stage
        self.close()
        # A stage that was up to date did not start.
        if skipped or stage is None or name != stage.name:
            return
        seconds = time.monotonic() - stage.started
        took = f" in {seconds:,.0f} s" if seconds >= SHORTEST_TOLD else ""
        self._print(f"{name}: {count_words(n_rows, 'row')}{took}")

    def close(self) -> None:
        """Say no more of the stage that ran."""
        with self._lock:
            self._stage = None
            self._next_line.cancel()

    def _wait(
        self, seconds: float, stage: StageProgress, *, is_first: bool = False
    ) -> None:
        """Say something of the stage after some seconds, if it still runs then."""
        timer = threading.Timer(seconds, self._say, (stage,), {"is_first": is_first})
        timer.daemon = True
        with self._lock:
            if self._stage is not stage:
                return
            self._next_line = timer
        timer.start()

    def _say(self, stage: StageProgress, *, is_first: bool) -> None:
        """One line about the stage, and the next one later."""
        figures = stage.measure(time.monotonic())
        with self._lock:
            if self._stage is not stage:
                return
            if is_first:
                rows = ""
                if figures.total is not None:
                    rows = f" {count_words(figures.total, figures.unit)}"
                self._print(f"{stage.name}:{rows} ...")
            else:
                self._print(f"{figures.describe_line()} ...")
        pause = GROWTH * figures.seconds
        self._wait(min(max(FIRST_LINE, pause), LONGEST_SILENCE), stage)

    def _print(self, text: str) -> None:
        errors.print(clean_line(text), soft_wrap=True)


@contextmanager
def show_progress(*, show: bool) -> Iterator[ProgressBars | ProgressLines]:
    """Progress while the context lasts: bars in a terminal, plain lines where standard error is
    none; without `show` only what is announced.
    """
    # In a log file every redrawn bar would be a line.
    if show and not errors.is_terminal:
        lines = ProgressLines()
        try:
            yield lines
        finally:
            lines.close()
        return
    stages: dict[TaskID, StageProgress] = {}
    columns = (
        TextColumn(f"{{task.description:<{NAME_WIDTH}}}"),
        StageBar(stages, 3 * BAR_WIDTH if errors.width >= WIDE else BAR_WIDTH),
        StageColumn(stages),
    )
    with Progress(
        *columns, console=errors, disable=not show, transient=True
    ) as progress:
        yield ProgressBars(progress, stages)
