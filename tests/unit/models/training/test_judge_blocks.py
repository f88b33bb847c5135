"""The blocks of columns that a judge compares rows by, and how they are fitted."""

import numpy as np
import pytest

from tacos.models import kernel_machine
from tacos.models.training import judge
from tacos.models.training.judge_recipes import BlockRecipe


def two_kinds(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two kinds of data, which differ in the column that varies least."""
    rng = np.random.default_rng(0)
    kinds = np.array(["plain", "code"])[np.arange(n) % 2]
    values = rng.normal(size=(n, 6)) * np.array([9.0, 8.0, 7.0, 6.0, 5.0, 2.0])
    values[:, 5] += 6.0 * (kinds == "code")
    return values, kinds


def fit(recipe: BlockRecipe, shares: np.ndarray | None = None) -> kernel_machine.Block:
    values, kinds = two_kinds()
    shares = np.ones(len(values)) if shares is None else shares
    columns = {recipe.columns or "block": values}
    return judge.fit_block("block", columns, recipe, shares, kinds)


def test_discriminants_find_what_tells_kinds_apart_where_principal_axes_miss_it() -> (
    None
):
    values, kinds = two_kinds()
    principal = fit(BlockRecipe(1.0, n_axes=5))
    telling = fit(BlockRecipe(1.0, n_axes=6, tells_kinds=True))
    assert telling.axes.shape == (1, 6)
    gaps = []
    for block in (principal, telling):
        projected = kernel_machine.project_columns(block, values)[:, -1]
        means = [projected[kinds == kind].mean() for kind in ("plain", "code")]
        gaps.append(abs(means[0] - means[1]) / projected.std())
    assert gaps[0] < 0.3, gaps
    assert gaps[1] > 1.5, gaps


def test_rows_that_count_for_nothing_move_neither_mean_nor_spread() -> None:
    values, kinds = two_kinds()
    half = np.arange(len(values)) < len(values) // 2
    some = judge.fit_block(
        "b", {"b": values[half]}, BlockRecipe(1.0), np.ones(half.sum()), kinds[half]
    )
    weighted = fit(BlockRecipe(1.0), half.astype(float))
    assert weighted.mean == pytest.approx(some.mean)
    assert weighted.spread == pytest.approx(some.spread)


def test_a_block_may_look_at_the_columns_of_another_name() -> None:
    block = fit(BlockRecipe(1.0, columns="states"))
    assert block.name == "block"
    values, _ = two_kinds()
    rows = kernel_machine.quantise_columns([block], {"states": values})
    assert rows.shape == values.shape
