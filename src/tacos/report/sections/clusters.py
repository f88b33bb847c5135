"""The clusters of the pool: a map, and a table with sizes, scores, best and worst rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from tacos.methods.samples.last_question import find_last_question
from tacos.methods.samples.truncation import truncate_text
from tacos.models import encoder
from tacos.pipeline.steps import clusters
from tacos.report.figure_texts import format_score
from tacos.report.page_parts import Figure, Section
from tacos.report.plots.cluster_map import draw_cluster_map
from tacos.report.plots.cluster_table import (
    BAR_GAP,
    BAR_HEIGHT,
    BAR_WIDTH,
    N_BINS,
    ClusterFacts,
    ExampleRow,
    build_bar_path,
    describe_clusters,
)
from tacos.report.plots.pool_rows import read_texts
from tacos.report.report_input import ReportInput

TEXT_LENGTH = 500
"""Characters of an instruction, and of a response, of an example."""

Texts = Mapping[str, tuple[str, str]]
"""Id -> instruction and response."""


def build_clusters(source: ReportInput) -> Section:
    """The map, and a line per cluster, the largest first."""
    table = describe_clusters(source.pool, source.cluster_names, source.codes.name_one)
    ids = {*table.list_example_ids(), *source.drawn["id"]}
    read = read_texts(source.artifacts, ids)
    texts = {
        row_id: (instruction, response)
        for row_id, instruction, response in read.iter_rows()
    }
    shortlisted = {
        cluster["cluster"]: cluster.get("n_shortlisted", 0)
        for cluster in source.summary.clusters
    }
    lines = []
    for cluster in table.clusters:
        line = _describe_line(cluster, texts)
        # Where every row was compared, or none, the column says nothing.
        line["n_shortlisted"] = shortlisted.get(cluster.number, 0)
        lines.append(line)
    values = {
        "box": f"0 0 {N_BINS * (BAR_WIDTH + BAR_GAP) - BAR_GAP} {BAR_HEIGHT}",
        "clusters": lines,
        "high": format_score(table.high),
        "low": format_score(table.low),
        "map": _draw_map(source, texts),
        "n_scored": sum(cluster.n_scored for cluster in table.clusters),
        "shows_shortlist": source.summary.n_shortlisted != source.summary.n_samples,
    }
    return Section("clusters", "Clusters", values)


def _draw_map(source: ReportInput, texts: Texts) -> Figure:
    """The rows drawn, by vectors of the encoder that comes with tacos: no model is paid for."""
    drawn = source.drawn
    pairs = [texts[row_id] for row_id in drawn["id"]]
    with_texts = drawn.with_columns(
        instruction=_to_column([pair[0] for pair in pairs]),
        response=_to_column([pair[1] for pair in pairs]),
    )
    vectors = clusters.encode_rows(
        source.artifacts,
        with_texts.select("id", "instruction", "response"),
        encoder.load_topic_encoder("static"),
        source.settings.cluster.tag_weight,
    )
    return draw_cluster_map(
        with_texts,
        vectors,
        source.pool.height,
        source.rows.height,
    )


def _describe_line(cluster: ClusterFacts, texts: Texts) -> dict[str, Any]:
    """What the table says of a cluster."""
    examples = []
    for name, example in (("best", cluster.best), ("worst", cluster.worst)):
        if example is not None:
            examples.append(_describe_example(name, example, texts))
    return {
        "bars": build_bar_path(cluster.bins),
        "examples": examples,
        "expected": f"{cluster.expected:,.1f}",
        "mean": format_score(cluster.mean_score),
        "mean_selected": format_score(cluster.mean_selected),
        "n_pool": cluster.n_pool,
        "n_scored": cluster.n_scored,
        "n_selected": cluster.n_selected,
        "name": cluster.name,
        "number": "" if cluster.number is None else cluster.number,
        "selected_bars": build_bar_path(cluster.selected_bins),
        "standing": cluster.standing,
    }


def _describe_example(name: str, example: ExampleRow, texts: Texts) -> dict[str, Any]:
    """The best or the worst row of a cluster, with the beginnings and ends of its texts."""
    instruction, response = texts[example.id]
    return {
        "id": example.id,
        "instruction": truncate_text(find_last_question(instruction), TEXT_LENGTH),
        "is_selected": example.is_selected,
        "name": name,
        "response": truncate_text(response, TEXT_LENGTH),
        "score": format_score(example.score),
    }


def _to_column(texts: list[str]) -> pl.Series:
    """Texts as a column."""
    return pl.Series(texts, dtype=pl.String)
