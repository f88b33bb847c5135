"""Every strategy over one pool."""

import numpy as np
import polars as pl
import pytest

from tacos.amounts import parse_quotas
from tacos.errors import ConfigError, InputError
from tacos.methods.selecting import (
    car,
    deita,
    k_center,
    longest,
    singleton,
)
from tacos.methods.selecting.limits import Limits
from tacos.methods.selecting.near_duplicates import NearDuplicates
from tacos.methods.selecting.preference_walk import (
    Admission,
    GroupRoom,
    build_length_bands,
    walk_preference,
)
from tacos.methods.selecting.strategies import (
    STRATEGIES,
    Choice,
    choose_by_strategy,
)
from tacos.methods.selecting.strategy_inputs import QuestionVectors, StrategyInputs
from tacos.records import SELECTION

N = 80
REPEATS = Limits(questions=True)


def made(seed: int = 0) -> tuple[pl.DataFrame, StrategyInputs]:
    """A pool of 80 rows with everything a strategy may need."""
    rng = np.random.default_rng(seed)
    names = [f"t{i}" for i in range(12)]
    pool = pl.DataFrame(
        {
            "id": [f"f:{i}" for i in range(N)],
            "cluster": rng.integers(0, 5, N).astype(np.uint32),
            "score": rng.uniform(1, 100, N),
            "length": rng.integers(10, 2000, N).astype(np.uint32),
            "tags": [
                sorted(rng.choice(names, rng.integers(1, 6), replace=False).tolist())
                for _ in range(N)
            ],
        }
    )
    vectors = rng.standard_normal((N, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    grades = pl.DataFrame({"id": pool["id"], "grade": rng.uniform(0, 5, N)})
    return pool, StrategyInputs(
        ids=pool["id"].to_list(), vectors=vectors, grades=grades
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_strategy_takes_n_different_rows_and_keeps_the_wishes(strategy) -> None:
    pool, extras = made()
    found = choose_by_strategy(
        pool, strategy, 20, 3, extras, keep=["f:7", "f:5"], exclude=["f:0", "f:1"]
    ).selection
    assert found.schema == SELECTION
    assert found["id"].n_unique() == found.height == 20
    assert found["rank"].to_list() == list(range(1, 21))
    assert found["id"].to_list()[:2] == ["f:5", "f:7"]
    assert set(found["rule"][:2]) == {"must-keep"}
    assert set(found["rule"][2:]) == {strategy}
    assert not {"f:0", "f:1"} & set(found["id"])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_row_order_does_not_matter(strategy) -> None:
    pool, extras = made()
    mixed = pool.sample(fraction=1.0, shuffle=True, seed=4)
    assert choose_by_strategy(pool, strategy, 30, 2, extras).selection.equals(
        choose_by_strategy(mixed, strategy, 30, 2, extras).selection
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_near_duplicates_are_turned_away(strategy) -> None:
    pool, extras = made()
    twins = extras.vectors.copy()
    twins[1::2] = twins[::2]  # rows 2k and 2k + 1 are the same
    found = choose_by_strategy(
        pool,
        strategy,
        30,
        2,
        StrategyInputs(extras.ids, twins, grades=extras.grades),
        limits=Limits(cosine=0.999),
    ).selection
    assert len({int(one[2:]) // 2 for one in found["id"]}) == 30


@pytest.mark.parametrize("strategy", ["deita", "car", "k-center"])
def test_what_needs_embeddings_says_so(strategy) -> None:
    with pytest.raises(InputError, match="embeddings"):
        choose_by_strategy(made()[0], strategy, 5)


def test_what_else_is_missing_is_said() -> None:
    pool, extras = made()
    with pytest.raises(InputError, match="grades"):
        choose_by_strategy(pool, "singleton", 5)
    with pytest.raises(InputError, match="only 80"):
        choose_by_strategy(pool, "longest", 81)
    with pytest.raises(ConfigError, match="complexity-first"):
        choose_by_strategy(pool, "best", 5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not in the pool"):
        choose_by_strategy(pool, "random", 5, keep=["nobody"])
    with pytest.raises(InputError, match="f:79"):
        choose_by_strategy(
            pool,
            "k-center",
            5,
            extras=StrategyInputs(ids=extras.ids[:79], vectors=extras.vectors),
        )


@pytest.mark.parametrize("strategy", ["tacos", "mig", "deita", "car"])
def test_unjudged_rows_are_not_taken_for_their_score(strategy) -> None:
    pool, extras = made()
    part = pool.with_columns(score=pl.when(pl.int_range(N) % 2 == 0).then("score"))
    found = choose_by_strategy(part, strategy, 30, 1, extras).selection
    assert found["score"].null_count() == 0
    with pytest.raises(InputError, match=r"only (39|40)"):
        choose_by_strategy(part, strategy, 41, 1, extras)


def test_the_longest_and_the_best_come_first() -> None:
    assert longest.rank_by_value([3, 9, float("nan"), 5], 1).tolist() == [1, 3, 0]
    assert singleton.rank_by_grade([4.5, 2.0, 5.0], 1, at_least=4.5).tolist() == [2, 0]


@pytest.mark.parametrize("n", [0, 1, 7, 40, 60, 70])
def test_the_longest_few_are_the_first_of_all(n) -> None:
    # Many rows of one length, so that chance decides at the end
    lengths = np.random.default_rng(n).integers(0, 9, 60).astype(np.uint32)
    for seed in range(5):
        everyone = longest.rank_by_value(lengths, seed)
        assert longest.take_largest(lengths, n, seed).tolist() == everyone[:n].tolist()


def test_deita_minds_only_the_rows_it_took() -> None:
    angles = np.array([0.0, 0.5, 1.0])  # cosines: neighbours .88, ends .54
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    ranked = deita.rank_by_deita([3, 2, 1], [1, 1, 1], 1)
    duplicates = NearDuplicates(lambda rows: vectors[list(rows)], 0.8)
    assert walk_preference(ranked, 3, Admission(duplicates=duplicates)).tolist() == [
        0,
        2,
    ]


def test_k_center_takes_the_farthest_and_starts_from_what_is_in() -> None:
    vectors = np.array([[1, 0], [0.9, 0.436], [0, 1], [-1, 0]], np.float32)
    assert k_center.rank_by_distance(vectors, 2, 1, start=[0]).tolist() == [3, 2]
    assert sorted(k_center.rank_by_distance(vectors, 9, 1).tolist()) == [0, 1, 2, 3]


def test_car_takes_the_best_of_each_cluster_first() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(4, dtype=np.float32)
    vectors = np.repeat(centres, 10, axis=0) + 0.01 * rng.standard_normal(
        (40, 4)
    ).astype(np.float32)
    quality = np.arange(40.0)
    assert car.rank_by_car(quality, vectors, 1, k=4)[:6].tolist() == [
        39,
        29,
        19,
        9,
        38,
        37,
    ]


def test_limits_by_group() -> None:
    order = np.arange(10)
    assert walk_preference(
        order, 10, Admission([GroupRoom(order % 2, {0: 2})])
    ).tolist() == [
        0,
        1,
        2,
        3,
        5,
        7,
        9,
    ]
    assert walk_preference(
        order, 3, Admission([GroupRoom(order % 2, {0: 2})]), start=[4, 6]
    ).tolist() == [
        4,
        6,
        1,
    ]


def test_length_matching_gives_the_lengths_of_the_pool() -> None:
    pool, extras = made()
    table = pool.sort("id")
    values = table["length"].to_numpy()
    room = build_length_bands(values, 40, np.arange(N), n_bands=4)
    plain = choose_by_strategy(pool, "longest", 40, 1, extras).selection
    order = longest.rank_by_value(values, 1)
    matched = table[walk_preference(order, 40, Admission([room])).tolist()]
    mean = pool["length"].mean()
    lengths = [
        pool.filter(pl.col("id").is_in(t["id"].implode()))["length"].mean()
        for t in (plain, matched)
    ]
    assert matched.height == 40
    assert abs(lengths[1] - mean) < 0.35 * abs(lengths[0] - mean)


def test_deita_takes_no_near_duplicate_of_a_must_keep_row_and_one_of_a_row_without_room() -> (
    None
):
    pool = pl.DataFrame(
        {
            "id": ["a", "b", "c", "d"],
            "cluster": np.zeros(4, np.uint32),
            "score": [9.0, 8.0, 7.0, 6.0],
            "length": np.ones(4, np.uint32),
            "tags": [["x"]] * 4,
            "source": ["one", "two", "one", "two"],
        }
    )
    extras = StrategyInputs(
        ids=list("abcd"), vectors=np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
    )  # a and b are the same
    assert choose_by_strategy(pool, "deita", 3, 1, extras, keep=["b"]).selection[
        "id"
    ].to_list() == [
        "b",
        "c",
        "d",
    ]
    none_of_one = Limits(per_source=parse_quotas({"one": "<=0"}, "per_source"))
    assert choose_by_strategy(
        pool, "deita", 2, 1, extras, limits=none_of_one
    ).selection["id"].to_list() == [
        "b",
        "d",
    ]


@pytest.mark.parametrize("tag_price", [1.5, 0.0])
def test_repeats_come_in_only_where_no_other_row_is_left(tag_price: float) -> None:
    """Four judged rows; of the unjudged ones, those of the first kind repeat a judged row."""
    judged = [f"judged:{n}" for n in range(4)]
    repeats = [f"repeat:{n}" for n in range(4)]
    others = [f"other:{n}" for n in range(4)]
    ids = [*judged, *repeats, *others]
    axes = np.eye(8, dtype=np.float32)
    vectors = np.concatenate([axes[:4], np.repeat(axes[:1], 4, axis=0), axes[4:]])
    scores = pl.Series([50.0, 60.0, 70.0, 80.0] + [None] * 8, dtype=pl.Float64)
    pool = pl.DataFrame(
        {
            "id": ids,
            "cluster": [0] * 12,
            "score": scores,
            "correctness": scores,
            "length": [10] * 12,
            "tags": [["x"]] * 12,
            "source": ["s"] * 12,
        }
    )

    def choose(n: int) -> Choice:
        extras = StrategyInputs(
            ids=ids,
            tag_price=tag_price,
            reliability=0.5,
            fill=[*repeats, *others],
            partial=True,
            questions=QuestionVectors(
                hash_task=lambda asked: [b"the same task"],
                encode=lambda asked: vectors[[ids.index(id_) for id_ in asked]],
                limit=0.9,
            ),
        )
        return choose_by_strategy(pool, "tacos", n, 1, extras, limits=REPEATS)

    eight = choose(8)
    assert set(eight.selection["id"]) == {*judged, *others}
    assert eight.n_given_way == 0
    ten = choose(10)
    assert set(others) < set(ten.selection["id"])
    assert (ten.selection.height, ten.n_given_way) == (10, 2)
