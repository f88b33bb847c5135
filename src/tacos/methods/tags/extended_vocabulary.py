"""A vocabulary that meets new rows: it stays as it is, and their tags are mapped onto it.

Raw tags that it has keep their canonical tag, or stay dropped. Others are looked up by their words
and by their meaning, as in a published vocabulary (`tacos.methods.tags.published_vocabulary`); what
is not found is new and has no canonical tag.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from tacos.methods.tags import tag_links
from tacos.methods.tags.published_vocabulary import (
    PublishedVocabulary,
    list_drift_figures,
    measure_drift,
    resolve_new_tags,
)
from tacos.records import VOCABULARY, Encoder

BY_HAND = "override"
"""The step of a tag that a person has dropped or renamed."""


def extend_vocabulary(
    old: pl.DataFrame,
    counts: pl.DataFrame,
    known: PublishedVocabulary,
    encoder: Encoder | None = None,
) -> pl.DataFrame:
    """The vocabulary (by VOCABULARY, sorted by raw tag) of all raw tags (tag, count).

    `old` is the table that stays, `known` what is published of it. Raw tags of `old` that no row
    has any more count 0.
    """
    counted = counts.rename({"tag": "raw"})
    kept = (
        old.drop("count")
        .join(counted, on="raw", how="left", maintain_order="left")
        .with_columns(pl.col("count").fill_null(0))
    )
    is_new = ~pl.col("tag").is_in(old["raw"].implode())
    found = resolve_new_tags(counts.filter(is_new), known, encoder)
    added = tag_links.attach_parents(found, ())
    both = [_conform(kept), _conform(added)]
    return pl.concat(both).sort("raw")


def describe_drift(
    vocabulary: pl.DataFrame,
    old: pl.DataFrame,
    new_counts: pl.DataFrame,
    known: PublishedVocabulary,
) -> dict[str, Any]:
    """The drift of the new rows, whose raw tags are `new_counts` (tag, count), from a vocabulary:
    see `published_vocabulary.VocabularyDrift`. Empty without a tag.

    A tag that was too rare for the old vocabulary is not known to it.
    """
    if not new_counts["count"].sum():
        return {}
    is_old = pl.col("raw").is_in(old["raw"].implode())
    is_dropped = pl.col("canonical").is_null() & (pl.col("step") != BY_HAND)
    step = (
        pl.when(is_old & is_dropped)
        .then(pl.lit("new"))
        .when(is_old)
        .then(pl.lit("exact"))
        .otherwise("step")
    )
    resolved = (
        vocabulary.drop("count")
        .with_columns(step=step)
        .join(new_counts.rename({"tag": "raw"}), on="raw")
    )
    return list_drift_figures(measure_drift(resolved, known))


def _conform(table: pl.DataFrame) -> pl.DataFrame:
    """The columns of VOCABULARY."""
    return table.select(pl.col(name).cast(dtype) for name, dtype in VOCABULARY.items())
