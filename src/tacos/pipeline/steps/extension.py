"""The stage recognise, and what other stages read of the runs that a run extends.

The tables of these runs (`tacos.pipeline.old_tables`) have content hashes in place of ids. They are
there only in a run that extends others.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.records import KNOWN, StageOutput, Tables

PRESENT = "__present"
FIRST_RUN = (0,)
"""The number of the run whose vocabulary and clusters stay."""


def recognise_samples(
    tables: Tables, settings: Settings, tool: Any, number: int
) -> StageOutput:
    """The samples that an extended run has; the notes count new and removed ones, too."""
    samples = tables["samples"].scan().select("id", "content_hash").collect()
    old = tables["old_samples"].scan().collect()
    # A sample of two runs is the first one's.
    first = old.select(content_hash="id", run="run").unique(
        "content_hash",
        keep="first",
        maintain_order=True,
    )
    known = samples.join(first, on="content_hash", maintain_order="left")
    notes = {
        "n_known": known.height,
        "n_new": samples.height - known.height,
        "n_removed": first.height - known.height,
    }
    return StageOutput.without_rejects(known.select(*KNOWN), notes)


def read_old_rows(
    tables: Tables, name: str, *ids: str, key: tuple[str, ...] = ()
) -> pl.DataFrame | None:
    """An old table of those samples that are still there, with present ids in its columns `ids`;
    None where the run extends none, or none with such a table.

    Of rows with the same `key`, the one of the first run is taken.
    """
    if name not in tables:
        return None
    present = tables["known"].scan().select("content_hash", pl.col("id").alias(PRESENT))
    frame = tables[name].scan()
    for column in ids:
        frame = frame.join(
            present.rename({"content_hash": column}),
            on=column,
            maintain_order="left",
        )
        frame = frame.with_columns(pl.col(PRESENT).alias(column)).drop(PRESENT)
    rows = frame.collect()
    if not key:
        return rows
    return rows.unique(
        list(key),
        keep="first",
        maintain_order=True,
    )


def list_known_ids(tables: Tables, runs: Collection[int] = FIRST_RUN) -> pl.Series:
    """The ids of the samples that these extended runs have, by number."""
    known = tables["known"].scan().select("id", "run")
    return known.filter(pl.col("run").is_in(list(runs))).collect()["id"]
