"""How far random selections vary."""

from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tacos.methods.measures.random_range import RandomRange, measure_random_range
from tacos.methods.measures.selection_figures import MeasuredPool
from tacos.methods.selecting.row_tags import number_tags


def measure(tags: pl.Series, n: int) -> RandomRange | None:
    """The range of n rows of a pool with these tags."""
    is_known = tags.is_not_null().to_numpy()
    return measure_random_range(number_tags(tags), is_known, n, seed=1)


@given(
    st.lists(
        st.none() | st.lists(st.sampled_from("abcdefgh"), max_size=5),
        min_size=2,
        max_size=60,
    ),
    st.integers(1, 80),
)
@settings(max_examples=40, deadline=None)
def test_random_ranges_hold_what_is_expected(tags: list[Any], n: int) -> None:
    chance = measure(pl.Series(tags, dtype=pl.List(pl.String)), n)
    distinct = {tag for row in tags for tag in row or ()}
    if not distinct:
        assert chance is None
        return
    assert chance is not None
    for low, high in (chance.coverage, chance.mean_tags):
        assert 0 <= low <= high
    # A random draw of all rows is the pool itself.
    if n >= len(tags):
        assert chance.coverage == (1.0, 1.0)


def test_the_range_is_about_the_expected_value() -> None:
    rng = np.random.default_rng(1)
    tags = [
        [f"tag {int(tag)}" for tag in rng.choice(40, rng.integers(0, 5), replace=False)]
        for _ in range(300)
    ]
    pool = pl.DataFrame(
        {
            "id": [f"row {place:04d}" for place in range(300)],
            "is_tagged": True,
            "length": 100,
            "score": 50.0,
            "cluster": 0,
        }
    )
    numbered = number_tags(pl.Series(tags))
    measured = MeasuredPool(pool, numbered)
    chance = measured.measure_random_range(20, seed=1)
    assert chance is not None
    expected = measured.expect_random(20)
    assert expected["coverage"] is not None
    assert expected["mean_tags"] is not None
    assert chance.coverage[0] < expected["coverage"] < chance.coverage[1]
    assert chance.mean_tags[0] < expected["mean_tags"] < chance.mean_tags[1]
