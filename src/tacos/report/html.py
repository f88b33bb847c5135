"""The HTML report: one file, no network, made from the same figures as the terminal's table."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import polars as pl
from jinja2 import Environment, StrictUndefined, Template

from tacos.report.facts import RunSummary

N_SHOWN = 200
"""Selected rows shown in full; the sidecar has all of them."""
N_BINS = 30


def render_report(summary: RunSummary, scores: pl.DataFrame, rows: pl.DataFrame) -> str:
    """The report as HTML; `scores` and `rows` are the selection in input order."""
    shown = (
        rows.sort("rank")
        .head(N_SHOWN)
        .select("rank", "id", "score", "cluster", "rule", "tags", "instruction", "response")
    )
    return _load_template().render(
        summary=summary,
        most=max((cluster["n_members"] for cluster in summary.clusters), default=1),
        scores=_build_histogram(scores["score"].drop_nulls()),
        lengths=_build_histogram(scores["length"]),
        rows=shown.to_dicts(),
        n_more=rows.height - shown.height,
    )


def _build_histogram(values: pl.Series) -> list[dict[str, Any]]:
    """Bins of equal width: from, to, n and the share of the fullest bin."""
    if values.is_empty():
        return []
    low, high = float(values.min()), float(values.max())  # type: ignore[arg-type]
    width = (high - low) / N_BINS or 1.0
    bins = ((values.cast(pl.Float64) - low) / width).floor().cast(pl.Int64).clip(0, N_BINS - 1)
    counts = dict(bins.value_counts().iter_rows())
    most = max(counts.values())
    return [
        {
            "low": low + i * width,
            "high": low + (i + 1) * width,
            "n": counts.get(i, 0),
            "share": counts.get(i, 0) / most,
        }
        for i in range(N_BINS)
    ]


@cache
def _load_template() -> Template:
    """The report's template; everything put into it is escaped."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(
        files("tacos.report").joinpath("report.html.jinja").read_text("utf-8")
    )
