"""Diversity and complexity of a selection (InsTag, arXiv 2308.07074, figure 2): the share of the
pool's tags that rows cover, against how many tags they have each; beside pool, chance and length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tacos.methods.measures.random_range import LEVEL, RandomRange
from tacos.methods.measures.selection_figures import Figures
from tacos.report.figure_texts import NOT_KNOWN, format_figure, format_share
from tacos.report.figures import INK, LONGEST, POOL, RANDOM, SELECTED, build_figure
from tacos.report.page_parts import DataTable, Figure
from tacos.report.plots.dots import VEGA_LITE

WIDTH = 284
HEIGHT = 240
STYLES = {
    "pool": (POOL, "square"),
    "selection": (SELECTED, "circle"),
    "random": (RANDOM, "cross"),
    "longest": (LONGEST, "triangle-up"),
}
"""What is compared -> its colour and its shape."""


def draw_complexity_coverage(
    figures: Mapping[str, Figures],
    chance: RandomRange | None,
) -> Figure:
    """Pool, selection, random and longest as points; `figures` are those of
    `tacos.report.selection_facts`, all with coverage and mean_tags.
    """
    rows = []
    for name, own in figures.items():
        row = (
            name,
            format_figure("n", own["n"]),
            format_figure("coverage", own["coverage"]),
            _format_range(chance, name, "coverage"),
            format_figure("mean_tags", own["mean_tags"]),
            _format_range(chance, name, "mean_tags"),
        )
        rows.append(row)
    draws = f"{LEVEL:.0%} of draws"
    table = DataTable(
        ("", "rows", "tags covered", draws, "tags per row", draws),
        rows,
        frozenset(range(1, 6)),
        "Random is the expected value over all selections of that size",
    )
    n_draws = f", {chance.n_draws} random draws" if chance else ""
    return build_figure(
        "complexity-coverage",
        "Diversity and complexity",
        _chart_points(figures, chance),
        table,
        caption=_describe_finding(figures, chance),
        basis=(
            f"{format_figure('n', figures['selection']['n'])} rows each, of a pool of "
            f"{format_figure('n', figures['pool']['n'])}{n_draws}"
        ),
    )


def _format_range(chance: RandomRange | None, name: str, figure: str) -> str:
    """The range of a figure of random rows; "" for others, which do not vary."""
    if chance is None or name != "random":
        return ""
    low, high = getattr(chance, figure)
    return f"{format_figure(figure, low)} to {format_figure(figure, high)}"


def _describe_finding(
    figures: Mapping[str, Figures],
    chance: RandomRange | None,
) -> str:
    """What the points show, in sentences."""
    coverage = {name: own["coverage"] for name, own in figures.items()}
    text = (
        f"The selection covers {format_share(coverage['selection'])} of the pool's tags, as many "
        f"random rows {format_share(coverage['random'])}"
    )
    if chance is not None:
        low, high = chance.coverage
        text += (
            f" ({format_share(low)} to {format_share(high)} in {LEVEL:.0%} of draws)"
        )
    text += f", the longest {format_share(coverage['longest'])}. "
    text += _compare_with_chance(figures["selection"], chance)
    return text + " Up: more tags in a row. Right: more of the tags."


def _compare_with_chance(selection: Figures, chance: RandomRange | None) -> str:
    """Whether the selection lies outside what random rows cover."""
    if chance is None or selection["coverage"] is None:
        return f"How far random rows vary is {NOT_KNOWN}."
    place = chance.place_coverage(selection["coverage"])
    if place == "inside":
        return "That is what chance gives, too."
    more = "more" if place == "above" else "less"
    return f"That is {more} than chance gives."


def _chart_points(
    figures: Mapping[str, Figures],
    chance: RandomRange | None,
) -> dict[str, Any]:
    """Points with their names, and the range of random rows as a cross, as Vega-Lite."""
    points = [
        {"name": name, "coverage": own["coverage"], "mean_tags": own["mean_tags"]}
        for name, own in figures.items()
    ]
    names = list(figures)
    x = {
        "field": "coverage",
        "type": "quantitative",
        "title": "share of the pool's tags that is covered",
        "axis": {"format": ".0%", "values": [0, 0.2, 0.4, 0.6, 0.8, 1]},
        # Room for a name on either side of the point at 100%
        "scale": {"domain": [_find_left_end(points), 1.08], "nice": False},
    }
    y = {
        "field": "mean_tags",
        "type": "quantitative",
        "title": "tags per row",
        "axis": {"tickCount": 5},
        "scale": {"zero": False, "padding": 28},
    }
    looks = {}
    for channel, place in (("color", 0), ("shape", 1)):
        looks[channel] = {
            "field": "name",
            "type": "nominal",
            "legend": None,
            "scale": {
                "domain": names,
                "range": [STYLES[name][place] for name in names],
            },
        }
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": points},
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
            "encoding": {"x": x, "y": y, **looks},
        },
        {
            "data": {"values": points},
            "mark": {"type": "text", "align": "left", "dx": 9, "dy": -9, "color": INK},
            "encoding": {"x": x, "y": y, "text": {"field": "name"}},
        },
    ]
    random = figures["random"]
    if chance is not None and random["coverage"] is not None:
        layers += _chart_ranges(chance, random)
    return {
        "$schema": VEGA_LITE,
        "width": WIDTH,
        "height": HEIGHT,
        "layer": layers,
    }


def _find_left_end(points: list[dict[str, Any]]) -> float:
    """Where the axis of coverage starts: a little below the smallest one."""
    known = [point["coverage"] for point in points if point["coverage"] is not None]
    return max(min(known, default=0.0) - 0.08, 0.0)


def _chart_ranges(chance: RandomRange, random: Figures) -> list[dict[str, Any]]:
    """A line along each axis."""
    layers = []
    for figure, other, axis, other_axis in (
        ("coverage", "mean_tags", "x", "y"),
        ("mean_tags", "coverage", "y", "x"),
    ):
        low, high = getattr(chance, figure)
        line = {figure: low, "high": high, other: random[other]}
        layers.append(
            {
                "data": {"values": [line]},
                "mark": {"type": "rule", "color": RANDOM, "strokeWidth": 2},
                "encoding": {
                    axis: {"field": figure, "type": "quantitative"},
                    f"{axis}2": {"field": "high"},
                    other_axis: {"field": other, "type": "quantitative"},
                },
            }
        )
    return layers
