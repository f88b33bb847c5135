"""The score at which a row enters or leaves the selection."""

import numpy as np
import polars as pl
import pytest

from tacos.methods.selecting.cut_scores import find_cut_scores
from tacos.methods.selecting.quotas import QuotaRule, select_by_quota

N = 80


def build_scores(seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "id": [f"f:{number}" for number in range(N)],
            "cluster": [0] * N,
            "score": random.normal(50, 15, N),
        }
    )


def build_tags(seed: int) -> dict[str, list[str]]:
    random = np.random.default_rng(seed)
    return {
        f"f:{number}": [f"t{tag}" for tag in random.integers(0, 60, 3)]
        for number in range(N)
    }


def test_without_tags_the_cut_is_the_same_for_all() -> None:
    scores = build_scores(1)
    cuts = find_cut_scores(scores, 20, {}, reliability=1.0, tag_price=3.0)
    ranked = scores["score"].sort(descending=True)
    assert set(cuts) == set(scores["id"])
    expected = (ranked[19] + ranked[20]) / 2
    assert list(cuts.values()) == pytest.approx([expected] * N)


@pytest.mark.parametrize("seed", range(5))
def test_rows_above_their_own_cut_are_those_that_are_selected(seed: int) -> None:
    scores, tags = build_scores(seed), build_tags(seed)
    rule = QuotaRule("none", 3.0, 0.4, 1)
    selection = select_by_quota(scores, {0: N}, 20, rule, tags=tags)
    cuts = find_cut_scores(scores, 20, tags, reliability=0.4, tag_price=3.0)
    selected = set(selection["id"])
    assert len(set(np.round(list(cuts.values()), 6))) > 1
    above = {
        id_ for id_, score in scores.select("id", "score").rows() if score > cuts[id_]
    }
    assert len(selected & above) >= 18
    assert len(above - selected) <= 2


def test_a_row_with_new_tags_needs_a_lower_score() -> None:
    scores = build_scores(3)
    tags = {id_: ["common"] for id_ in scores["id"]}
    last = scores.sort("score")["id"][0]
    tags[last] = ["rare"]
    cuts = find_cut_scores(scores, 20, tags, reliability=0.4, tag_price=3.0)
    others = [cut for id_, cut in cuts.items() if id_ != last]
    assert cuts[last] < min(others)


@pytest.mark.parametrize(("n", "reliability"), [(N, 0.5), (N + 5, 0.5), (20, 0.0)])
def test_where_scores_decide_nothing_there_are_no_cuts(
    n: int, reliability: float
) -> None:
    assert find_cut_scores(build_scores(1), n, {}, reliability, 3.0) == {}
