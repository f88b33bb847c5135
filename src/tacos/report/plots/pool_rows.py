"""The rows of a pool as figures read them: one table, read once."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import polars as pl

from tacos.config import Settings
from tacos.pipeline.steps import pool as pool_steps
from tacos.pipeline.steps.row_codes import RowCodes
from tacos.report.facts import UNCLUSTERED
from tacos.store.artifacts import Artifact


def read_pool_rows(
    artifacts: Mapping[str, Artifact],
    settings: Settings,
    selected: pl.Series,
    codes: RowCodes,
) -> pl.DataFrame:
    """A row per usable sample, sorted by id: id (its code), length, source, tags, cluster and
    cluster_name (null and `UNCLUSTERED`: in none), score, value, correctness (null: not rated),
    is_selected.

    `selected` are the ids of the selection, as texts. Raises `InputError` if the run has no scores.
    """
    rows = pool_steps.measure_pool(artifacts, settings, codes, pool_steps.JUDGED).table
    clusters = artifacts["clusters"].scan().select("cluster", "name").unique()
    name = pl.col("cluster").replace_strict(
        dict(clusters.collect().iter_rows()),
        default=UNCLUSTERED,
        return_dtype=pl.Categorical,
    )
    return rows.with_columns(
        cluster_name=name,
        is_selected=pl.col("id").is_in(codes.encode(selected).implode()),
    )


def read_texts(artifacts: Mapping[str, Artifact], ids: Collection[str]) -> pl.DataFrame:
    """id, instruction, response of some samples, in the order of the input."""
    wanted = pl.Series(list(ids), dtype=pl.String)
    texts = artifacts["samples"].scan().select("id", "instruction", "response")
    return texts.filter(pl.col("id").is_in(wanted.implode())).collect()
