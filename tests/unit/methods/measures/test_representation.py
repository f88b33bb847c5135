"""Which groups a selection has more or fewer rows of than chance gives."""

from math import comb

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tacos.methods.measures import representation
from tacos.methods.measures.representation import (
    AS_CHANCE,
    FEWER,
    MORE,
    NONE,
    RARE,
    measure_representation,
)

LABELS = st.lists(
    st.tuples(
        st.lists(st.sampled_from("abcd"), max_size=4),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


def make_groups(rows: list[tuple[list[str], bool]]) -> pl.DataFrame:
    """A table of rows with several groups each."""
    schema = {"group": pl.List(pl.String), "is_selected": pl.Boolean}
    return pl.DataFrame(rows, schema, orient="row")


def count_at_most(k: int, n_pool: int, n_group: int, n_drawn: int) -> float:
    """The probability of at most k rows of a group, from binomials."""
    ways = [
        comb(n_group, i) * comb(n_pool - n_group, n_drawn - i)
        for i in range(k + 1)
        if n_drawn >= i
    ]
    return sum(ways) / comb(n_pool, n_drawn)


@given(LABELS)
@settings(max_examples=60, deadline=None)
def test_counts_are_those_of_a_plain_loop(rows: list[tuple[list[str], bool]]) -> None:
    table = measure_representation(make_groups(rows))
    n_selected = sum(flag for _, flag in rows)
    for row in table.iter_rows(named=True):
        of_group = [flag for names, flag in rows if row["group"] in names]
        assert row["n_pool"] == len(of_group)
        assert row["n_selected"] == sum(of_group)
        assert np.isclose(row["expected"], len(of_group) * n_selected / len(rows))
    assert set(table["group"]) == {name for names, _ in rows for name in names}
    assert table["n_pool"].is_sorted(descending=True)


@given(LABELS)
@settings(max_examples=60, deadline=None)
def test_standings_are_those_of_the_hypergeometric_distribution(
    rows: list[tuple[list[str], bool]],
) -> None:
    n_drawn = sum(flag for _, flag in rows)
    for row in measure_representation(make_groups(rows)).iter_rows(named=True):
        k, n_group = row["n_selected"], row["n_pool"]
        at_most = count_at_most(k, len(rows), n_group, n_drawn)
        at_least = 1 - count_at_most(k - 1, len(rows), n_group, n_drawn)
        if k == 0:
            assert row["standing"] == NONE
        elif at_most < RARE:
            assert row["standing"] == FEWER
        elif at_least < RARE - 1e-9:
            assert row["standing"] == MORE
        else:
            assert row["standing"] == AS_CHANCE


def test_groups_of_all_kinds_are_listed() -> None:
    # 400 rows, 100 selected: of "all" every one, of "few" 1 of 60, of "alike" a quarter
    rows = [(["all"], True)] * 40
    rows += [(["few"], place == 0) for place in range(60)]
    rows += [(["alike"], place % 4 == 0) for place in range(100)]
    rows += [(["none"], False)] * 30
    rows += [([], place < 34) for place in range(170)]
    table = measure_representation(make_groups(rows))
    standings = dict(table.select("group", "standing").iter_rows())
    assert standings == {"all": MORE, "few": FEWER, "alike": AS_CHANCE, "none": NONE}
    assert representation.list_missing(table)["group"].to_list() == ["none"]
    assert representation.list_scarce(table)["group"].to_list() == ["few"]
    assert representation.list_favoured(table)["group"].to_list() == ["all"]


def test_random_rows_are_expected_to_miss_what_draws_miss() -> None:
    sizes = [1, 2, 5, 50]
    rows = [
        ([str(size)], len(rows_before) < 8)
        for size in sizes
        for rows_before in [range(i) for i in range(size)]
    ]
    table = measure_representation(make_groups(rows))
    n_pool = len(rows)
    labels = np.repeat(np.arange(4), sizes)
    rng = np.random.default_rng(1)
    missed = [
        4 - len(set(labels[rng.choice(n_pool, 10, replace=False)])) for _ in range(4000)
    ]
    expected = representation.expect_missing(table, n_pool, 10)
    assert abs(expected - np.mean(missed)) < 0.05


def test_a_pool_without_groups_and_a_selection_of_no_rows() -> None:
    assert measure_representation(make_groups([([], True)])).is_empty()
    table = measure_representation(make_groups([(["a"], False)]))
    assert table.row(0, named=True)["ratio"] is None
