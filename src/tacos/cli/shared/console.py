"""The terminal: lines, tables and JSON on standard output, progress on standard error."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

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


HANGING_WIDTH = 8
"""Characters of a label before a sentence."""
WHOLE_WIDTH = 10_000
"""Characters by which no table is cut."""
HEAD_WIDTH = 9
"""Characters on a line of the head of a column of numbers."""


def has_terminal() -> bool:
    """Whether a person can be asked; a process may have been started without standard input."""
    return sys.stdin is not None and sys.stdin.isatty()


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


def print_rows(
    columns: Sequence[str], rows: Sequence[Sequence[str]], n_names: int
) -> None:
    """Print a table. Where it would be cut, as in most pipes, each row is its first `n_names`
    cells on one line, and the others below.
    """
    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    as_wide_as_it_takes = out.options.update_width(WHOLE_WIDTH)
    if out.measure(table, options=as_wide_as_it_takes).maximum <= out.width:
        out.print(table)
        return
    for row in rows:
        print_line("  ".join(row[:n_names]))
        labelled = zip(columns[n_names:], row[n_names:], strict=True)
        cells = [f"{column}: {cell}" for column, cell in labelled if cell]
        print_hanging([("", ", ".join(cells))])


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
