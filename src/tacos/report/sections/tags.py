"""The tags of the pool, how raw ones became canonical ones, and who tagged."""

from __future__ import annotations

import polars as pl

from tacos.engines.freed_memory import give_back_memory
from tacos.errors import ModelError
from tacos.methods.tags import tag_likeness
from tacos.models import encoder
from tacos.records import Encoder
from tacos.report.page_parts import DataTable, Section
from tacos.report.plots.tag_landscape import draw_normalisation, draw_tag_landscape
from tacos.report.plots.tag_merges import (
    describe_merges,
    rank_merges,
    tabulate_merges,
)
from tacos.report.report_input import ReportInput


def list_merges(source: ReportInput) -> pl.DataFrame:
    """The merges of tags: see `rank_merges`. It takes an encoder of 170 MB, freed at the end."""
    vocabulary = source.artifacts["vocabulary"].scan().collect()
    loaded = _load_encoder()
    merges = rank_merges(vocabulary, loaded, source.settings.normalise.signs)
    encoder.free_weights(loaded)
    give_back_memory()
    return merges


def build_tags(source: ReportInput, merges: pl.DataFrame) -> Section:
    """The landscape of tags, the steps of normalisation with every merge (`list_merges`), and the
    models of a cascade.
    """
    summary = source.summary
    figures = []
    if source.tags.height:
        sizes = (source.pool.height, source.rows.height)
        figures.append(draw_tag_landscape(source.tags, *sizes))
    if summary.normalisation:
        figures.append(draw_normalisation(summary.normalisation, summary.n_samples))
    values = {
        "distilled": summary.distilled,
        "tagged_by": DataTable(
            ("tags by", "instructions"),
            [(name, f"{n:,}") for name, n in summary.tagged_by.items()],
            frozenset({1}),
            "Cascade of taggers",
        ),
        "figures": figures,
        "merged": describe_merges(merges),
        "merges": tabulate_merges(merges),
    }
    return Section("tags", "Tags", values)


def _load_encoder() -> Encoder:
    """The encoder that the likeness of tags is fitted to, or the static one where its weights are
    not installed: its cosines are a little higher.
    """
    try:
        return encoder.load(tag_likeness.ENCODER)
    except ModelError:
        return encoder.load("static")
