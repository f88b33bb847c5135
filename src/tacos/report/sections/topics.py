"""Topics that the selection has none of, favours or neglects: tags and clusters."""

from __future__ import annotations

import polars as pl

from tacos.methods.measures.representation import count_groups, measure_counts
from tacos.report.page_parts import Section
from tacos.report.plots.missing_topics import (
    describe_missing,
    draw_representation,
    tabulate_missing,
)
from tacos.report.report_input import ReportInput


def build_topics(source: ReportInput) -> Section:
    """What is missing, then what there is too little or too much of, for tags and for clusters."""
    kinds = {"tag": source.tags, "cluster": _measure_clusters(source)}
    parts = []
    for kind, table in kinds.items():
        if table.is_empty():
            continue
        sizes = (kind, source.pool.height, source.rows.height)
        parts.append(
            {
                "kind": kind,
                "text": describe_missing(table, *sizes),
                "missing": tabulate_missing(table, *sizes),
                "figure": draw_representation(table, *sizes),
            }
        )
    return Section("topics", "Topics missing, neglected and favoured", {"parts": parts})


def _measure_clusters(source: ReportInput) -> pl.DataFrame:
    """The clusters of the pool, and what is selected of each: a table REPRESENTATION."""
    # Names of clusters need not be different.
    names = {
        number: f"{name} (no. {number})"
        for number, name in source.cluster_names.items()
    }
    name = pl.col("group").cast(pl.UInt32).replace_strict(names, return_dtype=pl.String)
    counts = count_groups([source.pool.select("is_selected", group="cluster")])
    named = counts.with_columns(group=name).sort(
        "n_pool", "group", descending=[True, False]
    )
    return measure_counts(named, source.pool.height, source.rows.height)
