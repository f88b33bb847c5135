"""The selection of TACOS: quotas per cluster."""

import polars as pl
import pytest

from tacos.errors import ConfigError, InputError
from tacos.methods.selecting.quotas import QuotaRule, compute_quotas, select_by_quota
from tacos.records import RATINGS, SELECTION


def scored(*rows) -> pl.DataFrame:
    """Rows (id, cluster, score)."""
    return pl.DataFrame(
        [(i, c, s, None, 1, 0) for i, c, s in rows], schema=RATINGS, orient="row"
    )


TABLE = scored(
    ("a", 0, 90),
    ("b", 0, 80),
    ("c", 0, 10),
    ("a", 1, 99),
    ("d", 1, 50),
    ("e", 1, 40),
    ("f", 1, 30),
)
SIZES = {0: 10, 1: 400}


def ids(selection: pl.DataFrame) -> list[str]:
    return selection["id"].to_list()


@pytest.mark.parametrize(
    "quota, expected",
    [
        ("ascending-size", {0: 34, 1: 34, 2: 34}),
        ("equal", {0: 33, 1: 34, 2: 33}),
        ("proportional", {0: 8, 1: 77, 2: 15}),
        ("square-root", {0: 19, 1: 57, 2: 24}),
    ],
)
def test_how_n_is_shared_out(quota, expected) -> None:
    found = compute_quotas({0: 100, 1: 900, 2: 180}, 100, quota)
    assert sum(found.values()) in (100, 102)
    assert found == pytest.approx(expected, abs=1)


def test_what_a_small_cluster_cannot_give_goes_to_the_others() -> None:
    assert compute_quotas({0: 2, 1: 100, 2: 100, 3: 0}, 62, "equal") == {
        0: 2,
        1: 30,
        2: 30,
        3: 0,
    }
    assert compute_quotas({0: 2, 1: 3}, 50, "square-root") == {0: 2, 1: 3}


def test_an_unknown_quota_is_named() -> None:
    with pytest.raises(ConfigError, match="ascending-size"):
        compute_quotas({0: 1}, 1, "best")  # type: ignore[arg-type]


def test_the_paper_takes_from_the_smallest_cluster_first_and_skips_what_is_taken() -> (
    None
):
    found = select_by_quota(TABLE, SIZES, 4, QuotaRule("ascending-size"))
    assert found.schema == SELECTION
    assert found.select("id", "cluster", "score").rows() == [
        ("a", 0, 90.0),
        ("b", 0, 80.0),
        ("d", 1, 50.0),
        ("e", 1, 40.0),
    ]


def test_a_remainder_goes_by_score() -> None:
    found = select_by_quota(TABLE, SIZES, 6, QuotaRule("ascending-size"))
    assert found["rule"].to_list() == ["quota"] * 6
    few = select_by_quota(
        TABLE.filter(pl.col("id") != "c"), SIZES, 5, QuotaRule("ascending-size")
    )
    assert few.filter(pl.col("rule") == "remainder").is_empty()
    more = select_by_quota(
        scored(("a", 0, 1), ("b", 1, 9), ("c", 1, 8), ("d", 1, 7)),
        {0: 1, 1: 3},
        3,
        QuotaRule("ascending-size"),
    )
    assert more.select("id", "rule").rows() == [
        ("a", "quota"),
        ("b", "quota"),
        ("c", "quota"),
    ]
    rest = select_by_quota(
        scored(("a", 0, 1), ("b", 1, 9), ("c", 1, 8), ("d", 1, 7)),
        {0: 9, 1: 3},
        4,
        QuotaRule("equal"),
    )
    assert rest.select("id", "rule").rows()[-1] == ("d", "remainder")


def test_where_the_quotas_are_more_than_n_the_lowest_scores_go() -> None:
    assert ids(select_by_quota(TABLE, SIZES, 3, QuotaRule("ascending-size"))) == [
        "a",
        "b",
        "d",
    ]  # 2 + 2 taken, e is the lowest


def test_must_keep_rows_are_in_and_count() -> None:
    found = select_by_quota(
        TABLE, SIZES, 4, QuotaRule("ascending-size"), keep=["f", "x"]
    )
    assert ids(found)[:2] == ["f", "x"]
    assert found["rule"].to_list()[:2] == ["must-keep", "must-keep"]
    assert found.filter(pl.col("id") == "x").select("cluster", "score").row(0) == (
        None,
        None,
    )
    assert found.height == 4
    assert (
        found.filter(pl.col("cluster") == 1).height <= 2
    )  # f counts towards the quota of its cluster


def test_excluded_rows_are_never_in() -> None:
    assert "a" not in ids(select_by_quota(TABLE, SIZES, 5, exclude=["a"]))
    with pytest.raises(InputError, match="both"):
        select_by_quota(TABLE, SIZES, 2, keep=["a"], exclude=["a"])
    with pytest.raises(InputError, match="must-keep"):
        select_by_quota(TABLE, SIZES, 1, keep=["a", "b"])


def test_too_few_judged_rows_are_an_error_that_names_fill() -> None:
    unjudged = pl.concat([TABLE, scored(("g", 1, None), ("h", 1, float("nan")))])
    with pytest.raises(InputError, match=r"only 6 have a score.*--fill"):
        select_by_quota(unjudged, SIZES, 7)


def test_fill_takes_unjudged_rows_last_and_says_so() -> None:
    fill = pl.DataFrame(
        {"id": ["y", "a", "z", "w"], "cluster": [1, 0, 1, 0], "rule": ["fill"] * 4},
        schema_overrides={"cluster": pl.UInt32},
    )
    found = select_by_quota(TABLE, SIZES, 8, fill=fill, exclude=["y"])
    assert found.select("id", "score", "rule").rows()[-2:] == [
        ("z", None, "fill"),
        ("w", None, "fill"),
    ]
    with pytest.raises(InputError, match="--fill"):
        select_by_quota(TABLE, SIZES, 10, fill=fill)


def test_equal_scores_are_a_matter_of_the_seed_not_of_the_place() -> None:
    ties = scored(*[(f"r{i}", 0, 50) for i in range(20)])
    chosen = [
        tuple(ids(select_by_quota(ties, {0: 20}, 5, QuotaRule(seed=seed))))
        for seed in range(5)
    ]
    assert len(set(chosen)) > 1
    assert ids(select_by_quota(ties.reverse(), {0: 20}, 5, QuotaRule(seed=3))) == list(
        chosen[3]
    )


NEW_TAGS = scored(("a", 0, 90), ("b", 0, 80), ("c", 0, 70), ("d", 1, 60), ("e", 1, 50))
TAGS = {"a": ["x"], "b": ["x"], "c": ["y"], "d": ["x"], "e": ["z"]}


def test_the_gain_prefers_tags_that_no_row_has_and_keeps_the_quotas() -> None:
    sizes = {0: 9, 1: 9}
    by_score = QuotaRule("square-root")
    assert ids(select_by_quota(NEW_TAGS, sizes, 3, by_score, tags=TAGS)) == [
        "a",
        "b",
        "d",
    ]
    by_gain = QuotaRule("square-root", tag_price=40, reliability=0.25)
    assert ids(select_by_quota(NEW_TAGS, sizes, 3, by_gain, tags=TAGS)) == [
        "a",
        "c",
        "e",
    ]


def test_without_quotas_rows_come_from_anywhere() -> None:
    for rule in (QuotaRule(), QuotaRule(tag_price=9, reliability=1.0)):
        found = select_by_quota(TABLE, SIZES, 3, rule)
        assert found.select("id", "score", "rule").rows() == [
            ("a", 99, "gain"),
            ("b", 80, "gain"),
            ("d", 50, "gain"),
        ]


def test_a_reliability_of_0_gives_diversity_alone_and_of_1_ranks() -> None:
    scores = scored(*[(f"r{i:02d}", i % 3, i) for i in range(30)])
    tags = {f"r{i:02d}": [f"t{i % 10}"] for i in range(30)}

    def take(table: pl.DataFrame, reliability: float) -> list[str]:
        rule = QuotaRule(tag_price=2, reliability=reliability)
        return ids(select_by_quota(table, {0: 10, 1: 10, 2: 10}, 15, rule, tags=tags))

    best_first = [f"r{i:02d}" for i in range(29, 14, -1)]
    assert take(scores, 1.0) == best_first
    # Other scores, the same rows: every tag once, then chance.
    diverse = take(scores, 0.0)
    assert len({tags[id_][0] for id_ in diverse[:10]}) == 10
    assert take(scores.with_columns(score=-pl.col("score") * 7), 0.0) == diverse
    # In between: more tags among the first rows the less the judge says.
    n_tags = [
        len({tags[id_][0] for id_ in take(scores, reliability)[:6]})
        for reliability in (1.0, 0.9, 0.5, 0.1, 0.0)
    ]
    assert n_tags == sorted(n_tags)


def test_the_gain_counts_the_tags_of_must_keep_rows_and_says_what_a_remainder_is() -> (
    None
):
    rows = scored(("a", 0, 90), ("b", 0, 80), ("c", 0, 70), ("d", 1, 60))
    tags = {"k": ["x"], "a": ["x"], "b": ["x"], "c": ["y"]}
    found = select_by_quota(
        rows,
        {0: 1, 1: 3},
        4,
        QuotaRule("ascending-size", tag_price=3, reliability=0.01),
        keep=["k"],
        tags=tags,
    )
    assert found.select("id", "rule").rows() == [
        ("k", "must-keep"),
        ("c", "quota"),
        ("d", "quota"),
        ("a", "remainder"),
    ]
