"""Topics that the selection has none of, favours or neglects: tags and clusters."""

from __future__ import annotations

import polars as pl

from tacos.methods.measures.representation import measure_representation
from tacos.report.page_parts import Section
from tacos.report.plots.missing_topics import (
    describe_missing,
    draw_representation,
    tabulate_missing,
)
from tacos.report.report_input import ReportInput


def build_topics(source: ReportInput) -> Section:
    """What is missing, then what there is too little or too much of, for tags and for clusters."""
    pool = source.pool
    # Names of clusters need not be different.
    clusters = source.artifacts["clusters"].scan().select("cluster", "name").unique()
    names = {
        number: f"{name} (no. {number})"
        for number, name in clusters.collect().iter_rows()
    }
    cluster = pl.col("cluster").replace_strict(
        names, default=None, return_dtype=pl.Categorical
    )
    kinds = {"tag": pl.col("tags"), "cluster": cluster}
    parts = []
    for kind, group in kinds.items():
        table = measure_representation(pool.select("is_selected", group=group))
        if table.is_empty():
            continue
        sizes = (kind, pool.height, source.rows.height)
        parts.append(
            {
                "kind": kind,
                "text": describe_missing(table, *sizes),
                "missing": tabulate_missing(table, *sizes),
                "figure": draw_representation(table, *sizes),
            }
        )
    return Section("topics", "Topics missing, neglected and favoured", {"parts": parts})
