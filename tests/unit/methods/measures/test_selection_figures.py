"""One definition of every figure of a selection, and what random rows are expected to be like."""

from fractions import Fraction
from itertools import combinations
from statistics import fmean

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.methods.measures.selection_figures import (
    FIGURES,
    Chance,
    MeasuredPool,
    summarise_range,
    tabulate_figures,
)
from tacos.methods.measures.value_shares import total_variation
from tacos.methods.selecting.row_tags import number_tags


def build_pool(
    tags: list[list[str] | None],
    lengths: list[int],
    scores: list[float | None],
    clusters: list[int | None],
) -> MeasuredPool:
    """A pool of rows 0, 1, ..."""
    series = pl.Series("tags", tags, pl.List(pl.String))
    columns = {
        "id": [str(number) for number in range(len(tags))],
        "is_tagged": series.is_not_null(),
        "length": lengths,
        "score": scores,
        "grade": scores,
        "cluster": clusters,
    }
    types = {
        "length": pl.UInt32,
        "score": pl.Float64,
        "grade": pl.Float64,
        "cluster": pl.UInt32,
    }
    table = pl.DataFrame(columns, schema_overrides=types)
    return MeasuredPool(table, number_tags(series))


POOL = build_pool(
    [["a", "b"], ["a"], [], ["c", "c"], None, ["a", "e"]],
    [5, 1, 9, 9, 30, 2],
    [50, None, 70, 20, None, 90],
    [0, 0, 1, 1, 1, None],
)


def test_the_figures_of_some_rows() -> None:
    found = POOL.measure(["0", "3", "4"])
    assert found == {
        "n": 3,
        "coverage": 3 / 4,
        "mean_tags": 1.5,
        "mean_length": pytest.approx(44 / 3),
        "median_length": 9,
        "mean_score": 35,
        "n_scored": 2,
        "mean_grade": 35,
        "n_clusters": 2,
        "cluster_distance": pytest.approx(1 / 6),
    }
    assert list(found) == list(FIGURES)


def test_a_figure_over_no_row_is_not_known() -> None:
    nothing = POOL.measure([])
    assert (nothing["n"], nothing["n_scored"], nothing["coverage"]) == (0, 0, 0)
    for name in ("mean_tags", "mean_length", "median_length", "mean_score"):
        assert nothing[name] is None
    without_tags = build_pool([[], None], [1, 2], [None, None], [None, None])
    for figures in (without_tags.measure_all(), without_tags.expect_random(1)):
        assert figures["coverage"] is None
        assert figures["mean_score"] is None
        assert figures["n_clusters"] == 0


@pytest.mark.parametrize("n", range(1, 7))
def test_random_is_the_mean_over_all_selections_of_that_size(n: int) -> None:
    every = [POOL.measure(ids) for ids in combinations("012345", n)]
    expected = POOL.expect_random(n)
    for name in FIGURES:
        values = [each[name] for each in every if each[name] is not None]
        assert expected[name] == pytest.approx(fmean(values)), name


def test_random_rows_beyond_the_pool_are_the_pool() -> None:
    everything = POOL.measure_all()
    assert POOL.expect_random(6) == pytest.approx(everything)
    assert POOL.expect_random(100) == pytest.approx(everything)


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=6),
    st.data(),
)
def test_the_expected_distance_and_median_are_those_of_all_draws(
    sizes: list[int], data: st.DataObject
) -> None:
    n_pool = sum(sizes)
    n = data.draw(st.integers(1, n_pool))
    chance = Chance(n_pool, n)
    rows = np.repeat(np.arange(len(sizes)), sizes)
    shares = np.array(sizes) / n_pool
    generator = np.random.default_rng(1)
    values = generator.integers(0, 100, n_pool)
    distances, medians = [], []
    for _ in range(400):
        drawn = generator.permutation(n_pool)[:n]
        mix = np.bincount(rows[drawn], minlength=len(sizes)) / n
        distances.append(np.abs(mix - shares).sum() / 2)
        medians.append(np.median(values[drawn]))
    distance = chance.expect_distance(pl.Series(sizes))
    median = chance.expect_median(pl.Series(values))
    assert distance == pytest.approx(np.mean(distances), abs=0.06)
    assert median == pytest.approx(np.mean(medians), abs=8)


def test_large_pools_do_not_overflow() -> None:
    chance = Chance(1_000_000, 50_001)
    assert chance.expect_median(pl.Series(range(1_000_000))) == pytest.approx(499_999.5)
    few = chance.expect_distance(pl.Series([999_990, 10]))
    assert few is not None
    assert 0 < few < 1e-3


def test_a_range_holds_its_draws() -> None:
    draws = [POOL.measure([str(number)]) for number in range(6)]
    row = summarise_range(draws).filter(figure="mean_length").row(0, named=True)
    assert (row["low"], row["high"]) == (1, 30)
    assert row["mean"] == pytest.approx(56 / 6)
    table = tabulate_figures({"one": draws[0], "two": draws[1]})
    assert table["name"].to_list() == ["one", "two"]
    assert set(table.drop("name").dtypes) == {pl.Float64}


def test_a_distance_is_the_exact_sum_whatever_the_order_of_its_terms() -> None:
    shares = {number: 0.1 + 1e-3 / (number + 1) for number in range(400)}
    exact = sum(Fraction(share) for share in shares.values())
    assert total_variation(shares, {}) == float(exact) / 2
    assert sum(shares.values()) != float(exact), "a plain sum is a little off"
