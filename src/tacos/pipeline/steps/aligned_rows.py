"""Tables that go row by row with the samples, joined to them batch by batch.

Stages that work row by row keep the order of the samples, of which they may leave some out; so two
readers that go forward are enough, and neither table is ever in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from tacos.records import Table


def join_to_samples(
    batches: Iterator[pl.DataFrame],
    other: Table,
    columns: Sequence[str],
) -> Iterator[pl.DataFrame]:
    """Batches of samples (id and more) with the columns of another table (null: not in it).

    The other table has at most one row per sample.
    """
    names = ["id", *columns]
    schema = other.scan().select(names).collect_schema()
    others = other.batches(names)
    ahead = next(others, None)
    for rows in batches:
        parts = [pl.DataFrame(schema=schema)]
        while ahead is not None:
            is_here = ahead["id"].is_in(rows["id"].implode())
            parts.append(ahead.filter(is_here))
            ahead = ahead.filter(~is_here)
            if ahead.height:
                break  # the rest belongs to later samples
            ahead = next(others, None)
        yield rows.join(
            pl.concat(parts),
            on="id",
            how="left",
            maintain_order="left",
        )
