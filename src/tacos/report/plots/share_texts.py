"""The cells of tables that hold the pool's rows against the selection's."""

from __future__ import annotations

import polars as pl

from tacos.report.figure_texts import NOT_KNOWN, format_share

SHARE_HEAD = (
    "rows of the pool",
    "share",
    "selected rows",
    "share",
    "expected by chance",
    "selected / expected",
    "what the selection has",
)
"""What stands above the cells of `list_share_cells`, the group itself left out."""
SHARE_NUMBERS = frozenset(range(1, len(SHARE_HEAD)))


def list_share_cells(
    table: pl.DataFrame,
    n_pool: int,
    n_selected: int,
) -> list[tuple[str, ...]]:
    """The cells of each group of a table by `REPRESENTATION`, its name first."""
    return [
        (
            row["group"],
            f"{row['n_pool']:,}",
            format_share(row["n_pool"] / max(n_pool, 1)),
            f"{row['n_selected']:,}",
            format_share(row["n_selected"] / max(n_selected, 1)),
            f"{row['expected']:,.1f}",
            format_ratio(row["ratio"]),
            row["standing"],
        )
        for row in table.iter_rows(named=True)
    ]


def format_ratio(ratio: float | None) -> str:
    """How many rows are selected for each expected one.

    >>> format_ratio(1.254), format_ratio(None)
    ('1.25', 'n/a')
    """
    return NOT_KNOWN if ratio is None else f"{ratio:.2f}"
