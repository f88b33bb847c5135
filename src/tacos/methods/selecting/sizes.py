"""How large a selection is to be: rows, a share of the pool, or a budget of tokens.

A budget of tokens is met by the largest number of rows that a strategy's selection of that size
fits into. Selections of different sizes need not be nested (quotas are not), so the size is
searched for, by interpolation between a size that fits and one that does not, and where that creeps
by halving what lies between them.

How a size is written: `tacos.amounts`. What it does not know: a tokenizer. Tokens are whatever the
pool's costs say.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from tacos.amounts import SelectionSize
from tacos.errors import InputError

CHARS_PER_TOKEN = 4
N_TRIES = 48
N_INTERPOLATED = 4


def estimate_tokens(characters: pl.Expr) -> pl.Expr:
    """Tokens estimated from characters: a quarter of them, rounded up. Right within a tenth or so
    for English.
    """
    return (characters / CHARS_PER_TOKEN).ceil().cast(pl.Int64)


def resolve_row_count(size: SelectionSize, n_pool: int) -> int | None:
    """The number of rows, at least 1; None where it depends on the rows taken."""
    if size.unit == "tokens":
        return None
    return int(size.value) if size.unit == "rows" else max(1, count_share_rows(size, n_pool))


def count_share_rows(size: SelectionSize, n_pool: int) -> int:
    """The rows of a share of the pool."""
    return round(size.value * n_pool)


def fit_token_budget(
    budget: float, choose: Callable[[int], pl.DataFrame], costs: pl.DataFrame, least: int = 1
) -> pl.DataFrame:
    """The largest selection, of at least `least` rows, whose tokens stay within the budget.

    `choose` gives the selection of n rows, or raises `InputError` where there are not so many;
    `costs` has id and tokens, a row for every row of the pool. Neighbouring sizes are told apart
    unless the search ends after 48 tries; what is returned fits in any case. `InputError` where
    nothing fits.
    """
    mean = max(float(costs["tokens"].mean() or 1), 1.0)  # type: ignore[arg-type]
    fits, over = least - 1, costs.height + 1
    best, reason = None, f"a budget of {budget:,.0f} tokens is too small for this selection"
    guess = min(max(int(budget / mean), least), costs.height)
    for n_tried in range(1, N_TRIES + 1):
        try:
            found = choose(guess)
            cost = float(found.join(costs, on="id")["tokens"].sum())
        except InputError as error:
            found, cost, reason = None, 2 * budget, str(error)
        if found is not None and cost <= budget:
            fits, best = guess, found
        else:
            over = guess
        if over - fits <= 1:
            break
        by_cost = n_tried < N_INTERPOLATED or n_tried % 2
        guess = round(guess * budget / max(cost, 1)) if by_cost else (fits + over) // 2
        guess = min(max(guess, fits + 1), over - 1)
    if best is None:
        raise InputError(reason)
    return best
