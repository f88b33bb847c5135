"""The terminal: lines, tables and JSON on standard output, progress on standard error."""

from __future__ import annotations

import textwrap
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from tacos.counts import count_words
from tacos.visible_text import clean_line, clean_text, escape_json


class CleanConsole(Console):
    """A console on which every text is people's data: what a terminal would obey is shown as a
    sign, wherever the text stands, in a line, a table's cell or its title.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        # By this door come all texts, before they are measured and wrapped.
        return super().render_str(clean_text(text), **options)


# [b] and :x: stand for themselves, too.
out = CleanConsole(highlight=False, markup=False, emoji=False)
errors = CleanConsole(stderr=True, highlight=False, markup=False, emoji=False)


SECONDS_BETWEEN_LINES = 30.0
SHORTEST_TOLD = 1.0
"""Seconds from which on a log says how long a stage took."""
HANGING_WIDTH = 8
"""Characters of a label before a sentence."""
HEAD_WIDTH = 9
"""Characters on a line of the head of a column of numbers."""


class ProgressBars:
    """Progress of the loop as bars; see `tacos.pipeline.run_loop.Progress`."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def announce(self, text: str) -> None:
        # By the console of the bars, which moves them down and out of its way.
        self._progress.console.print(text, soft_wrap=True)

    def start(self, name: str, total: int | None) -> None:
        self._tasks[name] = self._progress.add_task(name, total=total)

    def advance(self, name: str, n_rows: int) -> None:
        self._progress.advance(self._tasks[name], n_rows)

    def finish(self, name: str, n_rows: int, *, skipped: bool) -> None:
        # A stage that was up to date finishes without having started.
        task = self._tasks.pop(name, None)
        if task is not None:
            self._progress.update(task, total=n_rows, completed=n_rows)


class ProgressLines:
    """Progress of the loop as plain lines, for a log: one when a stage ends and, where it takes
    `SHORTEST_TOLD` or longer, one before it, with more every `SECONDS_BETWEEN_LINES`.
    """

    def __init__(self) -> None:
        self._begin = threading.Timer(0.0, print)
        self._name = ""
        self._total: int | None = None
        self._n_done = 0
        self._started = 0.0
        self._last_line = 0.0

    def announce(self, text: str) -> None:
        self._print(text)

    def start(self, name: str, total: int | None) -> None:
        self._name = name
        self._total = total
        self._n_done = 0
        self._started = time.monotonic()
        rows = "" if total is None else f" {count_words(total, 'row')}"
        self.close()
        self._begin = threading.Timer(
            SHORTEST_TOLD, self._print, (f"{name}:{rows} ...",)
        )
        self._begin.daemon = True
        self._begin.start()

    def advance(self, name: str, n_rows: int) -> None:
        self._n_done += n_rows
        now = time.monotonic()
        if now - max(self._last_line, self._started) < SECONDS_BETWEEN_LINES:
            return
        rows = count_words(self._n_done, "row")
        if self._total is not None:
            rows = f"{self._n_done:,} of {count_words(self._total, 'row')}"
        seconds = now - self._started
        self._print(f"{name}: {rows}, {seconds:,.0f} s ...")

    def finish(self, name: str, n_rows: int, *, skipped: bool) -> None:
        self.close()
        seconds = time.monotonic() - self._started
        # A stage that was up to date did not start.
        if skipped or name != self._name:
            return
        took = f" in {seconds:,.0f} s" if seconds >= SHORTEST_TOLD else ""
        self._print(f"{name}: {count_words(n_rows, 'row')}{took}")

    def close(self) -> None:
        """Say no more that a stage has begun."""
        self._begin.cancel()

    def _print(self, text: str) -> None:
        self._last_line = time.monotonic()
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
    columns = (
        TextColumn("{task.description:<16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=errors, disable=not show, transient=True
    ) as progress:
        yield ProgressBars(progress)


def print_line(text: str) -> None:
    """Print one line, however long; what a terminal would obey is shown as a sign."""
    # Not wrapped: a path that is broken in two cannot be copied.
    out.print(clean_line(text), soft_wrap=True)


def print_text(text: str) -> None:
    """Print a sentence, wrapped to the width of the terminal."""
    out.print(clean_line(text))


def print_hanging(rows: Iterable[tuple[str, str]]) -> None:
    """Print labels with sentences that are wrapped beside them; what a terminal would obey is shown
    as a sign.
    """
    for label, text in rows:
        head = f"{clean_line(label):<{HANGING_WIDTH}} "
        lines = textwrap.wrap(
            clean_line(text),
            width=max(out.width, 2 * len(head)),
            initial_indent=head,
            subsequent_indent=" " * len(head),
            break_on_hyphens=False,
        )
        for line in lines:
            out.print(line, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a value as indented JSON; what a terminal would obey is escaped."""
    # A key may be the number of a cluster.
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    print(escape_json(orjson.dumps(value, option=options).decode()))


def print_pairs(
    title: str,
    rows: Sequence[tuple[str, str]],
    label_width: int | None = None,
) -> None:
    """Print a table of two columns; see `build_table`."""
    out.print(build_table(title, rows, label_width))


def build_table(
    title: str,
    rows: Sequence[tuple[str, str]],
    label_width: int | None = None,
) -> Table:
    """A table of two columns, whose cells keep their line breaks. Labels wider than `label_width`
    are folded.
    """
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column(style="bold", max_width=label_width, overflow="fold")
    table.add_column(overflow="fold")
    for label, text in rows:
        table.add_row(label, text)
    return table


def build_figure_table(
    title: str,
    columns: Sequence[str],
    n_left: int = 1,
) -> Table:
    """An empty table with a header: the first `n_left` columns hold names, the others numbers."""
    table = Table(title=title, title_justify="left")
    for column in columns[:n_left]:
        table.add_column(column, justify="left", overflow="fold")
    for column in columns[n_left:]:
        # Numbers are narrow: a head in several lines leaves the width to the names.
        head = textwrap.fill(column, HEAD_WIDTH, break_long_words=False)
        table.add_column(head, justify="right", overflow="fold")
    return table
