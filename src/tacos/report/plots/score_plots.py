"""Scores against the length of the response, and value against correctness; selected rows marked.

The scores are those of the judge that selected, so that a picture of them says what the judge
favours, not what is good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tacos.counts import count_words
from tacos.methods.judging.judge_health import (
    Measurement,
    correlate_ranks,
    drop_null_rows,
)
from tacos.report.figure_texts import (
    format_correlation,
    format_figure,
    format_score,
    format_share,
)
from tacos.report.figures import INK, POOL, SELECTED, build_figure
from tacos.report.page_parts import DataTable, Figure
from tacos.report.plots.dots import (
    VEGA,
    Floats,
    build_dot_mark,
    build_dot_path,
    scale_places,
)

WIDTH = 284
HEIGHT = 260
# The last label of an axis reaches beyond its end: "1,000,000" by 30 pixels.
PADDING = {"left": 52, "right": 34, "top": 10, "bottom": 44}
N_BINS = 10
MIN_FOLLOWED = 0.3
"""From this rank correlation on, a caption says that one number follows the other."""


@dataclass(frozen=True)
class Axis:
    """A column of a scatter plot, its title, and whether its axis is logarithmic."""

    column: str
    title: str
    is_log: bool = False

    def transform(self, values: pl.Series) -> Floats:
        """The values as they lie on the axis."""
        numbers = values.cast(pl.Float64).to_numpy()
        # A logarithmic axis has no 0.
        return np.log10(np.maximum(numbers, 1)) if self.is_log else numbers


LENGTH = Axis("length", "length of the response (characters)", is_log=True)
SCORE = Axis("score", "score")
CORRECTNESS = Axis("correctness", "correctness")
VALUE = Axis("value", "value")


def draw_score_length(pool: pl.DataFrame, drawn: pl.DataFrame) -> Figure | None:
    """Scores against lengths; None where fewer than two rows have a score.

    `pool` has length, score and is_selected of every row; `drawn` are those that become dots.
    """
    rated = drop_null_rows(pool.select("length", "score", "is_selected"))
    if rated.height < 2:
        return None
    of_pool = correlate_ranks(rated, "score", "length")
    of_selected = correlate_ranks(rated.filter("is_selected"), "score", "length")
    caption = (
        f"{_describe_link(of_pool, 'score', 'length', 'longer responses')} "
        f"Among the selected rows the correlation is {_format_measured(of_selected)}. "
        f"{_compare_medians(rated)}"
    )
    return _draw_scatter(
        "score-length",
        "Score against length",
        (LENGTH, SCORE),
        rated,
        drawn.drop_nulls("score"),
        caption,
    )


def draw_value_correctness(pool: pl.DataFrame, drawn: pl.DataFrame) -> Figure | None:
    """Value against correctness; None where the judge gives only one number.

    `pool` has value, correctness and is_selected of every row; `drawn` are those that become dots.
    """
    columns = ["value", "correctness"]
    rated = drop_null_rows(pool.select(*columns, "is_selected"))
    if rated.height < 2:
        return None
    of_pool = correlate_ranks(rated, "value", "correctness")
    selected = rated.filter("is_selected")
    caption = (
        f"{_describe_link(of_pool, 'value', 'correctness', 'more correct rows')} Of the selected "
        f"rows the mean value is {format_score(selected['value'].mean())} and the mean "  # type: ignore[arg-type]
        f"correctness {format_score(selected['correctness'].mean())}, of all rated rows "  # type: ignore[arg-type]
        f"{format_score(rated['value'].mean())} and {format_score(rated['correctness'].mean())}."  # type: ignore[arg-type]
    )
    return _draw_scatter(
        "value-correctness",
        "Value against correctness",
        (CORRECTNESS, VALUE),
        rated,
        drawn.drop_nulls(columns),
        caption,
    )


def tabulate_bins(rated: pl.DataFrame, x: str, y: str) -> pl.DataFrame:
    """Rows in tenths by `x`: low, high, n, n_selected, median (of `y`), the lowest first.

    Rows with the same value are in the same tenth, so that there may be fewer of them.
    """
    ordered = np.sort(rated[x].to_numpy())
    # A row is above the first r rows where its value is larger than theirs.
    firsts = [-(-number * rated.height // N_BINS) for number in range(1, N_BINS)]
    ends = ordered[[max(first, 1) - 1 for first in firsts]]
    del ordered
    tenth = np.searchsorted(ends, rated[x].to_numpy()).astype(np.uint8)
    bins = []
    for number in range(N_BINS):
        rows = rated.select(x, y, "is_selected").filter(pl.Series(tenth == number))
        if rows.height:
            bins.append(
                rows.select(
                    low=pl.col(x).min().cast(pl.Float64),
                    high=pl.col(x).max().cast(pl.Float64),
                    middle=pl.col(x).median(),
                    n=pl.len().cast(pl.Int64),
                    n_selected=pl.col("is_selected").sum().cast(pl.Int64),
                    median=pl.col(y).median(),
                )
            )
    return pl.concat(bins)


# Captions


def _describe_link(
    correlation: Measurement,
    one: str,
    other: str,
    rows: str,
) -> str:
    """Whether one number follows the other, in a sentence."""
    value = correlation.value
    measured = f"rank correlation {_format_measured(correlation)}"
    if value is None:
        return f"Whether the {one} follows the {other} cannot be told ({measured})."
    if abs(value) < MIN_FOLLOWED:
        return f"The {one} hardly follows the {other} ({measured})."
    level = "higher" if value > 0 else "lower"
    return f"The {one} follows the {other}: {rows} have {level} ones ({measured})."


def _format_measured(correlation: Measurement) -> str:
    """A correlation and how many rows it rests on."""
    n_rows = count_words(correlation.n, "row")
    return f"{format_correlation(correlation.value)} over {n_rows}"


def _compare_medians(rated: pl.DataFrame) -> str:
    """The median lengths of rated and of selected rows."""
    of_selected = rated.filter("is_selected")["length"].median()
    if of_selected is None:
        return "No selected row has a score."
    of_rated = rated["length"].median()
    return (
        f"The median selected response has {format_figure('median_length', of_selected)} "  # type: ignore[arg-type]
        f"characters, the median rated one {format_figure('median_length', of_rated)}."  # type: ignore[arg-type]
    )


# Drawing


def _draw_scatter(
    name: str,
    title: str,
    axes: tuple[Axis, Axis],
    rated: pl.DataFrame,
    drawn: pl.DataFrame,
    caption: str,
) -> Figure:
    """Dots, and the median of y in each tenth of x."""
    x, y = axes
    bins = tabulate_bins(rated, x.column, y.column)
    basis = f"{count_words(rated.height, 'rated row')}"
    if drawn.height < rated.height:
        basis += f", of which {drawn.height:,} are drawn"
    return build_figure(
        name,
        title,
        _chart_scatter(axes, rated, drawn, bins),
        _build_bin_table(axes, bins),
        caption=f"{caption} The line joins the medians of tenths of the rows.",
        basis=basis,
    )


def _build_bin_table(axes: tuple[Axis, Axis], bins: pl.DataFrame) -> DataTable:
    """The tenths as a table."""
    x, y = axes
    rows = []
    for row in bins.iter_rows(named=True):
        digits = 0 if x.is_log else 1
        rows.append(
            (
                f"{row['low']:,.{digits}f} to {row['high']:,.{digits}f}",
                f"{row['n']:,}",
                format_score(row["median"]),
                f"{row['n_selected']:,}",
                format_share(row["n_selected"] / row["n"]),
            )
        )
    head = (x.title, "rated rows", f"median {y.title}", "selected", "share selected")
    caption = f"Tenths of the rated rows by {x.column}"
    return DataTable(head, rows, frozenset({1, 2, 3, 4}), caption)


def _chart_scatter(
    axes: tuple[Axis, Axis],
    rated: pl.DataFrame,
    drawn: pl.DataFrame,
    bins: pl.DataFrame,
) -> dict[str, Any]:
    """Dots and a line over axes, as Vega."""
    domains = [_find_domain(axis, rated[axis.column]) for axis in axes]
    places = []
    for axis, domain, pixels in zip(
        axes, domains, ((0, WIDTH), (HEIGHT, 0)), strict=True
    ):
        ends = np.log10(domain) if axis.is_log else np.array(domain)
        values = axis.transform(drawn[axis.column])
        places.append(scale_places(values, (ends[0], ends[1]), pixels))
    left, top = places
    is_selected = drawn["is_selected"].to_numpy()
    others = build_dot_path(left[~is_selected], top[~is_selected])
    selected = build_dot_path(left[is_selected], top[is_selected])
    x, y = axes
    line = bins.select(x="middle", y="median").drop_nulls().to_dicts()
    return {
        "$schema": VEGA,
        "width": WIDTH,
        "height": HEIGHT,
        "autosize": "none",
        "padding": PADDING,
        "data": [{"name": "line", "values": line}],
        "scales": [
            _build_scale("x", x, domains[0], "width"),
            _build_scale("y", y, domains[1], "height"),
        ],
        "axes": [
            _build_axis("x", "bottom", x),
            _build_axis("y", "left", y),
        ],
        "marks": [
            build_dot_mark(others, POOL, size=2.4, opacity=0.5),
            build_dot_mark(selected, SELECTED, size=4),
            _build_line_mark(),
        ],
    }


def _find_domain(axis: Axis, values: pl.Series) -> tuple[float, float]:
    """The ends of an axis: the values' own, a little further apart where they are one value."""
    low = float(values.min())  # type: ignore[arg-type]
    high = float(values.max())  # type: ignore[arg-type]
    if axis.is_log:
        low, high = max(low, 1.0), max(high, 1.0)
        return (low, high) if low < high else (low, low * 10)
    return (low, high) if low < high else (low - 1, high + 1)


def _build_scale(
    name: str,
    axis: Axis,
    domain: tuple[float, float],
    size: str,
) -> dict[str, Any]:
    """A scale whose places are those of the dots."""
    return {
        "name": name,
        "type": "log" if axis.is_log else "linear",
        "domain": list(domain),
        "range": size,
        "zero": False,
        "nice": False,
    }


def _build_axis(scale: str, orient: str, axis: Axis) -> dict[str, Any]:
    """An axis with few labels."""
    return {
        "scale": scale,
        "orient": orient,
        "title": axis.title,
        "tickCount": 5,
        "format": ",.0f" if axis.is_log else ",.3~f",
        "labelOverlap": True,
        "grid": False,
    }


def _build_line_mark() -> dict[str, Any]:
    """The medians."""
    return {
        "type": "line",
        "from": {"data": "line"},
        "encode": {
            "enter": {
                "x": {"scale": "x", "field": "x"},
                "y": {"scale": "y", "field": "y"},
                "stroke": {"value": INK},
                "strokeWidth": {"value": 2},
            }
        },
    }
