"""Quotas of sources and tags, and length matching, under any strategy."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tacos.amounts import parse_quotas
from tacos.errors import InputError
from tacos.methods.selecting import quotas
from tacos.methods.selecting.limits import Limits, build_bounds, find_full_groups
from tacos.methods.selecting.strategies import choose_by_strategy
from tacos.methods.selecting.strategy_inputs import StrategyInputs

N = 120


def pool(seed: int = 0) -> pl.DataFrame:
    """120 rows of three sources; every fifth is tagged "rare", every row "common"."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "id": [f"f:{i:03}" for i in range(N)],
            "source": [("a.json", "b/b.jsonl.gz", "c.csv")[i % 3] for i in range(N)],
            "cluster": rng.integers(0, 4, N).astype(np.uint32),
            "score": rng.uniform(1, 100, N),
            "length": (rng.lognormal(5, 1, N)).astype(np.uint32),
            "tags": [
                ["common", "rare"] if i % 5 == 0 else ["common"] for i in range(N)
            ],
        }
    )


def limits(**given: dict[str, str | float] | bool) -> Limits:
    """Limits from what a person writes."""
    parts = {
        name: parse_quotas(value, name)
        for name, value in given.items()
        if isinstance(value, dict)
    }
    return Limits(**parts, match_length=bool(given.get("match_length")))


def chosen(n: int, wanted: Limits, strategy: str = "longest") -> pl.DataFrame:
    table = pool()
    return (
        choose_by_strategy(table, strategy, n, 1, limits=wanted)
        .selection.select("id")
        .join(table, on="id")
    )


@pytest.mark.parametrize(
    "strategy", ["tacos", "longest", "mig", "random", "complexity-first"]
)
def test_an_exact_quota_is_met_and_a_limit_kept(strategy: str) -> None:
    wanted = limits(per_source={"a": 0.6, "c.csv": "<=3"}, per_tag={"rare": "<=10%"})
    found = chosen(30, wanted, strategy)
    counts = Counter(found["source"])
    assert counts["a.json"] == 18
    assert counts["c.csv"] <= 3
    assert found["tags"].list.contains("rare").sum() <= 3
    assert found.height == 30


def test_shares_of_all_sources_are_rounded_to_what_is_asked_for() -> None:
    third = 1 / 3
    found = chosen(20, limits(per_source={"a": third, "b": third, "c": third}))
    assert sorted(Counter(found["source"]).values()) == [6, 7, 7]


def test_an_exact_quota_of_a_tag_is_served_first() -> None:
    table = pool().with_columns(
        length=pl.when(pl.col("tags").list.contains("rare")).then(1).otherwise("length")
    )
    found = choose_by_strategy(
        table, "longest", 20, 1, limits=limits(per_tag={"rare": 5})
    ).selection.join(table, on="id")
    assert found["tags"].list.contains("rare").sum() == 5


@settings(max_examples=30)
@given(n=st.integers(1, 60), seed=st.integers(0, 5))
def test_matched_lengths_take_from_every_tenth_alike(n: int, seed: int) -> None:
    table = pool(seed)
    found = choose_by_strategy(
        table, "longest", n, 1, limits=Limits(match_length=True)
    ).selection.join(table, on="id")
    cuts = np.unique(np.quantile(table["length"], np.arange(1, 10) / 10))
    share = (
        np.bincount(
            np.searchsorted(cuts, table["length"], side="right"),
            minlength=len(cuts) + 1,
        )
        / N
    )
    counts = np.bincount(
        np.searchsorted(cuts, found["length"], side="right"), minlength=len(cuts) + 1
    )
    assert (counts <= np.ceil(n * share - 1e-9)).all()
    assert counts.sum() == n


@pytest.mark.parametrize(
    "lengths", [[1, 100], [5, 5, 5, 9], [3] * 30 + [40] * 11 + [50] * 59]
)
def test_a_tenth_of_the_lengths_may_be_empty(lengths: list[int]) -> None:
    table = pool()[: len(lengths)].with_columns(
        length=pl.Series(lengths, dtype=pl.UInt32)
    )
    found = choose_by_strategy(
        table, "random", len(lengths), 1, limits=Limits(match_length=True)
    ).selection
    assert sorted(found["id"]) == sorted(table["id"])


def test_without_limits_nothing_changes() -> None:
    assert choose_by_strategy(pool(), "tacos", 30, 1).selection.equals(
        choose_by_strategy(pool(), "tacos", 30, 1, limits=limits()).selection
    )


@pytest.mark.parametrize("tag_price", [0.0, 3.0])
def test_a_limit_that_turns_nobody_away_leaves_the_quotas_of_clusters_alone(
    tag_price: float,
) -> None:
    extras = StrategyInputs(quota="square-root", tag_price=tag_price, reliability=0.5)
    keep = ["f:003", "f:077"]
    free = choose_by_strategy(pool(), "tacos", 30, 1, extras, keep).selection
    kept = choose_by_strategy(
        pool(), "tacos", 30, 1, extras, keep, limits=limits(per_source={"a": "<=30"})
    ).selection
    assert set(kept["id"]) == set(free["id"])
    sizes = dict(pool().group_by("cluster").len().rows())
    assert dict(kept.group_by("cluster").len().rows()) == quotas.compute_quotas(
        sizes, 30, "square-root"
    )


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (limits(per_source={"d": 0.1}), "unknown source 'd'"),
        (limits(per_source={"a": 20, "b": 11}), "come to 31 rows, more than the 30"),
        (
            limits(per_source={"a": 0.5, "b": 0.2, "c": 0.2}),
            "come to 27 of 30 rows, and the data has no other",
        ),
        (limits(per_source={"a": 0.1, "a.json": 0.2}), "has two quotas"),
        (limits(per_tag={"rrare": 0.1}), "did you mean: rare"),
        (limits(per_tag={"rare": "1%"}), "quota 1% of 'rare' comes to no row of 30"),
        (
            limits(per_tag={"rare": 0.9}),
            r"not filled: the quota of the tag 'rare' \(24 of 27\)",
        ),
    ],
)
def test_what_cannot_be_had_is_said(wanted: Limits, message: str) -> None:
    with pytest.raises(InputError, match=message):
        chosen(30, wanted)


@pytest.mark.parametrize("part", ["<=2", 2, "20%"])
def test_must_keep_rows_that_overrun_a_quota_are_an_error_that_names_it(
    part: str | float,
) -> None:
    rare = ["f:000", "f:005", "f:010"]
    with pytest.raises(
        InputError,
        match=r"must-keep list alone exceeds the quota of the tag 'rare' \(3 rows, at most 2",
    ):
        choose_by_strategy(
            pool(), "tacos", 10, keep=rare, limits=limits(per_tag={"rare": part})
        )
    assert (
        choose_by_strategy(
            pool(), "tacos", 10, keep=rare[:2], limits=limits(per_tag={"rare": part})
        ).selection.height
        == 10
    )


def test_a_row_is_told_which_limit_left_it_no_room() -> None:
    table = pool()
    bounds = build_bounds(
        table, 10, limits(per_source={"a": "<=2"}, per_tag={"rare": "<=1"})
    )
    taken = np.array([0, 3])  # both of a.json, the first one "rare"
    (full,) = find_full_groups(bounds, taken, 6)
    assert full.text == "the quota of the source a.json was full (2 of 2 rows)"
    assert full.rows.tolist() == [0, 3]
    assert len(find_full_groups(bounds, taken, 15)) == 2
    assert find_full_groups(bounds, taken, 1) == []


def test_rows_without_a_tag_are_no_reason_of_their_own() -> None:
    bounds = build_bounds(pool(), 10, limits(per_tag={"rare": 0.1}))
    taken = np.array([1, 2, 3, 4, 6, 7, 8, 9, 11])
    (full,) = find_full_groups(bounds, taken, 12)
    assert full.is_rest
