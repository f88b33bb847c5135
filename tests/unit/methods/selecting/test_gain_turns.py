"""The turns of a selection are found again from its rows alone."""

import itertools

import numpy as np
import polars as pl
import pytest

from tacos.methods.selecting.gain_turns import convert_tag_price, trace_turns
from tacos.methods.selecting.quotas import QuotaRule, select_by_quota

N = 80


def build_pool(seed: int) -> tuple[pl.DataFrame, dict[str, list[str]]]:
    random = np.random.default_rng(seed)
    ids = [f"f:{number}" for number in range(N)]
    scores = pl.DataFrame(
        {"id": ids, "cluster": [0] * N, "score": random.normal(50, 15, N)}
    )
    tags = {id_: [f"t{tag}" for tag in random.integers(0, 60, 3)] for id_ in ids}
    return scores, tags


@pytest.mark.parametrize("reliability", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_rows_come_in_the_order_in_which_they_were_taken(
    seed: int, reliability: float
) -> None:
    scores, tags = build_pool(seed)
    rule = QuotaRule("none", 3.0, reliability, 1)
    selection = select_by_quota(scores, {0: N}, 20, rule, keep=["f:7"], tags=tags)
    points = convert_tag_price(scores["score"], reliability, 3.0)
    taken = selection.filter(pl.col("rule") == "gain")
    by_score = taken.sort("score", descending=True).select("id", "score")
    found = trace_turns([dict(by_score.iter_rows())], ["f:7"], tags, points)
    assert [gain.id for gain in found.turns] == taken["id"].to_list()

    # No other row ever had more to add than the one that was taken.
    others = scores.filter(~pl.col("id").is_in(selection["id"].implode()))
    for id_, _, score in others.iter_rows():
        gains = found.follow(id_, score)
        for own, turn in zip(gains, found.turns, strict=True):
            assert own.total <= turn.total + 1e-9
        assert all(
            len(a.new_tags) >= len(b.new_tags) for a, b in itertools.pairwise(gains)
        )


def test_where_scores_count_for_nothing_new_tags_are_the_gain() -> None:
    scores, tags = build_pool(1)
    points = convert_tag_price(scores["score"], 0.0, 3.0)
    assert points is None
    found = trace_turns([{"f:1": 9.0, "f:2": 99.0}], [], tags, points)
    totals = [gain.total for gain in found.turns]
    assert totals == sorted(totals, reverse=True)
    assert totals[0] == len(set(tags[found.turns[0].id]))


def test_an_order_that_is_known_holds() -> None:
    found = trace_turns([{"a": 1.0, "b": 2.0}], [], {}, 0.0, is_ordered=True)
    assert [gain.id for gain in found.turns] == ["a", "b"]
    assert found.find("b") == 1
    assert found.find("c") is None
