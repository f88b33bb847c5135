"""The tag landscape: canonical tags as tiles, the pool's rows against the selection's; and how raw
tags became canonical ones, step by step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from tacos.counts import count_words
from tacos.methods.measures.representation import (
    AS_CHANCE,
    FEWER,
    MORE,
    NONE,
    STANDINGS,
    expect_missing,
)
from tacos.report.figures import INK, SELECTED, build_figure
from tacos.report.page_parts import DataTable, Figure
from tacos.report.plots.dots import VEGA, VEGA_LITE
from tacos.report.plots.share_texts import (
    SHARE_HEAD,
    SHARE_NUMBERS,
    list_share_cells,
)

WIDTH = 760
HEIGHT = 460
N_TILES = 50
N_LISTED = 300
"""Tags in the table beside the tiles."""
COLORS = {
    NONE: "#d55e00",
    FEWER: "#f0b35a",
    AS_CHANCE: "#b9bdc0",
    MORE: "#4f9fd4",
}
"""Colours of Okabe and Ito, which colour-blind readers tell apart, lightened so that black text is
legible on each."""
LABELS = {
    NONE: "none selected",
    FEWER: "fewer than by chance",
    AS_CHANCE: "as by chance",
    MORE: "more than by chance",
}


def draw_tag_landscape(
    tags: pl.DataFrame,
    n_pool: int,
    n_selected: int,
) -> Figure:
    """The most frequent tags as tiles, and what the selection has of all tags.

    `tags` is a table of `tacos.methods.measures.representation`.
    """
    shown = tags.head(N_TILES)
    counts = dict(tags["standing"].value_counts().iter_rows())
    by_chance = expect_missing(tags, n_pool, n_selected)
    caption = (
        f"Of {count_words(tags.height, 'tag')} the selection has none of "
        f"{counts.get(NONE, 0):,} (as many random rows: of about {by_chance:,.0f}), fewer rows "
        f"than chance would give of {counts.get(FEWER, 0):,}, and more of "
        f"{counts.get(MORE, 0):,}. Each tile is a tag, as large as its rows in the pool; "
        f"{_describe_tiles(tags)}."
    )
    table = DataTable(
        ("tag", *SHARE_HEAD),
        list_share_cells(tags.head(N_LISTED), n_pool, n_selected),
        SHARE_NUMBERS,
        _describe_part(tags.height),
    )
    return build_figure(
        "tag-landscape",
        "Tags of the pool, and what the selection took of them",
        _chart_tiles(shown),
        table,
        caption=caption,
        basis=f"{n_selected:,} selected rows of {n_pool:,}",
    )


def draw_normalisation(
    steps: Sequence[Mapping[str, Any]],
    n_rows: int,
) -> Figure:
    """Distinct tags after each step of normalisation.

    `steps` have name, n_in, n_out, n_merged, n_dropped, in their order; there is at least one.
    """
    n_raw = steps[0]["n_in"]
    n_canonical = steps[-1]["n_out"]
    n_merged = sum(step["n_merged"] for step in steps)
    n_dropped = sum(step["n_dropped"] for step in steps)
    bars = [{"step": "raw tags", "n": n_raw, "text": f"{n_raw:,}"}]
    bars += [
        {
            "step": f"after {step['name']}",
            "n": step["n_out"],
            "text": _describe_step(step),
        }
        for step in steps
    ]
    caption = (
        f"{count_words(n_raw, 'raw tag')} became {n_canonical:,} canonical ones: "
        f"{n_merged:,} were merged into another, {n_dropped:,} were dropped."
    )
    cells = [
        (
            step["name"],
            *(f"{step[key]:,}" for key in ("n_in", "n_out", "n_merged", "n_dropped")),
        )
        for step in steps
    ]
    table = DataTable(
        ("step", "tags in", "tags out", "merged", "dropped"),
        cells,
        frozenset({1, 2, 3, 4}),
        "Distinct tags before and after each step",
    )
    return build_figure(
        "tag-normalisation",
        "From raw tags to canonical ones",
        _chart_steps(bars),
        table,
        caption=caption,
        basis=f"the tags of {count_words(n_rows, 'row')}",
    )


def _describe_part(n_tags: int) -> str:
    """What the table has of all tags."""
    if n_tags <= N_LISTED:
        return f"All {n_tags:,} tags, the most frequent first"
    return f"The {N_LISTED} most frequent of {n_tags:,} tags"


def _describe_tiles(tags: pl.DataFrame) -> str:
    """Which tags the tiles are, and how much of the pool's tags they stand for."""
    if tags.height <= N_TILES:
        return "a row counts in each of its tags"
    n_drawn = int(tags.head(N_TILES)["n_pool"].sum())
    share = n_drawn / int(tags["n_pool"].sum())
    return (
        f"drawn are the {N_TILES} most frequent, which are {share:.0%} of all tags given to rows, "
        "and a row counts in each of its tags"
    )


def _describe_step(step: Mapping[str, Any]) -> str:
    """Tags after a step, and what became of the others."""
    text = f"{step['n_out']:,}"
    if step["n_merged"]:
        text += f"  ({step['n_merged']:,} merged)"
    if step["n_dropped"]:
        text += f"  ({step['n_dropped']:,} dropped)"
    return text


# Charts


def _chart_steps(bars: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Bars with their numbers, as Vega-Lite."""
    longest = max(bar["n"] for bar in bars)
    y = {"field": "step", "type": "nominal", "sort": None, "title": None}
    # Room for the text beside the longest bar
    x = {
        "field": "n",
        "type": "quantitative",
        "axis": None,
        "scale": {"domain": [0, max(longest, 1) * 2.2]},
    }
    drawn = {"mark": {"type": "bar", "color": SELECTED}, "encoding": {"x": x, "y": y}}
    text = {
        "mark": {"type": "text", "align": "left", "dx": 6, "color": INK},
        "encoding": {"x": x, "y": y, "text": {"field": "text"}},
    }
    return {
        "$schema": VEGA_LITE,
        "data": {"values": list(bars)},
        "width": 240,
        "height": {"step": 24},
        "layer": [drawn, text],
    }


def _chart_tiles(shown: pl.DataFrame) -> dict[str, Any]:
    """A treemap, as Vega."""
    tiles: list[dict[str, Any]] = [{"id": "all", "parent": None}]
    tiles += [
        {
            "id": f"tag {tag['group']}",
            "parent": "all",
            "name": tag["group"],
            "note": f"{tag['n_selected']:,} of {tag['n_pool']:,}",
            "rows": tag["n_pool"],
            "standing": tag["standing"],
        }
        for tag in shown.iter_rows(named=True)
    ]
    layout = [
        {"type": "stratify", "key": "id", "parentKey": "parent"},
        {
            "type": "treemap",
            "field": "rows",
            "sort": {"field": ["value", "id"], "order": ["descending", "ascending"]},
            "round": True,
            "paddingInner": 2,
            "size": [WIDTH, HEIGHT],
        },
        {"type": "filter", "expr": "datum.parent !== null"},
    ]
    standings = [name for name in STANDINGS if name in set(shown["standing"])]
    return {
        "$schema": VEGA,
        "width": WIDTH,
        "height": HEIGHT,
        "data": [{"name": "tiles", "values": tiles, "transform": layout}],
        "scales": [
            {
                "name": "color",
                "type": "ordinal",
                "domain": list(STANDINGS),
                "range": [COLORS[name] for name in STANDINGS],
            },
            {
                "name": "legend",
                "type": "ordinal",
                "domain": [LABELS[name] for name in standings],
                "range": [COLORS[name] for name in standings],
            },
        ],
        "legends": [
            {
                "fill": "legend",
                "orient": "top",
                "direction": "horizontal",
                "symbolType": "square",
                "symbolStrokeWidth": 0,
            }
        ],
        "marks": [
            _build_tile_mark(),
            _build_text_mark("name", 12, line=14, room=(34, 18)),
            _build_text_mark("note", 11, line=29, room=(72, 34)),
        ],
    }


def _build_tile_mark() -> dict[str, Any]:
    """The tiles themselves."""
    places = {
        "x": {"field": "x0"},
        "y": {"field": "y0"},
        "x2": {"field": "x1"},
        "y2": {"field": "y1"},
    }
    return {
        "type": "rect",
        "from": {"data": "tiles"},
        # A name that has no room is shown near a pointer (`tacos.report.figures.draw_svg`).
        "aria": True,
        "encode": {
            "enter": {
                **places,
                "fill": {"scale": "color", "field": "standing"},
                "description": {"signal": "datum.name + ': ' + datum.note + ' rows'"},
            }
        },
    }


def _build_text_mark(
    field: str,
    size: int,
    line: int,
    room: tuple[int, int],
) -> dict[str, Any]:
    """A line of text in each tile of at least a width and a height, cut to the tile's width."""
    width, height = room
    has_room = f"datum.x1 - datum.x0 >= {width} && datum.y1 - datum.y0 >= {height}"
    return {
        "type": "text",
        "from": {"data": "tiles"},
        # A pointer is at the tile behind it.
        "interactive": False,
        "encode": {
            "enter": {
                "x": {"field": "x0", "offset": 4},
                "y": {"field": "y0", "offset": line},
                "text": {"signal": f"{has_room} ? datum.{field} : ''"},
                "limit": {"signal": "datum.x1 - datum.x0 - 6"},
                "fill": {"value": "#000"},
                "fontSize": {"value": size},
            }
        },
    }
