"""Find the size of a selection: rows, a share of the pool, or a budget of tokens.

A budget of tokens is met by the largest number of rows whose selection fits into it. Selections of
different sizes need not be nested (quotas are not), so the size is searched for: by interpolation
between a size that fits and one that does not, and by bisection where interpolation is slow.

`tacos.amounts` defines how a size is written. What this module does not know: a tokenizer. Tokens
are whatever the pool's costs say.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from tacos.amounts import SelectionSize
from tacos.errors import InputError

CHARS_PER_TOKEN = 4
N_TRIES = 48
N_INTERPOLATED = 4
"""After so many tries, every second one bisects."""


def estimate_tokens(characters: pl.Expr) -> pl.Expr:
    """Tokens estimated from characters: a quarter of them, rounded up.

    The estimate is within about 10% for English.
    """
    tokens = characters / CHARS_PER_TOKEN
    return tokens.ceil().cast(pl.Int64)


def resolve_row_count(
    size: SelectionSize,
    n_pool: int,
) -> int | None:
    """The number of rows, at least 1; None for a budget of tokens, which depends on the rows."""
    if size.unit == "tokens":
        return None
    if size.unit == "rows":
        return int(size.value)
    return max(1, count_share_rows(size, n_pool))


def count_share_rows(
    size: SelectionSize,
    n_pool: int,
) -> int:
    """The number of rows of a share of the pool."""
    return round(size.value * n_pool)


def fit_token_budget(
    budget: float,
    choose: Callable[[int], pl.DataFrame],
    costs: pl.DataFrame,
    least: int = 1,
) -> pl.DataFrame:
    """The largest selection, of at least `least` rows, whose tokens stay within the budget.

    `choose` gives the selection of n rows, or raises `InputError` if there are not that many;
    `costs` has id and tokens, a row for every row of the pool. The search is exact unless it ends
    after 48 tries; what is returned fits in any case. Raises `InputError` if nothing fits.
    """
    n_pool = costs.height
    mean_cost = max(float(costs["tokens"].mean() or 1), 1.0)  # type: ignore[arg-type]
    best = None
    reason = f"a budget of {budget:,.0f} tokens is too small for this selection"
    # Always: `fits` rows fit, `over` rows do not, and n lies between them.
    fits = least - 1
    over = n_pool + 1
    n_affordable = int(budget / mean_cost)
    n = min(max(n_affordable, least), n_pool)
    for n_tried in range(1, N_TRIES + 1):
        try:
            selection = choose(n)
            cost = _sum_tokens(selection, costs)
        except InputError as error:
            # Too many rows for the strategy: as good as over the budget.
            selection = None
            cost = 2 * budget
            reason = str(error)
        if selection is not None and cost <= budget:
            fits = n
            best = selection
        else:
            over = n
        if over - fits <= 1:
            break

        if n_tried < N_INTERPOLATED or n_tried % 2:
            n = round(n * budget / max(cost, 1))
        else:
            n = (fits + over) // 2
        # Strictly between the two, so that every try narrows the search.
        lowest = fits + 1
        highest = over - 1
        n = min(max(n, lowest), highest)
    if best is None:
        raise InputError(reason)
    return best


def _sum_tokens(
    selection: pl.DataFrame,
    costs: pl.DataFrame,
) -> float:
    """The tokens of all selected rows."""
    return float(selection.join(costs, on="id")["tokens"].sum())
