"""Tables that go row by row with the samples, joined to them batch by batch.

Stages that work row by row keep the order of the samples, of which they may leave some out; so two
readers that go forward are enough, and neither table is ever in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl


def join_to_samples(
    batches: Iterable[pl.DataFrame],
    others: Iterable[pl.DataFrame],
) -> Iterator[pl.DataFrame]:
    """Batches of samples (id and more) with the columns of another table (null: not in it).

    The other table (id and more) has at least one batch, and at most one row per sample.
    """
    stream = iter(others)
    ahead: pl.DataFrame | None = next(stream)
    assert ahead is not None
    nobody = ahead.clear()
    for rows in batches:
        parts = [nobody]
        while ahead is not None:
            is_here = ahead["id"].is_in(rows["id"].implode())
            parts.append(ahead.filter(is_here))
            ahead = ahead.filter(~is_here)
            if ahead.height:
                break  # the rest belongs to later samples
            ahead = next(stream, None)
        yield rows.join(
            pl.concat(parts),
            on="id",
            how="left",
            maintain_order="left",
        )
