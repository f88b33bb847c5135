"""How far random selections vary."""

from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tacos.methods.measures.random_range import measure_random_range
from tacos.methods.measures.selection_figures import MeasuredPool


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
    series = pl.Series(tags, dtype=pl.List(pl.String))
    chance = measure_random_range(series, n, seed=1)
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
            "tags": tags,
            "length": 100,
            "score": 50.0,
            "cluster": 0,
        }
    )
    chance = measure_random_range(pool["tags"], 20, seed=1)
    assert chance is not None
    expected = MeasuredPool(pool).expect_random(20)
    assert expected["coverage"] is not None
    assert expected["mean_tags"] is not None
    assert chance.coverage[0] < expected["coverage"] < chance.coverage[1]
    assert chance.mean_tags[0] < expected["mean_tags"] < chance.mean_tags[1]
