"""Charts as Vega-Lite, rendered to SVG or PNG without a network; InsTag's figure 2 among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import polars as pl
import vl_convert

from tacos.report.figure_texts import format_share
from tacos.visible_text import clean_texts

WIDTH = 460
HEIGHT = 320
PANELS_PER_ROW = 3
Z_95 = 1.96
"""Standard errors on either side of a mean in its 95% confidence interval."""

OURS = "#4c78a8"
RANDOM = "#9d9d9d"

PANELS = {
    "coverage": "share of tags covered",
    "mean_tags": "mean tags per sample",
    "mean_length": "mean length (characters)",
    "mean_score": "mean score",
    "cluster_distance": "distance from the pool's mix of clusters",
}
"""Figure of a selection -> title of its axis."""


def chart_analysis(tables: Mapping[str, pl.DataFrame]) -> dict[str, dict[str, Any]]:
    """Name -> Vega-Lite, from the tables of `tacos.workflows.analyse.Analysis`."""
    charts = {
        "complexity-coverage": _chart_complexity(tables["summary"]),
        "rarefaction": _chart_rarefaction(tables["rarefaction"]),
        "recall": _chart_recall(tables["recall"]),
        "frequencies": _chart_frequencies(tables["frequencies"]),
    }
    return {name: chart.to_dict() for name, chart in charts.items()}


def chart_strategies(
    table: pl.DataFrame,
    random: pl.DataFrame,
    overlap: pl.DataFrame,
) -> dict[str, Any]:
    """Strategies as points, a panel per figure, random's draws as a band, and the share of rows
    that strategies have in common.

    `table`, `random` and `overlap` are those of `tacos.workflows.compare.Comparison`.
    """
    bands = {figure: (low, high) for figure, _, low, high in random.iter_rows()}
    panels = []
    for figure, title in PANELS.items():
        if table[figure].count():
            shown = _drop_trivial_pool(table, figure)
            panels.append(
                _chart_panel(
                    shown,
                    figure,
                    title,
                    bands[figure],
                )
            )
    rows = [
        alt.hconcat(*panels[start : start + PANELS_PER_ROW])
        for start in range(0, len(panels), PANELS_PER_ROW)
    ]
    strategies = [name for name in table["strategy"].to_list() if name != "pool"]
    title = "grey: the range of random selections of the same size"
    chart = alt.vconcat(
        *rows,
        _chart_overlap(overlap, strategies),
        title=title,
    )
    vega_lite: dict[str, Any] = chart.to_dict()
    return vega_lite


def chart_curve(
    table: pl.DataFrame,
    strategy: str,
    knee: int | None,
) -> dict[str, Any]:
    """A strategy's coverage, with that of random rows, its mean score and mean tags against the
    number of rows.

    `table` is that of `tacos.workflows.curve.SizeCurve`; a dashed line marks the knee.
    """
    smallest = int(table["n"].min())  # type: ignore[arg-type]
    largest = int(table["n"].max())  # type: ignore[arg-type]
    x_scale = alt.Scale(
        type="log",
        domain=[smallest, largest],
        nice=False,
    )
    x = alt.X(
        "n:Q",
        title="rows",
        scale=x_scale,
    )
    panels = [_chart_curve_coverage(table, strategy, knee, x)]
    for figure in ("mean_score", "mean_tags"):
        known = table.select("n", figure).drop_nulls()
        if known.height:
            panels.append(_chart_curve_figure(known, figure, x))
    vega_lite: dict[str, Any] = alt.hconcat(*panels).to_dict()
    return vega_lite


def render_svg(chart: Mapping[str, Any]) -> str:
    """A chart as SVG."""
    # The renderer ends the whole process at a character that XML does not know.
    return str(vl_convert.vegalite_to_svg(clean_texts(chart)))


def render_png(chart: Mapping[str, Any]) -> bytes:
    """A chart as PNG, at twice the size."""
    return bytes(vl_convert.vegalite_to_png(clean_texts(chart), scale=2))


def _chart_table(table: pl.DataFrame) -> Any:
    """An empty chart with a table as data inside it."""
    return alt.Chart(alt.InlineData(values=table.to_dicts()))


# Analyses


def _chart_complexity(summary: pl.DataFrame) -> Any:
    """Data sets as points: mean tags per sample against the share of the joint tag set (InsTag,
    figure 2).
    """
    margin = Z_95 * pl.col("complexity_error")
    shown = summary.with_columns(
        low=pl.col("complexity") - margin,
        high=pl.col("complexity") + margin,
    )
    x = alt.X(
        "coverage:Q",
        title="coverage of the joint tag set",
        axis=alt.Axis(format="%"),
    )
    y = alt.Y(
        "complexity:Q",
        title="mean tags per sample",
        scale=alt.Scale(zero=False, padding=24),
    )
    size = alt.Size(
        "n_samples:Q",
        title="samples",
        scale=alt.Scale(type="log", range=[40, 500]),
        # Names of points at the right edge reach out of the chart.
        legend=alt.Legend(offset=48),
    )
    base = _chart_table(shown).encode(x=x)
    # Points with error bars, and a name above each
    points = base.mark_circle(opacity=0.8).encode(y=y, size=size)
    low = alt.Y("low:Q", title="")
    bars = base.mark_rule().encode(y=low, y2="high:Q")
    names = base.mark_text(dy=-16, fontSize=11).encode(y="high:Q", text="data:N")
    return (bars + points + names).properties(width=WIDTH, height=HEIGHT)


def _chart_rarefaction(curves: pl.DataFrame) -> Any:
    """Coverage against sample size, with the interval of random samples."""
    x = alt.X(
        "size:Q",
        title="samples, drawn at random",
        scale=alt.Scale(type="log"),
    )
    y = alt.Y(
        "expected:Q",
        title="coverage of the joint tag set",
        axis=alt.Axis(format="%"),
    )
    color = alt.Color(
        "data:N",
        title="",
        legend=alt.Legend(symbolOpacity=1),
    )
    # A logarithmic axis has no 0.
    shown = curves.filter(pl.col("size") > 0)
    base = _chart_table(shown).encode(x=x, color=color)
    band = base.mark_area(opacity=0.25).encode(y=alt.Y("low:Q", title=""), y2="high:Q")
    line = base.mark_line().encode(y=y)
    return (band + line).properties(width=WIDTH, height=HEIGHT)


def _chart_recall(table: pl.DataFrame) -> Any:
    """How much of one data set's tags another one has."""
    long = table.unpivot(
        index="data",
        variable_name="of",
        value_name="share",
    )
    order = table["data"].to_list()
    x = alt.X(
        "of:N",
        title="tags of",
        sort=order,
    )
    y = alt.Y(
        "data:N",
        title="found in",
        sort=order,
    )
    return _chart_shares(
        long,
        x,
        y,
        title="recall",
        row_height=36,
    )


def _chart_frequencies(table: pl.DataFrame) -> Any:
    """Share of samples against the rank of a tag, both logarithmic."""
    # Thin out the ranks evenly on that scale: a mark every 1/40 of a natural logarithm.
    step = (pl.col("rank").cast(pl.Float64).log() * 40).floor()
    is_new_step = step.ne(step.shift(1).over("data")).fill_null(True)
    thinned = table.filter(is_new_step).select("data", "rank", "share", "tag")
    x = alt.X(
        "rank:Q",
        title="rank of the tag",
        scale=alt.Scale(type="log"),
    )
    y = alt.Y(
        "share:Q",
        title="share of samples",
        scale=alt.Scale(type="log"),
    )
    return (
        _chart_table(thinned)
        .mark_line()
        .encode(
            x=x,
            y=y,
            color=alt.Color("data:N", title=""),
        )
        .properties(width=WIDTH, height=HEIGHT)
    )


# Strategies


def _drop_trivial_pool(table: pl.DataFrame, figure: str) -> pl.DataFrame:
    """The rows that a panel shows: without the pool if its figure is 1 or 0 by definition, which
    would squeeze the others.
    """
    if figure in {"coverage", "cluster_distance"}:
        return table.filter(pl.col("strategy") != "pool")
    return table


def _chart_panel(
    table: pl.DataFrame,
    figure: str,
    title: str,
    bounds: tuple[float, float],
) -> Any:
    """One figure of every strategy; the band is the range of random selections."""
    low, high = bounds
    band_table = pl.DataFrame({figure: [low], "high": [high]})
    known = table.select("strategy", figure).drop_nulls()
    x = alt.X(
        f"{figure}:Q",
        title=title,
        scale=alt.Scale(zero=False, padding=12),
    )
    y = alt.Y(
        "strategy:N",
        title="",
        sort=table["strategy"].to_list(),
    )
    points = _chart_table(known).mark_circle(size=70).encode(x=x, y=y)
    band = (
        _chart_table(band_table)
        .mark_rect(opacity=0.25, color="gray")
        .encode(x=x, x2="high:Q")
    )
    return (band + points).properties(width=200, height=alt.Step(22))


def _chart_overlap(overlap: pl.DataFrame, order: list[str]) -> Any:
    """The share of a selection's rows that another one has, too."""
    long = overlap.unpivot(
        index="strategy",
        variable_name="other",
        value_name="share",
    )
    x = alt.X(
        "other:N",
        title="rows also in",
        sort=order,
    )
    y = alt.Y(
        "strategy:N",
        title="share of",
        sort=order,
    )
    return _chart_shares(
        long,
        x,
        y,
        title="share",
        row_height=28,
    )


def _chart_shares(
    long: pl.DataFrame,
    x: alt.X,
    y: alt.Y,
    title: str,
    row_height: int,
) -> Any:
    """A heat map of the column `share`, with the percentages in its cells."""
    color = alt.Color(
        "share:Q",
        title=title,
        scale=alt.Scale(domain=[0, 1]),
    )
    # Dark cells have white text.
    ink = alt.condition("datum.share > 0.6", alt.value("white"), alt.value("black"))
    # The texts of the tables: Vega rounds halves in another way.
    texts = [format_share(share, digits=0) for share in long["share"]]
    percent = alt.Text("text:N")
    base = _chart_table(long.with_columns(text=pl.Series(texts))).encode(x=x, y=y)
    cells = base.mark_rect().encode(color=color)
    labels = base.mark_text().encode(text=percent, color=ink)
    return (cells + labels).properties(width=alt.Step(64), height=alt.Step(row_height))


# Curves


def _chart_curve_coverage(
    table: pl.DataFrame,
    strategy: str,
    knee: int | None,
    x: alt.X,
) -> Any:
    """Coverage of a strategy and of random rows, with the knee."""
    named = table.select(
        "n",
        pl.col("coverage").alias(strategy),
        pl.col("by_chance").alias("random rows"),
    )
    long = named.unpivot(
        index="n",
        variable_name="rows of",
        value_name="coverage",
    )
    y = alt.Y(
        "coverage:Q",
        title="share of tags covered",
        axis=alt.Axis(format="%"),
    )
    color = alt.Color(
        "rows of:N",
        title="",
        scale=alt.Scale(domain=[strategy, "random rows"], range=[OURS, RANDOM]),
    )
    chart = (
        _chart_table(long.drop_nulls())
        .mark_line(point=True)
        .encode(x=x, y=y, color=color)
    )
    if knee is not None:
        knee_line = (
            _chart_table(pl.DataFrame({"n": [knee]}))
            .mark_rule(strokeDash=[4, 4])
            .encode(x=x)
        )
        chart = chart + knee_line
    return chart.properties(width=WIDTH, height=HEIGHT)


def _chart_curve_figure(
    known: pl.DataFrame,
    figure: str,
    x: alt.X,
) -> Any:
    """One more figure against the number of rows, at half the width."""
    y = alt.Y(
        f"{figure}:Q",
        title=PANELS[figure],
        scale=alt.Scale(zero=False),
    )
    point = alt.OverlayMarkDef(color=OURS)
    line = _chart_table(known).mark_line(point=point, color=OURS).encode(x=x, y=y)
    return line.properties(width=WIDTH // 2, height=HEIGHT)
