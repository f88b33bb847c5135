"""The ids of a run's rows, in words: which there are, and which one may have been meant."""

from __future__ import annotations

import polars as pl

from tacos.store.artifacts import Artifact

N_NAMED = 3
"""Files that a message names."""


def describe_unknown_row(samples: Artifact, row: str) -> str:
    """What a person is told who asked for a row that the input does not have."""
    last_rows = _find_last_rows(samples)
    if not last_rows:
        return f"the input of this run has no row {row!r}: it has no rows"
    ranges = [f"{source}:0 to {source}:{last}" for source, last in last_rows.items()]
    text = ", ".join(ranges[:N_NAMED])
    n_more = len(ranges) - N_NAMED
    if n_more > 0:
        text += f" and those of {n_more:,} more files"
    meant = _guess_meant(row, last_rows)
    hint = f"; did you mean {meant}?" if meant else ""
    return f"the input of this run has no row {row!r}: its rows are {text}{hint}"


def _find_last_rows(samples: Artifact) -> dict[str, int]:
    """File -> the number of its last row, kept or rejected, in the order of the names."""
    id_parts = pl.col("id").str.extract_groups(r"(?s)^(?<source>.*):(?<number>\d+)$")
    ids = pl.concat(
        [
            samples.scan().select("id").collect(),
            samples.rejects().select("id"),
        ]
    )
    parts = ids.select(id_parts.alias("part")).unnest("part").drop_nulls()
    number = pl.col("number").cast(pl.Int64)
    last = parts.group_by("source").agg(number.max()).sort("source")
    return dict(last.iter_rows())


def _guess_meant(row: str, last_rows: dict[str, int]) -> str:
    """The row that a number alone, or a longer path of a file, may stand for; "" if none or
    several do.
    """
    path, _, number = row.strip().rpartition(":")
    if not number.isdecimal():
        return ""
    sources = [
        source
        for source, last in last_rows.items()
        if int(number) <= last and (not path or path.endswith(f"/{source}"))
    ]
    return f"{sources[0]}:{int(number)}" if len(sources) == 1 else ""
