"""Plans of pairs: who meets whom."""

import numpy as np
import polars as pl
import pytest

from tacos.methods.judging import pairing
from tacos.methods.judging.rating.normal_equations import label_components
from tacos.records import PAIRS, RATINGS


def listed(*sizes: int) -> pl.DataFrame:
    """Clusters 0, 1, ... of these sizes."""
    rows = [
        (f"f:{sum(sizes[:c]) + i}", c, "all")
        for c, size in enumerate(sizes)
        for i in range(size)
    ]
    return pl.DataFrame(
        rows,
        schema={"id": pl.String, "cluster": pl.UInt32, "rule": pl.String},
        orient="row",
    )


def scored(
    shortlist: pl.DataFrame, values: dict[str, float], error: float | None = 5.0
) -> pl.DataFrame:
    """A table RATINGS."""
    rows = [
        (i, c, values[i], error, 1, 0)
        for i, c in shortlist.select("id", "cluster").rows()
        if i in values
    ]
    return pl.DataFrame(rows, schema=RATINGS, orient="row")


def met(plan: pl.DataFrame) -> list[frozenset[str]]:
    return [frozenset(pair) for pair in plan.select("left", "right").iter_rows()]


def n_islands(plan: pl.DataFrame, shortlist: pl.DataFrame) -> int:
    ids = sorted(set(shortlist["id"]))
    a, b = (
        np.array([ids.index(one) for one in plan[side]]) for side in ("left", "right")
    )
    return int(label_components(a, b, len(ids)).max()) + 1


def test_neighbours_meet_in_input_order_and_an_odd_last_one_is_dropped() -> None:
    plan = pairing.pair_neighbours(listed(13, 2).reverse(), first=5)
    assert plan.schema == PAIRS
    assert plan.select("left", "right").rows()[0] == ("f:0", "f:1")
    assert plan.select("left", "right").rows()[5] == (
        "f:10",
        "f:11",
    )  # row 10 comes after 9, not after 1
    assert plan.select("left", "right").rows()[6] == ("f:13", "f:14")
    assert plan["pair"].to_list() == list(range(5, 12))


def test_a_position_column_is_the_input_order() -> None:
    shortlist = listed(4).with_columns(position=pl.Series([3, 2, 1, 0]))
    assert pairing.pair_neighbours(shortlist).select("left", "right").rows() == [
        ("f:3", "f:2"),
        ("f:1", "f:0"),
    ]


def test_the_paper_pairs_leave_islands_and_a_chain_with_bridges_does_not() -> None:
    shortlist = listed(7, 20, 2, 1)
    assert n_islands(pairing.pair_neighbours(shortlist), shortlist) > 4
    chain = pairing.pair_in_chain(shortlist, seed=1)
    assert chain.height == 6 + 19 + 1
    assert n_islands(chain, shortlist) == 4
    bridges = pairing.bridge_clusters(
        shortlist, 1, seed=1, asked=chain, first=chain.height
    )
    assert bridges["bridge"].all()
    assert n_islands(pl.concat([chain, bridges]), shortlist) == 1


def test_bridges_never_repeat_a_pair() -> None:
    shortlist = listed(2, 1, 1)
    plan = pairing.bridge_clusters(shortlist, 5, seed=3)
    assert len(set(met(plan))) == plan.height
    again = pairing.bridge_clusters(shortlist, 5, seed=3, asked=plan, first=plan.height)
    assert not set(met(again)) & set(met(plan))


def test_one_cluster_has_no_bridges() -> None:
    assert pairing.bridge_clusters(listed(5), 2, seed=1).is_empty()


def test_everything_meets_the_reference() -> None:
    plan = pairing.pair_with_reference(listed(5, 3), seed=1, references={0: "f:2"})
    in_first = plan.filter(pl.col("cluster") == 0)
    assert set(in_first["right"]) == {"f:2"}
    assert sorted(in_first["left"]) == ["f:0", "f:1", "f:3", "f:4"]
    assert plan.filter(pl.col("cluster") == 1)["right"].n_unique() == 1


def test_swiss_pairs_equals_and_nobody_twice() -> None:
    shortlist = listed(8)
    scores = scored(shortlist, {f"f:{i}": 10.0 * i for i in range(8)})
    first = pairing.plan_swiss_round(
        shortlist, scores, pairing.pair_neighbours(listed(0)), 1, seed=1
    )
    assert set(met(first)) == {
        frozenset((f"f:{i}", f"f:{i + 1}")) for i in (0, 2, 4, 6)
    }
    asked = first
    for number in range(2, 8):
        more = pairing.plan_swiss_round(shortlist, scores, asked, number, seed=1)
        assert not set(met(more)) & set(met(asked))
        assert more.height == 0 or more["pair"].min() == asked.height
        asked = pl.concat([asked, more])
    assert len(set(met(asked))) == asked.height <= 28


def test_a_sample_without_a_score_stands_in_the_middle() -> None:
    shortlist = listed(4)
    scores = scored(shortlist, {"f:0": 90.0, "f:1": 60.0, "f:2": 10.0})
    plan = pairing.plan_swiss_round(
        shortlist, scores, pairing.pair_neighbours(listed(0)), 1, seed=1
    )
    assert frozenset(("f:2", "f:0")) not in met(plan)


@pytest.mark.parametrize("linked, n_pairs", [(True, 8 + 4), (False, 5 + 3)])
def test_an_opening_sees_every_sample_once_in_one_order_but_for_the_pilot(
    linked, n_pairs
) -> None:
    plan = pairing.plan_first_round(listed(9, 5), seed=1, linked=linked, pilot=4)
    assert plan.height == n_pairs
    assert set(plan["left"]) | set(plan["right"]) == {f"f:{i}" for i in range(14)}
    assert plan["orders"].to_list() == [
        "both" if i % 4 == 0 else "ab" for i in range(n_pairs)
    ]


def test_an_opening_of_a_lone_sample_is_empty() -> None:
    assert pairing.plan_first_round(listed(1), seed=1, linked=False).is_empty()


def test_active_asks_around_the_threshold_and_leaves_the_settled_alone() -> None:
    shortlist = listed(40)
    opening = pairing.plan_first_round(shortlist, seed=1, linked=False, pilot=1000)
    scores = scored(shortlist, {f"f:{i}": 2.0 * i for i in range(40)}, error=2.0)
    plan = pairing.plan_active_round(
        shortlist, scores, opening, {0: 10}, {0: 12}, seed=1
    )
    asked = {int(one[2:]) for one in [*plan["left"], *plan["right"]]}
    assert asked <= set(range(26, 34))  # the threshold lies between 29 and 30
    assert {29, 30} <= asked
    cost = (plan["orders"] == "both").sum() + plan.height
    assert 0 < cost <= 12


def test_active_stops_where_no_answer_can_change_the_outcome() -> None:
    shortlist = listed(10)
    opening = pairing.plan_first_round(shortlist, seed=1)
    values = {f"f:{i}": 90.0 if i < 3 else 10.0 for i in range(10)}
    assert pairing.plan_active_round(
        shortlist, scored(shortlist, values, 2.0), opening, {0: 3}, {0: 50}, seed=1
    ).is_empty()


@pytest.mark.parametrize("quota", [0, 10])
def test_active_asks_nothing_where_all_or_none_are_taken(quota) -> None:
    shortlist = listed(10)
    scores = scored(shortlist, {f"f:{i}": 1.0 * i for i in range(10)})
    opening = pairing.plan_first_round(shortlist, seed=1)
    assert pairing.plan_active_round(
        shortlist, scores, opening, {0: quota}, {0: 50}, seed=1
    ).is_empty()


def test_active_asks_nothing_of_a_judge_whose_scores_have_no_error() -> None:
    shortlist = listed(10)
    scores = scored(shortlist, {f"f:{i}": 1.0 * i for i in range(10)}, error=None)
    assert pairing.plan_active_round(
        shortlist,
        scores,
        pairing.plan_first_round(shortlist, 1),
        {0: 3},
        {0: 50},
        seed=1,
    ).is_empty()


def test_active_never_asks_an_order_twice_and_a_second_order_keeps_its_number() -> None:
    shortlist = listed(6)
    scores = scored(shortlist, {f"f:{i}": 1.0 * i for i in range(6)}, error=30.0)
    plans = [pairing.plan_first_round(shortlist, seed=1, linked=False, pilot=1000)]
    for number in range(6):
        plans.append(
            pairing.plan_active_round(
                shortlist,
                scores,
                pl.concat(plans),
                {0: 3},
                {0: 7},
                seed=number,
                both=number % 2 == 0,
            )
        )
    every = pl.concat(plans)
    orders = [
        (left, right) if order == "ab" else (right, left)
        for left, right, wanted in every.select("left", "right", "orders").rows()
        for order in (("ab", "ba") if wanted == "both" else (wanted,))
    ]
    assert (
        len(orders) == len(set(orders)) == 30
    )  # every ordered pair of six samples, once
    assert (
        every.group_by("pair").agg(pl.struct("left", "right").n_unique())["left"].max()
        == 1
    )


def test_allowances_share_what_is_left_of_the_budget_over_the_rounds() -> None:
    shortlist = listed(20, 10, 4)
    opening = pairing.plan_first_round(
        shortlist, seed=1, linked=False, pilot=1000
    )  # 1 + 10, 5 and 2 requests
    assert pairing.allot_requests(shortlist, opening, 1.0, 3) == {0: 3, 1: 2, 2: 1}
    assert pairing.allot_requests(shortlist, opening, 0.2, 3) == {0: 0, 1: 0, 2: 0}


@pytest.mark.parametrize("seed", range(3))
def test_plans_do_not_depend_on_row_order(seed) -> None:
    shortlist = listed(9, 4, 17)
    mixed = shortlist.sample(fraction=1.0, shuffle=True, seed=seed)
    scores = scored(shortlist, {f"f:{i}": float(i * 7 % 11) for i in range(30)})
    asked = pairing.plan_first_round(shortlist, seed)
    quotas, requests = dict.fromkeys(range(3), 3), dict.fromkeys(range(3), 9)
    for make in (
        lambda table: pairing.pair_neighbours(table),
        lambda table: pairing.pair_in_chain(table, seed),
        lambda table: pairing.bridge_clusters(table, 2, seed),
        lambda table: pairing.pair_with_reference(table, seed),
        lambda table: pairing.plan_first_round(table, seed),
        lambda table: pairing.plan_swiss_round(
            table, scores.reverse() if table is mixed else scores, asked, 1, seed
        ),
        lambda table: pairing.plan_active_round(
            table, scores, asked, quotas, requests, seed
        ),
    ):
        assert make(mixed).equals(make(shortlist))


def test_one_order_first_asks_no_pair_twice_in_a_round() -> None:
    shortlist = listed(4)
    scores = scored(shortlist, {f"f:{i}": 1.0 * i for i in range(4)}, error=30.0)
    opening = pairing.plan_first_round(shortlist, seed=1, linked=False, pilot=1000)
    plan = pairing.plan_active_round(
        shortlist, scores, opening, {0: 2}, {0: 12}, seed=1, both=False
    )
    assert len(met(plan)) == len(set(met(plan))) == 5
    assert not {"both"} & set(plan["orders"])


def test_an_open_round_asks_where_membership_of_the_selection_is_open() -> None:
    shortlist = listed(20, 20)
    opening = pairing.plan_first_round(shortlist, seed=1)
    scores = scored(shortlist, {f"f:{i}": 5.0 * i for i in range(40)}, error=4.0)
    # The first cluster is far below the cut, so that every request goes to the second one.
    cuts = {f"f:{i}": 150.0 for i in range(40)}
    n_requests = 12
    plan = pairing.plan_open_round(shortlist, scores, opening, cuts, n_requests, seed=1)
    orders = (1 + (plan["orders"] == "both").cast(pl.Int64)).sum()
    assert 0 < orders <= n_requests
    assert set(plan["cluster"]) == {1}
    distance = [abs(int(id_[2:]) * 5 - 150) for id_ in plan["left"]]
    assert max(distance) <= 30
    asked = pl.concat([opening, plan.filter(pl.col("orders") == "both")])
    assert asked.select("left", "right").is_unique().all()


def test_an_open_round_asks_nothing_where_nothing_is_open() -> None:
    shortlist = listed(10)
    opening = pairing.plan_first_round(shortlist, seed=1)
    scores = scored(shortlist, {f"f:{i}": 5.0 * i for i in range(10)}, error=1.0)
    for cuts in ({}, dict.fromkeys(scores["id"], 500.0)):
        plan = pairing.plan_open_round(shortlist, scores, opening, cuts, 30, seed=1)
        assert plan.is_empty()
    none_left = pairing.count_requests_left(shortlist, opening, budget=0.6, n_rounds=2)
    assert none_left == 0
