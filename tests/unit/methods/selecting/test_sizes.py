"""Rows, shares and token budgets."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tacos import amounts
from tacos.amounts import SelectionSize
from tacos.errors import ConfigError, InputError
from tacos.methods.measures import value_shares
from tacos.methods.selecting import sizes, strategy_comparison


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (500, SelectionSize("rows", 500)),
        ("2k", SelectionSize("rows", 2000)),
        ("0.5%", SelectionSize("share", 0.005)),
        ("0.05", SelectionSize("share", 0.05)),
        (0.25, SelectionSize("share", 0.25)),
        ("1.5Mtokens", SelectionSize("tokens", 1.5e6)),
        ("800 tokens", SelectionSize("tokens", 800)),
    ],
)
def test_what_a_person_writes(text: str | int, size: SelectionSize) -> None:
    assert amounts.parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "x", "0", "-1", "1.5", "0%", "101%", "5k%", "5 usd", "1e3"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ConfigError, match="-n"):
        amounts.parse_size(text)


def test_a_share_of_little_is_one_row() -> None:
    assert sizes.resolve_row_count(amounts.parse_size("1%"), 20) == 1
    assert sizes.resolve_row_count(amounts.parse_size("10%"), 205) == 20
    assert sizes.resolve_row_count(amounts.parse_size("9tokens"), 20) is None


def pool(costs: list[int]) -> pl.DataFrame:
    return pl.DataFrame({"id": [str(i) for i in range(len(costs))], "tokens": costs})


@settings(max_examples=80)
@given(
    costs=st.lists(st.integers(1, 400), min_size=1, max_size=120),
    budget=st.integers(1, 20_000),
)
def test_a_budget_takes_the_longest_part_of_an_order_that_fits(
    costs: list[int], budget: int
) -> None:
    table = pool(costs)
    sums = table["tokens"].cum_sum().to_list()
    wanted = sum(total <= budget for total in sums)
    if wanted == 0:
        with pytest.raises(InputError, match="too small"):
            sizes.fit_token_budget(budget, table.head, table)
    else:
        found = sizes.fit_token_budget(budget, table.head, table.select("id", "tokens"))
        assert found.height == wanted


def test_where_a_strategy_has_no_more_rows_the_budget_stays_unspent() -> None:
    table = pool([10] * 50)

    def seven(n: int) -> pl.DataFrame:
        if n > 7:
            raise InputError("only 7")
        return table.select("id").head(n)

    assert sizes.fit_token_budget(400, seven, table).height == 7


@pytest.mark.parametrize("n_scored", [51, 72, 500])
def test_where_few_rows_of_a_large_pool_can_be_had_a_large_budget_takes_all_of_them(
    n_scored: int,
) -> None:
    table = pool([10] * 5000)

    def scored(n: int) -> pl.DataFrame:
        if n > n_scored:
            raise InputError("no more scores")
        return table.select("id").head(n)

    assert sizes.fit_token_budget(40_000, scored, table).height == n_scored


def test_a_few_very_long_rows_do_not_end_the_search_early() -> None:
    costs = [1] * 300 + [10_000] * 30
    assert sizes.fit_token_budget(1_000, pool(costs).head, pool(costs)).height == 300
    assert (
        sizes.fit_token_budget(10_300, pool(costs[::-1]).head, pool(costs)).height == 1
    )


def test_mixes_and_distances() -> None:
    rows = pl.DataFrame(
        {"id": ["a", "b", "c", "d"], "cluster": [0, 0, 1, None]},
        schema_overrides={"cluster": pl.UInt32},
    )
    found = strategy_comparison.tabulate_value_shares(
        rows, {"one": ["a", "b"], "two": ["c", "d"]}, "cluster"
    )
    assert found.rows() == [
        (0, 0.5, 1.0, 0.0),
        (1, 0.25, 0.0, 0.5),
        (None, 0.25, 0.0, 0.5),
    ]
    assert (
        value_shares.total_variation(
            value_shares.count_value_shares(rows, "cluster"), {0: 1.0}
        )
        == 0.5
    )
    assert strategy_comparison.overlap_matrix(
        {"one": ["a", "b"], "two": ["b"]}
    ).rows() == [
        ("one", 1.0, 0.5),
        ("two", 1.0, 1.0),
    ]
