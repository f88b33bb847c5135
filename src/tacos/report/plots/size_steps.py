"""What fewer or more rows would be like: selections of other sizes beside the one that was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tacos.counts import count_words
from tacos.report.figure_texts import format_figure, format_share
from tacos.report.figures import INK, RANDOM, SELECTED, build_figure
from tacos.report.page_parts import DataTable, Figure
from tacos.report.plots.dots import VEGA_LITE

WIDTH = 230
HEIGHT = 200
NAMED_SIZE = 2_000
"""A size that is always looked at: it is about where published selections stop."""


@dataclass(frozen=True)
class SizeStep:
    """A selection of another size by the same request: figures of
    `tacos.methods.measures.selection_figures`.
    """

    n: int
    coverage: float | None
    by_chance: float | None
    """Coverage to expect of as many random rows."""
    mean_score: float | None
    mean_tags: float | None
    mean_length: float | None
    is_made: bool = False
    """Whether it is the selection of the run itself."""


@dataclass(frozen=True)
class SizeSteps:
    """Selections of growing size, the run's own among them."""

    n_pool: int
    steps: Sequence[SizeStep]
    not_possible: Sequence[tuple[int, str]] = ()
    """Sizes that the request cannot be met at, and why."""

    @property
    def made(self) -> SizeStep:
        """The selection of the run."""
        return next(step for step in self.steps if step.is_made)


def choose_sizes(n: int, n_pool: int) -> list[int]:
    """Twice as many rows, and `NAMED_SIZE`, as far as the pool has them, ascending; without `n`
    itself. Each size costs as much time as the selection did, so there are no more.

    >>> choose_sizes(1000, 52_000), choose_sizes(500, 800), choose_sizes(300, 52_000)
    ([2000], [800], [600, 2000])
    """
    wanted = {min(2 * n, n_pool), min(NAMED_SIZE, n_pool)}
    return sorted(wanted - {n})


def draw_size_steps(sizes: SizeSteps) -> Figure:
    """Coverage and mean score against the number of rows."""
    made = sizes.made
    rows = [_list_cells(step, sizes.n_pool) for step in sizes.steps]
    head = (
        "rows",
        "share of the pool",
        "tags covered",
        "by chance",
        "mean score",
        "tags per row",
        "mean length",
    )
    caption = " ".join(_describe_steps(sizes))
    return build_figure(
        "size-steps",
        "What more rows would add",
        _chart_steps(sizes),
        DataTable(head, rows, frozenset(range(7)), "The same request at other sizes"),
        caption=(
            f"{caption} Scores are the judge's own. This does not tell whether a larger or a "
            "smaller set makes the better model."
        ),
        basis=f"selections from {count_words(sizes.n_pool, 'row')}; {made.n:,} were selected",
    )


def _list_cells(step: SizeStep, n_pool: int) -> tuple[str, ...]:
    """The figures of a size."""
    note = " (selected)" if step.is_made else ""
    return (
        f"{step.n:,}{note}",
        format_share(step.n / max(n_pool, 1)),
        format_figure("coverage", step.coverage),
        format_figure("by_chance", step.by_chance),
        format_figure("mean_score", step.mean_score),
        format_figure("mean_tags", step.mean_tags),
        format_figure("mean_length", step.mean_length),
    )


def _describe_steps(sizes: SizeSteps) -> list[str]:
    """What each other size would change, a sentence each."""
    made = sizes.made
    sentences = [
        f"The {made.n:,} selected rows cover {format_figure('coverage', made.coverage)} of the "
        f"tags at a mean score of {format_figure('mean_score', made.mean_score)}."
    ]
    for step in sizes.steps:
        if step.is_made:
            continue
        sentences.append(
            f"{count_words(step.n, 'row')} would cover "
            f"{format_figure('coverage', step.coverage)} at "
            f"{format_figure('mean_score', step.mean_score)}."
        )
    for n, reason in sizes.not_possible:
        sentences.append(f"{count_words(n, 'row')} cannot be selected: {reason}.")
    return sentences


def _chart_steps(sizes: SizeSteps) -> dict[str, Any]:
    """Two panels, as Vega-Lite."""
    lines = []
    scores = []
    for step in sizes.steps:
        base = {"n": step.n, "is_made": step.is_made}
        for name, value in (("selected", step.coverage), ("by chance", step.by_chance)):
            if value is not None:
                lines.append({**base, "rows": name, "value": value})
        if step.mean_score is not None:
            scores.append({**base, "rows": "selected", "value": step.mean_score})
    panels = []
    if lines:
        panels.append(_chart_panel(lines, "tags covered", ".0%"))
    if scores:
        panels.append(_chart_panel(scores, "mean score", ",.3~f"))
    return {
        "$schema": VEGA_LITE,
        "hconcat": panels,
        "spacing": 28,
    }


def _chart_panel(
    values: Sequence[dict[str, Any]],
    title: str,
    number_format: str,
) -> dict[str, Any]:
    """A figure against the number of rows; the run's own selection has a ring."""
    x = {
        "field": "n",
        "type": "quantitative",
        "title": "rows",
        "scale": {"type": "log", "nice": False, "padding": 12},
        # A tick for each size, and no other
        "axis": {
            "values": sorted({value["n"] for value in values}),
            "format": ",d",
            "grid": False,
            "labelOverlap": True,
        },
    }
    y = {
        "field": "value",
        "type": "quantitative",
        "title": title,
        "axis": {"format": number_format, "tickCount": 5},
        "scale": {"zero": False, "padding": 12},
    }
    color = {
        "field": "rows",
        "type": "nominal",
        "title": None,
        "scale": {"domain": ["selected", "by chance"], "range": [SELECTED, RANDOM]},
        "legend": None,
    }
    dash = {
        "field": "rows",
        "type": "nominal",
        "scale": {"domain": ["selected", "by chance"], "range": [[1, 0], [4, 3]]},
        "legend": None,
    }
    last = max(value["n"] for value in values)
    is_made = {"filter": "datum.is_made && datum.rows == 'selected'"}
    return {
        "data": {"values": list(values)},
        "width": WIDTH,
        "height": HEIGHT,
        "encoding": {"x": x, "y": y},
        "layer": [
            {
                "mark": {"type": "line", "strokeWidth": 2},
                "encoding": {"color": color, "strokeDash": dash},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 50, "opacity": 1},
                "encoding": {"color": color},
            },
            {
                "transform": [is_made],
                "mark": {"type": "point", "size": 190, "color": INK, "filled": False},
            },
            _build_name_layer("selected", last, values),
            _build_name_layer("by chance", last, values),
        ],
    }


def _build_name_layer(
    rows: str,
    last: int,
    values: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """The name of a line at its end: above a line that rises, below one that falls."""
    own = [each["value"] for each in values if each["rows"] == rows]
    dy = 16 if own and own[-1] < own[0] else -12
    is_end = f"datum.n == {last} && datum.rows == '{rows}'"
    return {
        "transform": [{"filter": is_end}],
        "mark": {"type": "text", "align": "right", "dy": dy, "color": INK},
        "encoding": {"text": {"field": "rows"}},
    }
