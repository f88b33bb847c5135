"""The rows of a pool as figures read them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import polars as pl

from tacos.config import Settings
from tacos.methods.judging.comparisons import NUMBERS
from tacos.pipeline.steps import pool as pool_steps
from tacos.pipeline.steps.matched_rows import has_distinct_ids, match_rows
from tacos.pipeline.steps.row_codes import RowCodes
from tacos.store.artifacts import Artifact


def read_pool_rows(
    artifacts: Mapping[str, Artifact],
    settings: Settings,
    selected: pl.Series,
    codes: RowCodes,
) -> pl.DataFrame:
    """A row per usable sample, sorted by id (its code): the columns of `build_scored_rows`, and
    is_selected.

    `selected` are the ids of the selection, as texts. Raises `InputError` if the run has no scores.
    """
    rows = pool_steps.build_scored_rows(artifacts, settings, codes)
    is_selected = pl.col("id").is_in(codes.encode(selected).implode())
    return rows.with_columns(is_selected=is_selected)


def read_numbers(
    artifacts: Mapping[str, Artifact], selected: pl.Series, codes: RowCodes
) -> pl.DataFrame:
    """value, correctness (null: not rated, or by one score only) and is_selected of each usable
    sample, in the order of `read_pool_rows`.
    """
    newest = pool_steps.find_newest_scores(artifacts)
    assert newest is not None
    batches = artifacts["samples"].batches(["id"])
    ids = pl.concat(codes.encode(batch["id"]) for batch in batches).sort()
    columns = ("id", *NUMBERS)
    numbers = pool_steps.read_scores(artifacts[newest], columns, ids, codes)
    if not has_distinct_ids(numbers):
        # A sample may have a score per cluster, but its numbers are the same in all of them.
        numbers = numbers.group_by("id").agg(pl.col(NUMBERS).mean())
    is_selected = ids.is_in(codes.encode(selected).implode())
    return match_rows(ids, numbers).with_columns(is_selected=is_selected)


def read_cluster_names(artifacts: Mapping[str, Artifact]) -> dict[int, str]:
    """The name of each cluster."""
    clusters = artifacts["clusters"].scan().select("cluster", "name").unique()
    return dict(clusters.collect().iter_rows())


def read_texts(artifacts: Mapping[str, Artifact], ids: Collection[str]) -> pl.DataFrame:
    """id, instruction, response of some samples, in the order of the input."""
    wanted = pl.Series(list(ids), dtype=pl.String)
    texts = artifacts["samples"].scan().select("id", "instruction", "response")
    return texts.filter(pl.col("id").is_in(wanted.implode())).collect()
