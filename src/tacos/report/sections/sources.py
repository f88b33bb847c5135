"""Which files the pool and the selection come from, and which of them the selection favours."""

from __future__ import annotations

from typing import Any

import polars as pl

from tacos.methods.measures.value_shares import bound_share
from tacos.pipeline.steps.matched_rows import has_distinct_ids, match_rows
from tacos.pipeline.steps.pool import find_newest_scores, read_scores
from tacos.report.figure_texts import format_score, format_share
from tacos.report.page_parts import DataTable, Section
from tacos.report.report_input import ReportInput

HEAD = (
    "file",
    "rows of the pool",
    "share of the pool",
    "selected",
    "share of the selection",
    "95% interval",
    "times its share",
    "mean length",
    "mean grade",
    "mean score",
)
MAX_FILES = 100
"""Files that the table has; the sentences are about all of them."""


def build_sources(source: ReportInput) -> Section | None:
    """A line per file, the most favoured first; None for a run over one file."""
    if source.pool["source"].n_unique() < 2:
        return None
    table = _tabulate(source)
    n_pool = source.summary.n_samples
    n_selected = source.summary.n_selected
    lines = table.to_dicts()
    rows = [_format_line(line, n_pool, n_selected) for line in lines[:MAX_FILES]]
    values = {
        "sentences": [
            text
            for line in (lines[0], lines[-1])
            if (text := _describe_line(line, n_pool, n_selected))
        ],
        "quotas": bool(source.summary.request.get("per_source")),
        "table": DataTable(
            HEAD,
            rows,
            frozenset(range(1, len(HEAD))),
            f"Files of the pool ({n_pool:,} rows) and of the selection ({n_selected:,} rows)",
        ),
        "n_more": len(lines) - len(rows),
    }
    return Section("sources", "Which source was favoured", values)


def _tabulate(source: ReportInput) -> pl.DataFrame:
    """source, n, n_selected, ratio, length, grade and score (means; null: none), by ratio."""
    columns = ["source", "length", "is_selected"]
    if "grade" in source.pool.columns:
        rows = source.pool.select(*columns, "grade")
    else:
        rows = source.pool.select(*columns, grade=pl.lit(None, pl.Float64))
    table = (
        rows.with_columns(_average_scores(source))
        .group_by("source")
        .agg(
            n=pl.len(),
            n_selected=pl.col("is_selected").sum(),
            length=pl.col("length").mean(),
            grade=pl.col("grade").mean(),
            score=pl.col("score").mean(),
        )
    )
    share = pl.col("n_selected") / pl.col("n_selected").sum()
    of_pool = pl.col("n") / pl.col("n").sum()
    return table.with_columns(ratio=share / of_pool).sort(
        "ratio", "source", descending=[True, False]
    )


def _average_scores(source: ReportInput) -> pl.Series:
    """What the selection went by, of each row of the pool (null: not rated): the mean over clusters
    where a row has a score in several.
    """
    pool = source.pool
    newest = find_newest_scores(source.artifacts)
    if source.request.by == "grade" and "grade" in pool.columns:
        return pool["grade"].alias("score")
    if newest is None:
        return pl.repeat(None, pool.height, dtype=pl.Float64, eager=True).alias("score")
    scores = read_scores(
        source.artifacts[newest], ("id", "score"), pool["id"], source.codes
    ).drop_nulls("score")
    if not has_distinct_ids(scores):
        scores = scores.group_by("id").agg(pl.col("score").mean()).sort("id")
    return match_rows(pool["id"], scores)["score"]


def _format_line(
    line: dict[str, Any],
    n_pool: int,
    n_selected: int,
) -> tuple[str, ...]:
    """The cells of a file."""
    low, high = bound_share(line["n_selected"], n_selected)
    return (
        line["source"],
        f"{line['n']:,}",
        format_share(line["n"] / n_pool),
        f"{line['n_selected']:,}",
        format_share(line["n_selected"] / n_selected),
        f"{low:.1%} to {high:.1%}",
        f"{line['ratio']:.2f}",
        f"{line['length']:,.0f}",
        format_score(line["grade"]),
        format_score(line["score"]),
    )


def _describe_line(line: dict[str, Any], n_pool: int, n_selected: int) -> str:
    """A file that has clearly more or less of the selection than of the pool; "" for others."""
    low, high = bound_share(line["n_selected"], n_selected)
    of_pool = line["n"] / n_pool
    if low <= of_pool <= high:
        return ""
    verb = "favoured" if line["ratio"] > 1 else "left out more than others"
    return (
        f"{line['source']} was {verb}: it has {of_pool:.1%} of the pool ({line['n']:,} of "
        f"{n_pool:,} rows) and {line['n_selected'] / n_selected:.1%} of the selection "
        f"({line['n_selected']:,} of {n_selected:,} rows), {line['ratio']:.2f} times its share."
    )
