"""Two runs side by side in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from rich.table import Table

from tacos.cli.shared import console
from tacos.counts import count_words
from tacos.report import figure_texts
from tacos.workflows.run_difference import RunDifference

HEADS = ("A", "B")
LONGEST_VALUE = 60
"""Characters of a setting that are shown."""


def print_difference(difference: RunDifference) -> None:
    """Print the tables of a comparison; A is the first run, B the second."""
    for head, run in zip(HEADS, difference.runs, strict=True):
        console.print_line(f"{head}: {run}")
    console.print_hanging(_describe_rows(difference))
    console.out.print(_build_settings_table(difference))
    console.out.print(_build_figures_table(difference))
    console.out.print(_build_sources_table(difference))


def _describe_rows(difference: RunDifference) -> Iterator[tuple[str, str]]:
    """Rows of both, scores, and verdicts, a sentence each."""
    n_both = len(difference.both)
    chance = ""
    if difference.by_chance is not None:
        chance = f" (by chance {difference.by_chance:,.0f})"
    yield (
        "rows",
        f"{n_both:,} selected by both{chance}, {len(difference.only_first):,} only by A, "
        f"{len(difference.only_second):,} only by B",
    )
    n_pool, n_other = difference.n_pool
    yield (
        "pools",
        f"{n_pool:,} and {count_words(n_other, 'usable row')}; "
        f"{difference.n_pool_both:,} different ones in both",
    )
    rated = count_words(difference.n_rated_both, "row")
    if difference.score_correlation is None:
        yield "scores", f"no rank correlation: {rated} rated by both"
    else:
        shown = figure_texts.format_correlation(difference.score_correlation)
        yield "scores", f"rank correlation {shown} over {rated} that both rated"
    for head, verdict in zip(HEADS, difference.verdicts, strict=True):
        if verdict:
            yield head, verdict["sentence"]


def _build_settings_table(difference: RunDifference) -> Table:
    """The settings that differ."""
    rows = [
        (each.name, _show_value(each.first), _show_value(each.second))
        for each in difference.settings
    ]
    table = console.build_figure_table(
        "settings that differ" if rows else "no setting differs",
        columns=["setting", *HEADS],
        n_left=3,
    )
    for row in rows:
        table.add_row(*row)
    return table


def _build_figures_table(difference: RunDifference) -> Table:
    """Figures of both selections, cost and time."""
    table = console.build_figure_table("selections", columns=["", *HEADS])
    for name, values in difference.figures.items():
        cells = [figure_texts.format_figure(name, value) for value in values]
        table.add_row(figure_texts.LABELS[name], *cells)
    table.add_row("cost in usd", *(_show_dollars(usd) for usd in difference.usd))
    table.add_row("seconds in stages", *(f"{each:,.1f}" for each in difference.seconds))
    return table


def _build_sources_table(difference: RunDifference) -> Table:
    """The share of each input file."""
    table = console.build_figure_table("selected from", columns=["file", *HEADS])
    for source, shares in difference.sources.items():
        cells = [figure_texts.format_share(share) for share in shares]
        table.add_row(source, *cells)
    return table


def _show_value(value: Any) -> str:
    """A setting as JSON, cut where it is long."""
    text = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
    if len(text) > LONGEST_VALUE:
        return f"{text[:LONGEST_VALUE]} ..."
    return text


def _show_dollars(usd: float | None) -> str:
    """Dollars, or that they are not known."""
    return figure_texts.NOT_KNOWN if usd is None else f"{usd:,.4f}"
