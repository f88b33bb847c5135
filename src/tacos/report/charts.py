"""Charts of an analysis as Vega-Lite, drawn to SVG or PNG without a network; InsTag's figure 2
among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import polars as pl
import vl_convert

WIDTH, HEIGHT = 460, 320


def chart_analysis(tables: Mapping[str, pl.DataFrame]) -> dict[str, dict[str, Any]]:
    """Name -> Vega-Lite, from the tables of `tacos.workflows.analyse.Analysis`."""
    drawn = {
        "complexity-coverage": _chart_complexity(tables["summary"]),
        "rarefaction": _chart_rarefaction(tables["rarefaction"]),
        "recall": _chart_recall(tables["recall"]),
        "frequencies": _chart_frequencies(tables["frequencies"]),
    }
    return {name: chart.to_dict() for name, chart in drawn.items()}


def render_svg(chart: Mapping[str, Any]) -> str:
    """A chart as SVG."""
    return str(vl_convert.vegalite_to_svg(dict(chart)))


def render_png(chart: Mapping[str, Any]) -> bytes:
    """A chart as PNG, at twice the size."""
    return bytes(vl_convert.vegalite_to_png(dict(chart), scale=2))


def _inline_table(table: pl.DataFrame) -> alt.InlineData:
    """A table as data inside the chart."""
    return alt.InlineData(values=table.to_dicts())


def _chart_complexity(summary: pl.DataFrame) -> Any:
    """Data sets as points: mean tags per sample against the share of the joint tag set (InsTag,
    figure 2).
    """
    shown = summary.with_columns(
        low=pl.col("complexity") - 1.96 * pl.col("complexity_error"),
        high=pl.col("complexity") + 1.96 * pl.col("complexity_error"),
    )
    x = alt.X("coverage:Q", title="coverage of the joint tag set", axis=alt.Axis(format="%"))
    y = alt.Y("complexity:Q", title="mean tags per sample", scale=alt.Scale(zero=False, padding=24))
    beside = alt.Legend(offset=48)  # names of points at the right edge stand out of the chart
    base = alt.Chart(_inline_table(shown)).encode(x=x)
    points = base.mark_circle(opacity=0.8).encode(
        y=y,
        size=alt.Size(
            "n_samples:Q",
            title="samples",
            scale=alt.Scale(type="log", range=[40, 500]),
            legend=beside,
        ),
    )
    bars = base.mark_rule().encode(y=alt.Y("low:Q", title=""), y2="high:Q")
    names = base.mark_text(dy=-16, fontSize=11).encode(y="high:Q", text="data:N")
    return (bars + points + names).properties(width=WIDTH, height=HEIGHT)


def _chart_rarefaction(curves: pl.DataFrame) -> Any:
    """Coverage against sample size, with the interval of random samples."""
    x = alt.X("size:Q", title="samples, drawn at random", scale=alt.Scale(type="log"))
    color = alt.Color("data:N", title="", legend=alt.Legend(symbolOpacity=1))
    base = alt.Chart(_inline_table(curves.filter(pl.col("size") > 0))).encode(x=x, color=color)
    band = base.mark_area(opacity=0.25).encode(y=alt.Y("low:Q", title=""), y2="high:Q")
    line = base.mark_line().encode(
        y=alt.Y("expected:Q", title="coverage of the joint tag set", axis=alt.Axis(format="%"))
    )
    return (band + line).properties(width=WIDTH, height=HEIGHT)


def _chart_recall(table: pl.DataFrame) -> Any:
    """Which data set has how much of another's tags."""
    long = table.unpivot(index="data", variable_name="of", value_name="share")
    base = alt.Chart(_inline_table(long)).encode(
        x=alt.X("of:N", title="tags of", sort=table["data"].to_list()),
        y=alt.Y("data:N", title="found in", sort=table["data"].to_list()),
    )
    cells = base.mark_rect().encode(
        color=alt.Color("share:Q", title="recall", scale=alt.Scale(domain=[0, 1]))
    )
    ink = alt.condition("datum.share > 0.6", alt.value("white"), alt.value("black"))
    return (
        cells + base.mark_text().encode(text=alt.Text("share:Q", format=".0%"), color=ink)
    ).properties(width=alt.Step(64), height=alt.Step(36))


def _chart_frequencies(table: pl.DataFrame) -> Any:
    """Share of samples against the rank of a tag, both logarithmic; ranks thinned out evenly on
    that scale.
    """
    step = (pl.col("rank").cast(pl.Float64).log() * 40).floor()
    thin = table.filter(step.ne(step.shift(1).over("data")).fill_null(True))
    return (
        alt.Chart(_inline_table(thin.select("data", "rank", "share", "tag")))
        .mark_line()
        .encode(
            x=alt.X("rank:Q", title="rank of the tag", scale=alt.Scale(type="log")),
            y=alt.Y("share:Q", title="share of samples", scale=alt.Scale(type="log")),
            color=alt.Color("data:N", title=""),
        )
        .properties(width=WIDTH, height=HEIGHT)
    )


PANELS = {
    "coverage": "share of tags covered",
    "mean_tags": "mean tags per sample",
    "mean_length": "mean length (characters)",
    "mean_score": "mean score",
    "cluster_distance": "distance from the pool's mix of clusters",
}


def chart_strategies(
    table: pl.DataFrame, random: pl.DataFrame, overlap: pl.DataFrame
) -> dict[str, Any]:
    """Strategies as points, a panel per figure, random's draws as a band; and which rows they have
    in common.

    `table`, `random` and `overlap` are those of `tacos.workflows.compare.Comparison`.
    """
    names = table["strategy"].to_list()
    bands = {figure: (low, high) for figure, _, low, high in random.iter_rows()}
    panels = [
        _chart_panel(_drop_trivial_pool(table, name), name, title, bands[name])
        for name, title in PANELS.items()
        if table[name].count()
    ]
    rows = [alt.hconcat(*panels[i : i + 3]) for i in range(0, len(panels), 3)]
    below = _chart_overlap(overlap, [n for n in names if n != "pool"])
    drawn = alt.vconcat(*rows, below, title="grey: the range of random selections of the same size")
    made: dict[str, Any] = drawn.to_dict()
    return made


def _drop_trivial_pool(table: pl.DataFrame, figure: str) -> pl.DataFrame:
    """The rows that a panel shows: without the pool where that is 1 or 0 by definition and would
    squeeze the others.
    """
    return (
        table.filter(pl.col("strategy") != "pool")
        if figure in {"coverage", "cluster_distance"}
        else table
    )


def _chart_panel(table: pl.DataFrame, figure: str, title: str, bounds: tuple[float, float]) -> Any:
    """One figure of every strategy; the band is what random selections have."""
    order = table["strategy"].to_list()
    known = table.select("strategy", figure).drop_nulls()
    x = alt.X(f"{figure}:Q", title=title, scale=alt.Scale(zero=False, padding=12))
    points = (
        alt.Chart(_inline_table(known))
        .mark_circle(size=70)
        .encode(x=x, y=alt.Y("strategy:N", title="", sort=order))
    )
    chance = pl.DataFrame({figure: [bounds[0]], "high": [bounds[1]]})
    band = (
        alt.Chart(_inline_table(chance))
        .mark_rect(opacity=0.25, color="gray")
        .encode(x=x, x2="high:Q")
    )
    return (band + points).properties(width=200, height=alt.Step(22))


def _chart_overlap(overlap: pl.DataFrame, order: list[str]) -> Any:
    """Which share of a selection's rows another one has, too."""
    long = overlap.unpivot(index="strategy", variable_name="other", value_name="share")
    base = alt.Chart(_inline_table(long)).encode(
        x=alt.X("other:N", title="rows also in", sort=order),
        y=alt.Y("strategy:N", title="share of", sort=order),
    )
    cells = base.mark_rect().encode(
        color=alt.Color("share:Q", title="share", scale=alt.Scale(domain=[0, 1]))
    )
    ink = alt.condition("datum.share > 0.6", alt.value("white"), alt.value("black"))
    return (
        cells + base.mark_text().encode(text=alt.Text("share:Q", format=".0%"), color=ink)
    ).properties(width=alt.Step(64), height=alt.Step(28))


OURS, CHANCE = "#4c78a8", "#9d9d9d"


def chart_curve(table: pl.DataFrame, strategy: str, knee: int | None) -> dict[str, Any]:
    """A strategy's coverage, with that of random rows, mean score and mean tags against the number
    of rows.

    `table` is that of `tacos.workflows.curve.SizeCurve`; a dashed line stands at the knee.
    """
    bounds = [int(table["n"].min()), int(table["n"].max())]  # type: ignore[arg-type]
    rows = alt.X("n:Q", title="rows", scale=alt.Scale(type="log", domain=bounds, nice=False))
    colours = alt.Scale(domain=[strategy, "by chance"], range=[OURS, CHANCE])
    named = table.select(
        "n", pl.col("coverage").alias(strategy), pl.col("by_chance").alias("by chance")
    )
    long = named.unpivot(index="n", variable_name="rows of", value_name="coverage").drop_nulls()
    y = alt.Y("coverage:Q", title="share of tags covered", axis=alt.Axis(format="%"))
    colour = alt.Color("rows of:N", title="", scale=colours)
    drawn = alt.Chart(_inline_table(long)).mark_line(point=True).encode(x=rows, y=y, color=colour)
    if knee is not None:
        at = (
            alt.Chart(_inline_table(pl.DataFrame({"n": [knee]})))
            .mark_rule(strokeDash=[4, 4])
            .encode(x=rows)
        )
        drawn = drawn + at
    panels = [drawn.properties(width=WIDTH, height=HEIGHT)]
    for figure in ("mean_score", "mean_tags"):
        known = table.select("n", figure).drop_nulls()
        if known.height:
            side = alt.Y(f"{figure}:Q", title=PANELS[figure], scale=alt.Scale(zero=False))
            line = (
                alt.Chart(_inline_table(known))
                .mark_line(point=alt.OverlayMarkDef(color=OURS), color=OURS)
                .encode(x=rows, y=side)
            )
            panels.append(line.properties(width=WIDTH // 2, height=HEIGHT))
    made: dict[str, Any] = alt.hconcat(*panels).to_dict()
    return made
