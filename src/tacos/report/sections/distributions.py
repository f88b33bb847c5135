"""How scores and lengths of the selection are distributed."""

from __future__ import annotations

from typing import Any

import polars as pl

from tacos.report.figures import build_figure
from tacos.report.page_parts import DataTable, Figure, Section
from tacos.report.plots.dots import VEGA_LITE
from tacos.report.report_input import ReportInput

N_BINS = 30
WIDTH = 284
HEIGHT = 160


def build_distributions(source: ReportInput) -> Section:
    """A histogram of the scores, and one of the lengths."""
    figures = []
    scores = source.rows["score"].drop_nulls()
    if len(scores):
        figures.append(
            _build_histogram_figure(
                "scores-selected", "Scores of the selection", scores
            )
        )
    figures.append(
        _build_histogram_figure(
            "lengths-selected",
            "Response lengths of the selection (characters)",
            source.rows["length"],
        )
    )
    values = {"figures": figures}
    return Section("distributions", "Scores and lengths of the selection", values)


def _build_histogram_figure(name: str, title: str, values: pl.Series) -> Figure:
    """How often values fall into each of 30 bins."""
    bins = build_histogram(values)
    median = float(values.median())  # type: ignore[arg-type]
    rows = [
        (f"{each['low']:,.1f} to {each['high']:,.1f}", f"{each['n']:,}")
        for each in bins
    ]
    return build_figure(
        name,
        title,
        _chart_histogram(bins),
        DataTable(("from, to", "rows"), rows, frozenset({1})),
        caption=f"The median is {median:,.1f}.".replace(".0.", "."),
        basis=f"{len(values):,} selected rows",
    )


def _chart_histogram(bins: list[dict[str, Any]]) -> dict[str, Any]:
    """Bars, as Vega-Lite."""
    x = {
        "field": "low",
        "type": "quantitative",
        "bin": "binned",
        "title": None,
        "axis": {"tickCount": 6},
    }
    y = {
        "field": "n",
        "type": "quantitative",
        "title": "rows",
        "axis": {"tickCount": 4},
    }
    return {
        "$schema": VEGA_LITE,
        "data": {"values": bins},
        "width": WIDTH,
        "height": HEIGHT,
        "mark": "bar",
        "encoding": {"x": x, "x2": {"field": "high"}, "y": y},
    }


def build_histogram(values: pl.Series) -> list[dict[str, Any]]:
    """Bins of equal width: low, high, n."""
    if values.is_empty():
        return []
    low = float(values.min())  # type: ignore[arg-type]
    high = float(values.max())  # type: ignore[arg-type]
    # All values may be equal: then the first bin has them all.
    width = (high - low) / N_BINS or 1.0
    distances = values.cast(pl.Float64) - low
    positions = distances / width
    # The largest value belongs to the last bin, not to one of its own.
    numbers = positions.floor().cast(pl.Int64).clip(0, N_BINS - 1)
    counts = dict(numbers.value_counts().iter_rows())
    return [
        {
            "low": low + number * width,
            "high": low + (number + 1) * width,
            "n": counts.get(number, 0),
        }
        for number in range(N_BINS)
    ]
