"""Which members enter comparison, by named rules."""

import polars as pl
import pytest

from tacos.errors import ConfigError
from tacos.methods.judging.shortlist import Reserve, shortlist_members

MEMBERS = pl.DataFrame(
    [
        ("f:0", 0, 0, 5, [0], 1.0),
        ("f:1", 0, 1, 9, [0], None),
        ("f:2", 0, 2, 7, [0, 1], 3.0),
        ("f:2", 1, 2, 7, [0, 1], 3.0),
        ("f:3", 0, 3, 9, [0], 2.0),
        ("f:10", 1, 10, 2, [1], 2.0),
    ],
    schema=["id", "cluster", "position", "length", "tag_set", "grade"],
    orient="row",
)


def ids(table: pl.DataFrame, cluster: int) -> list[str]:
    return table.filter(pl.col("cluster") == cluster)["id"].to_list()


def test_all_keeps_every_member_in_input_order() -> None:
    kept, dropped = shortlist_members(MEMBERS.reverse(), "all", {})
    assert ids(kept, 0) == ["f:0", "f:1", "f:2", "f:3"]
    assert ids(kept, 1) == ["f:2", "f:10"]
    assert dropped.is_empty()


def test_of_each_tag_set_the_longest_response_survives_in_all_its_clusters() -> None:
    kept, dropped = shortlist_members(MEMBERS, "longest-per-tag-set", {})
    assert ids(kept, 0) == [
        "f:1",
        "f:2",
    ]  # f:1 and f:3 are equally long: the earlier one
    assert ids(kept, 1) == ["f:2", "f:10"]
    assert dropped["id"].to_list() == ["f:0", "f:3"]
    assert set(dropped["rule"]) == {"longest-per-tag-set"}


def test_the_embedded_judge_takes_the_best_and_a_missing_grade_is_last() -> None:
    kept, _ = shortlist_members(
        MEMBERS, "embedded-judge", {0: 1, 1: 1}, factor=3.0, explore=0.0
    )
    assert ids(kept, 0) == ["f:0", "f:2", "f:3"]


def test_a_share_is_drawn_from_the_rest_at_random() -> None:
    seen = {
        one
        for seed in range(30)
        for one in ids(
            shortlist_members(
                MEMBERS, "embedded-judge", {0: 1}, factor=2.0, explore=0.5, seed=seed
            )[0],
            0,
        )
    }
    assert seen == {"f:0", "f:1", "f:2", "f:3"}
    every = [
        shortlist_members(
            MEMBERS, "embedded-judge", {0: 1}, factor=2.0, explore=0.5, seed=s
        )[0]
        for s in range(30)
    ]
    assert all("f:2" in ids(table, 0) and len(ids(table, 0)) == 2 for table in every)


def test_random_takes_so_many_whatever_the_grades() -> None:
    kept, dropped = shortlist_members(
        MEMBERS, "random", {0: 2, 1: 1}, factor=1.0, seed=3
    )
    assert kept.group_by("cluster").len().sort("cluster")["len"].to_list() == [2, 1]
    assert kept.height + dropped.height == MEMBERS.height


def test_a_cluster_without_a_quota_gives_nothing() -> None:
    kept, _ = shortlist_members(MEMBERS, "random", {0: 1}, factor=1.0)
    assert set(kept["cluster"]) == {0}


def test_the_cap_removes_the_rest_under_its_own_name() -> None:
    kept, dropped = shortlist_members(MEMBERS, "longest-per-tag-set", {}, cap=1)
    assert kept.group_by("cluster").len()["len"].max() == 1
    assert dropped["rule"].value_counts().sort("rule").rows() == [
        ("cap", 2),
        ("longest-per-tag-set", 2),
    ]


@pytest.mark.parametrize(
    "rule",
    [
        "all",
        "longest-per-tag-set",
        "stratified",
        "objective",
        "embedded-judge",
        "random",
    ],
)
def test_row_order_does_not_matter(rule) -> None:
    one = shortlist_members(MEMBERS, rule, {0: 1, 1: 1}, 2.0, 0.5, 7)
    two = shortlist_members(
        MEMBERS.sample(fraction=1.0, shuffle=True, seed=2),
        rule,
        {0: 1, 1: 1},
        2.0,
        0.5,
        7,
    )
    assert one[0].equals(two[0])
    assert one[1].equals(two[1])


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(ConfigError, match=r"shortlist\.factor"):
        shortlist_members(MEMBERS, "random", {}, factor=0.0)
    with pytest.raises(ConfigError, match="unknown"):
        shortlist_members(MEMBERS, "best", {})  # type: ignore[arg-type]


def test_what_a_quota_needs_is_shortlisted_too_and_a_cap_comes_last() -> None:
    groups = pl.DataFrame(
        {"id": ["f:0", "f:1", "f:2", "f:3", "f:10"], "group": [0, 0, 1, 1, 1]}
    )
    given = {"quotas": {0: 1, 1: 0}, "factor": 1.0, "explore": 0.0}
    kept, _ = shortlist_members(MEMBERS, "embedded-judge", **given)
    assert ids(kept, 0) == ["f:2"]
    more, left = shortlist_members(
        MEMBERS, "embedded-judge", **given, reserves=[Reserve(groups, {0: 1, 1: 2})]
    )
    assert dict(more.select("id", "rule").unique().iter_rows())["f:0"] == "reserve"
    assert set(more["id"]) in (
        {"f:0", "f:2", "f:3"},
        {"f:0", "f:2", "f:10"},
    )  # equal grades: by chance
    assert more.height + left.height == MEMBERS.height
    capped, left = shortlist_members(
        MEMBERS,
        "embedded-judge",
        **given,
        cap=1,
        reserves=[Reserve(groups, {0: 1, 1: 2})],
    )
    assert capped["cluster"].n_unique() == capped.height
    assert "cap" in left["rule"].to_list()
