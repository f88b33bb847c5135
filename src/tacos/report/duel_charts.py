"""The duels of two models as a figure: bars of outcomes, and scores with their intervals."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from tacos.methods.evaluating.duel_summary import DuelFigures, DuelSummary
from tacos.methods.evaluating.duels import Outcome
from tacos.report.charts import OURS

WIDTH = 300
ROW_HEIGHT = 34
WORDS: dict[Outcome, str] = {
    "win": "wins",
    "tie": "ties",
    "flip": "flips",
    "lose": "losses",
}
COLOURS = (OURS, "#d9d9d9", "#b8b8b8", "#e45756")
"""Of wins, ties, flips and losses."""
SCORE_COLOURS = ("#222222", "#f58518")
"""Of scores as judged, and at equal length."""


def chart_duels(summaries: list[DuelSummary]) -> dict[str, Any]:
    """Vega-Lite: for each two models, a bar for each set and for all of them, beside it the score
    with its interval, and that at equal length.
    """
    panels = []
    for summary in summaries:
        rows = list_chart_rows(summary)
        first, second = summary.models
        title = alt.TitleParams(f"{first} against {second}", anchor="start")
        both = _chart_outcomes(rows) | _chart_scores(rows)
        # Outcomes and scores have colours of their own.
        panels.append(both.properties(title=title).resolve_scale(color="independent"))
    return dict(alt.vconcat(*panels).to_dict())


def list_chart_rows(summary: DuelSummary) -> list[tuple[str, DuelFigures]]:
    """The label and the figures of each bar; the last one is of all sets."""
    rows = dict(summary.sets)
    # One set is all of them.
    if len(rows) > 1:
        rows["all"] = summary.pooled
    return [(_label_row(name, figures), figures) for name, figures in rows.items()]


def _label_row(name: str, figures: DuelFigures) -> str:
    """The set, and how many duels its bar rests on."""
    result = figures.result
    missing = f", {result.n_missing:,} missing" if result.n_missing else ""
    return f"{name} (n = {result.n:,}{missing})"


def _chart_outcomes(rows: list[tuple[str, DuelFigures]]) -> Any:
    """Stacked bars of the outcomes' shares, with the number of each."""
    records = []
    for label, figures in rows:
        start = 0.0
        for place, (name, count) in enumerate(figures.result.outcomes.items()):
            share = count / max(1, figures.result.n)
            record = {
                "set": label,
                "outcome": WORDS[name],
                "place": place,
                "start": start,
                "end": start + share,
                "middle": start + share / 2,
                # A narrow piece has no room for its number.
                "text": f"{count:,}" if share >= 0.06 else "",
            }
            records.append(record)
            start += share
    colour = alt.Color(
        "outcome:N",
        title="",
        sort=list(WORDS.values()),
        scale=alt.Scale(domain=list(WORDS.values()), range=COLOURS),
        legend=alt.Legend(orient="bottom"),
    )
    x = alt.X(
        "start:Q",
        title="share of the questions",
        axis=alt.Axis(format="%"),
        scale=alt.Scale(domain=[0, 1]),
    )
    base = _chart_records(records).encode(y=_build_axis(rows))
    bars = base.mark_bar().encode(x=x, x2="end:Q", color=colour)
    numbers = base.mark_text(fontSize=10, yOffset=-4).encode(
        x="middle:Q", text="text:N"
    )
    ends = _chart_records(_list_intervals(rows)).encode(y=_build_axis(rows))
    intervals = ends.mark_rule(size=2, yOffset=9).encode(x="low:Q", x2="high:Q")
    chart = bars + numbers + intervals
    return chart.properties(width=WIDTH, height=ROW_HEIGHT * len(rows))


def _list_intervals(rows: list[tuple[str, DuelFigures]]) -> list[dict[str, Any]]:
    """The intervals of the shares of wins and losses, around the ends of their pieces."""
    records = []
    for label, figures in rows:
        # Without a duel there is no share.
        if not figures.intervals:
            continue
        low, high = figures.intervals["win"]
        records.append({"set": label, "low": low, "high": high})
        # Losses end on the right.
        low, high = figures.intervals["lose"]
        records.append({"set": label, "low": 1 - high, "high": 1 - low})
    return records


def _chart_scores(rows: list[tuple[str, DuelFigures]]) -> Any:
    """Scores and their intervals, as judged and at equal length."""
    records = []
    kinds = ("as judged", "at equal length")
    for label, figures in rows:
        for kind, estimate in zip(
            kinds, (figures.result.score, figures.adjusted), strict=True
        ):
            if estimate is None:
                continue
            record = {
                "set": label,
                "kind": kind,
                "score": estimate.mean,
                "low": estimate.low,
                "high": estimate.high,
            }
            records.append(record)
    colour = alt.Color(
        "kind:N",
        title="",
        scale=alt.Scale(domain=kinds, range=SCORE_COLOURS),
        legend=alt.Legend(orient="bottom"),
    )
    x = alt.X(
        "score:Q",
        title="win score",
        axis=alt.Axis(format="%"),
        scale=alt.Scale(zero=False, padding=8),
    )
    y = _build_axis(rows, labels=False)
    offset = alt.YOffset("kind:N", sort=kinds)
    base = _chart_records(records).encode(y=y, yOffset=offset, color=colour)
    points = base.mark_circle(size=55).encode(x=x)
    intervals = base.mark_rule().encode(
        x=alt.X("low:Q", title="win score"), x2="high:Q"
    )
    # Half of all points: neither model is better.
    middle = _chart_records([{"score": 0.5}]).mark_rule(strokeDash=[4, 4]).encode(x=x)
    chart = middle + intervals + points
    return chart.properties(width=WIDTH, height=ROW_HEIGHT * len(rows))


def _build_axis(rows: list[tuple[str, DuelFigures]], *, labels: bool = True) -> alt.Y:
    """A line for each set, in order."""
    axis = alt.Axis(labels=labels, labelLimit=220)
    return alt.Y("set:N", title="", sort=[label for label, _ in rows], axis=axis)


def _chart_records(records: list[dict[str, Any]]) -> Any:
    """An empty chart with data inside it."""
    return alt.Chart(alt.InlineData(values=pl.DataFrame(records).to_dicts()))
