"""The cluster map: rows as dots on a plane, the selected ones in colour."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.counts import count_words
from tacos.methods.clusters.sample_map import place_samples
from tacos.methods.samples.last_question import find_last_question
from tacos.report.figures import INK, PAPER, POOL, SELECTED, build_figure
from tacos.report.page_parts import DataTable, Figure, HoverPoint
from tacos.report.plots.dots import (
    VEGA,
    Floats,
    build_dot_mark,
    build_dot_path,
    fix_values,
    scale_places,
)

N_DRAWN = 6_000
"""Rows drawn at most, the selected ones among them."""
N_DRAWN_SELECTED = 2_000
WIDTH = 760
HEIGHT = 500
MARGIN = 12
N_NAMES = 18
"""Clusters that may be named on the map, the largest."""
NAME_LENGTH = 26
TEXT_LENGTH = 110
"""Characters of an instruction that are shown near a pointer."""
LINE = 14
CHARACTER = 6.2
"""Height of a line and mean width of a character of a name, in pixels."""


def choose_drawn(pool: pl.DataFrame, seed: int) -> pl.DataFrame:
    """The rows that are drawn, in the order of the pool: all, or some by chance, of the selection
    and of the others.

    `pool` has the column `is_selected`.
    """
    if pool.height <= N_DRAWN:
        return pool
    places = pl.DataFrame({"selected": pool["is_selected"]}).with_row_index("place")
    selected = places.filter("selected")["place"]
    others = places.filter(~pl.col("selected"))["place"]
    chosen = selected.sample(min(len(selected), N_DRAWN_SELECTED), seed=seed)
    rest = others.sample(min(len(others), N_DRAWN - len(chosen)), seed=seed)
    return pool[pl.concat([chosen, rest]).sort().to_list()]


def draw_cluster_map(
    drawn: pl.DataFrame,
    vectors: npt.NDArray[np.float32],
    n_pool: int,
    n_selected: int,
) -> Figure:
    """The rows of `choose_drawn` as dots: id, instruction, cluster, cluster_name, is_selected.

    `vectors` are theirs, shape (rows, dim); rows in no cluster have the cluster null.
    """
    numbers = drawn["cluster"].cast(pl.Int64).fill_null(-1).to_numpy()
    places = place_samples(vectors, numbers)
    x = _spread(places[:, 0], WIDTH)
    y = _spread(places[:, 1], HEIGHT)
    is_selected = drawn["is_selected"].to_numpy()
    points = []
    columns = (
        x.tolist(),
        y.tolist(),
        drawn.select("instruction", "cluster_name").rows(),
    )
    for left, top, (instruction, name) in zip(*columns, strict=True):
        text = f"{clip_text(find_last_question(instruction), TEXT_LENGTH)} ({name})"
        points.append(HoverPoint(left, top, text))
    title = "Where the selected rows lie among all rows"
    return build_figure(
        "cluster-map",
        title,
        _chart_map(x, y, is_selected, _place_names(drawn, x, y)),
        _count_drawn(drawn),
        caption=(
            "Each dot is a row, coloured where it is selected; rows of one cluster lie together, "
            "and alike clusters near each other. Distances inside a cluster mean little, and the "
            "axes mean nothing. Point at a dot to read its instruction."
        ),
        basis=_describe_drawn(drawn, n_pool, n_selected),
        points=points,
    )


def clip_text(text: str, length: int) -> str:
    """The beginning of a text on one line.

    >>> clip_text("Name  three\\ncolours.", 12)
    'Name three …'
    """
    line = " ".join(text[: 4 * length].split())
    if len(line) <= length and len(text) <= 4 * length:
        return line
    return f"{line[: length - 1]}…"


def _spread(values: Floats, size: int) -> Floats:
    """Places in pixels that fill a width or a height."""
    domain = (float(values.min()), float(values.max()))
    return scale_places(values, domain, (MARGIN, size - MARGIN))


def _describe_drawn(drawn: pl.DataFrame, n_pool: int, n_selected: int) -> str:
    """How many rows are drawn, of how many."""
    if drawn.height == n_pool:
        return f"all {count_words(n_pool, 'row')}, {n_selected:,} of them selected"
    n_drawn = int(drawn["is_selected"].sum())
    if n_drawn == n_selected:
        return (
            f"{drawn.height:,} of {count_words(n_pool, 'row')}: all {n_selected:,} selected ones, "
            f"and {drawn.height - n_drawn:,} of the others, drawn by chance"
        )
    return (
        f"{drawn.height:,} of {count_words(n_pool, 'row')}, drawn by chance: {n_drawn:,} of the "
        f"{n_selected:,} selected ones, and {drawn.height - n_drawn:,} of the others"
    )


def _count_drawn(drawn: pl.DataFrame) -> DataTable:
    """Dots per cluster."""
    counts = drawn.group_by("cluster", "cluster_name").agg(
        n=pl.len(),
        n_selected=pl.col("is_selected").sum(),
    )
    ordered = counts.sort("n", "cluster", descending=[True, False])
    rows = [
        ("" if number is None else number, name, f"{n:,}", f"{n_selected:,}")
        for number, name, n, n_selected in ordered.rows()
    ]
    return DataTable(
        ("no.", "cluster", "dots", "of selected rows"),
        rows,
        frozenset({0, 2, 3}),
        "Rows drawn of each cluster; its whole size is in the table of clusters",
    )


# Names


def _place_names(drawn: pl.DataFrame, x: Floats, y: Floats) -> list[dict[str, Any]]:
    """The names of the largest clusters at the middle of their dots, those that have room."""
    middles = (
        drawn.select("cluster", name="cluster_name", x=pl.Series(x), y=pl.Series(y))
        .drop_nulls("cluster")
        .group_by("cluster", "name")
        .agg(pl.col("x", "y").median(), n=pl.len())
        .sort("n", "cluster", descending=[True, False])
        .head(N_NAMES)
    )
    names: list[dict[str, Any]] = []
    for middle in middles.iter_rows(named=True):
        text = clip_text(middle["name"], NAME_LENGTH)
        half = len(text) * CHARACTER / 2
        # Names at the edge move inside.
        left = min(max(middle["x"], half), WIDTH - half)
        name = {"text": text, "x": round(left, 1), "y": round(middle["y"], 1)}
        if all(_leaves_room(name, other) for other in names):
            names.append(name)
    return names


def _leaves_room(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two names do not cover each other."""
    n_characters = len(one["text"]) + len(other["text"])
    is_beside = abs(one["x"] - other["x"]) >= n_characters * CHARACTER / 2 + 4
    return bool(is_beside or abs(one["y"] - other["y"]) >= LINE)


# Chart


def _chart_map(
    x: Floats,
    y: Floats,
    is_selected: npt.NDArray[np.bool_],
    names: list[dict[str, Any]],
) -> dict[str, Any]:
    """Dots and names, as Vega."""
    others = build_dot_path(x[~is_selected], y[~is_selected])
    selected = build_dot_path(x[is_selected], y[is_selected])
    text = {
        "x": {"field": "x"},
        "y": {"field": "y"},
        "text": {"field": "text"},
        **fix_values({"align": "center", "baseline": "middle", "fontSize": 12}),
    }
    # Names stand out from the dots by an edge in the colour of the page.
    edge = fix_values({"stroke": PAPER, "strokeWidth": 4, "strokeJoin": "round"})
    ink = fix_values({"fill": INK})
    return {
        "$schema": VEGA,
        "width": WIDTH,
        "height": HEIGHT,
        # Without an automatic size, places in the chart are places in the drawing.
        "autosize": "none",
        "padding": 0,
        "data": [{"name": "names", "values": names}],
        "marks": [
            build_dot_mark(others, POOL, size=2.6, opacity=0.6),
            build_dot_mark(selected, SELECTED, size=4.4),
            _build_name_mark({**text, **edge}),
            _build_name_mark({**text, **ink}),
        ],
    }


def _build_name_mark(encoding: dict[str, Any]) -> dict[str, Any]:
    """A mark for all names."""
    return {
        "type": "text",
        "from": {"data": "names"},
        "encode": {"enter": encoding},
    }
