"""What holds for any pool: subsets of the asked size without duplicates, and row order never
matters.
"""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tacos.errors import InputError
from tacos.methods.judging import pairing, rating
from tacos.methods.judging.rating.normal_equations import label_components
from tacos.methods.judging.shortlist import shortlist_members
from tacos.methods.selecting.quotas import QuotaRule, compute_quotas, select_by_quota
from tacos.methods.selecting.strategies import choose_by_strategy
from tacos.methods.selecting.strategy_inputs import StrategyInputs
from tacos.records import RATINGS, VERDICTS

CALM = settings(max_examples=60)
QUOTAS = ("ascending-size", "none", "square-root", "proportional", "equal")
RULES = (
    "all",
    "longest-per-tag-set",
    "stratified",
    "objective",
    "embedded-judge",
    "random",
)


@st.composite
def score_tables(draw) -> pl.DataFrame:
    """RATINGS with several clusters per sample, ties and unjudged rows."""
    size = draw(st.integers(1, 30))
    rows = []
    for i in range(size):
        clusters = draw(st.sets(st.integers(0, 4), min_size=1, max_size=3))
        rows += [
            (f"f:{i}", c, draw(st.one_of(st.none(), st.integers(1, 5))), None, 1, 0)
            for c in sorted(clusters)
        ]
    return pl.DataFrame(rows, schema=RATINGS, orient="row")


@st.composite
def pools(draw) -> pl.DataFrame:
    """A pool of samples with tags, lengths and scores."""
    size = draw(st.integers(1, 25))
    tags = st.lists(st.sampled_from("abcdef"), max_size=4)
    rows = [
        (
            f"f:{i}",
            draw(st.integers(0, 3)),
            float(draw(st.integers(1, 9))),
            draw(st.integers(1, 99)),
            draw(tags),
        )
        for i in range(size)
    ]
    schema = {
        "id": pl.String,
        "cluster": pl.UInt32,
        "score": pl.Float64,
        "length": pl.UInt32,
        "tags": pl.List(pl.String),
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


@st.composite
def verdict_tables(draw) -> pl.DataFrame:
    """VERDICTS of a few samples: any pairs, either order or both, some scores missing."""
    size = draw(st.integers(1, 25))
    score = st.one_of(st.none(), st.integers(1, 100))
    rows = []
    for pair in range(size):
        a, b = draw(st.lists(st.integers(0, 8), min_size=2, max_size=2, unique=True))
        judge, orders = (
            draw(st.sampled_from("jk")),
            draw(st.sampled_from([("ab",), ("ba",), ("ab", "ba")])),
        )
        rows += [
            (
                pair,
                0,
                f"f:{a}",
                f"f:{b}",
                order,
                judge,
                0,
                draw(score),
                draw(score),
                "",
                "",
                *[None] * 4,
            )
            for order in orders
        ]
    return pl.DataFrame(rows, schema=VERDICTS, orient="row")


def shuffled(table: pl.DataFrame, seed: int) -> pl.DataFrame:
    return table.sample(fraction=1.0, shuffle=True, seed=seed)


@CALM
@given(
    score_tables(),
    st.sampled_from(QUOTAS),
    st.integers(1, 30),
    st.integers(0, 3),
    st.sampled_from([0.0, 0.5, 3.0]),
    st.sampled_from([0.0, 0.2, 1.0]),
)
def test_quotas_choose_a_subset_of_the_asked_size(
    table, quota, n, seed, tag_price, reliability
) -> None:
    sizes = dict(table.group_by("cluster").len().rows())
    rule, tags = (
        QuotaRule(quota, tag_price, reliability, seed),
        {f"f:{i}": "abcdef"[i % 4 : i % 7] for i in range(30)},
    )
    judged = set(table.drop_nulls("score")["id"])
    try:
        found = select_by_quota(table, sizes, n, rule, tags=tags)
    except InputError:
        assert len(judged) < n
        return
    assert found.height == found["id"].n_unique() == n
    assert set(found["id"]) <= judged
    known = set(table.drop_nulls("score").select("id", "cluster", "score").rows())
    assert set(found.select("id", "cluster", "score").rows()) <= known
    assert found.equals(
        select_by_quota(shuffled(table, seed), sizes, n, rule, tags=tags)
    )


@CALM
@given(
    st.dictionaries(st.integers(0, 20), st.integers(0, 50), max_size=8),
    st.integers(0, 200),
    st.sampled_from(QUOTAS[1:]),
)
def test_shares_sum_to_n_or_to_all_there_is(sizes, n, quota) -> None:
    found = compute_quotas(sizes, n, quota)
    assert sum(found.values()) == min(n, sum(sizes.values()))
    assert all(0 <= found[cluster] <= sizes[cluster] for cluster in sizes)


@CALM
@given(
    pools(),
    st.sampled_from(["tacos", "mig", "longest", "random", "complexity-first"]),
    st.integers(1, 25),
    st.integers(0, 3),
)
def test_every_strategy_chooses_a_subset_of_the_asked_size(
    pool, strategy, n, seed
) -> None:
    try:
        found = choose_by_strategy(pool, strategy, n, seed, StrategyInputs()).selection
    except InputError:
        assert (
            n > pool.filter(pl.col("tags").list.len() > 0).height
        )  # rows without tags have nothing to offer
        return
    assert found.height == found["id"].n_unique() == n
    assert set(found["id"]) <= set(pool["id"])
    assert found.equals(
        choose_by_strategy(
            shuffled(pool, seed), strategy, n, seed, StrategyInputs()
        ).selection
    )


@CALM
@given(verdict_tables(), st.integers(0, 3))
def test_rating_ignores_the_order_of_verdicts(table, seed) -> None:
    for rate in (
        rating.average_raw_scores,
        rating.fit_least_squares,
        lambda t: rating.fit_bradley_terry(t)[0],
    ):
        scores = rate(table)
        assert scores.equals(rate(shuffled(table, seed)))
        assert scores["score"].is_finite().all()
        judged = table.drop_nulls(["score_left", "score_right"])
        assert set(scores["id"]) == set(judged["left"]) | set(judged["right"])


@CALM
@given(verdict_tables())
def test_swapped_sides_mirror_a_verdict(table) -> None:
    turned = table.with_columns(
        left="right",
        right="left",
        score_left="score_right",
        score_right="score_left",
        order=pl.col("order").replace({"ab": "ba", "ba": "ab"}),
    )
    for rate in (
        rating.average_raw_scores,
        rating.fit_least_squares,
        lambda t: rating.fit_bradley_terry(t)[0],
    ):
        assert rate(table).equals(rate(turned))


@CALM
@given(pools(), st.sampled_from(RULES), st.integers(0, 9), st.integers(0, 3))
def test_a_shortlist_and_what_it_drops_are_the_members(pool, rule, quota, seed) -> None:
    members = pool.with_columns(
        position=pl.int_range(pl.len()),
        tag_set=pl.concat_list("cluster"),
        grade=pl.col("score").cast(pl.Float32),
    )
    sizes = dict.fromkeys(range(4), quota)
    kept, dropped = shortlist_members(members, rule, sizes, 2.0, 0.3, seed)
    both = pl.concat([kept, dropped]).select("id", "cluster")
    assert sorted(both.rows()) == sorted(members.select("id", "cluster").rows())
    again = shortlist_members(shuffled(members, seed), rule, sizes, 2.0, 0.3, seed)
    assert kept.equals(again[0])
    assert dropped.equals(again[1])


@CALM
@given(pools(), st.integers(0, 3), st.integers(0, 4))
def test_a_chain_and_bridges_connect_everything_and_no_pair_comes_twice(
    pool, seed, n_bridges
) -> None:
    chain = pairing.pair_in_chain(pool, seed)
    plan = pl.concat(
        [chain, pairing.bridge_clusters(pool, n_bridges, seed, chain, chain.height)]
    )
    assert plan["pair"].to_list() == list(range(plan.height))
    assert (
        len({frozenset(pair) for pair in plan.select("left", "right").rows()})
        == plan.height
    )
    ids = pl.Series(sorted(pool["id"]))
    ends = [
        plan[side].cast(pl.Enum(ids)).to_physical().to_numpy()
        for side in ("left", "right")
    ]
    n_islands = 1 + int(label_components(*ends, len(ids)).max())
    assert n_islands == (1 if n_bridges else pool["cluster"].n_unique())
