"""Picks by a cheap grade: the best, some of every kind, and only what may matter."""

import numpy as np
import polars as pl
import pytest

from tacos.methods.judging.cheap_picks import (
    CheapGrades,
    combine_target,
    pick_by_objective,
    pick_stratified,
)
from tacos.methods.judging.shortlist import shortlist_members

N = 600


def build_samples(seed: int = 1) -> pl.DataFrame:
    """Three clusters; the grade likes length and the first cluster."""
    random = np.random.default_rng(seed)
    cluster = np.arange(N) % 3
    length = random.integers(10, 2_000, N)
    grade = length / 40 + 30 * (cluster == 0) + random.normal(0, 5, N)
    return pl.DataFrame(
        {
            "id": [f"f:{number}" for number in range(N)],
            "cluster": cluster,
            "length": length,
            "grade": grade,
            "chance": random.random(N),
        }
    )


def kinds(samples: pl.DataFrame, ids: list[str]) -> set[tuple[int, int]]:
    """Cluster and third of length of the rows with these ids."""
    band = (samples["length"].rank("ordinal") - 1).cast(pl.Int64) * 3 // N
    marked = samples.with_columns(band=band)
    rows = marked.filter(pl.col("id").is_in(ids)).select("cluster", "band").rows()
    return {(int(cluster), int(number)) for cluster, number in rows}


def test_a_share_goes_to_every_kind_of_row_and_the_rest_to_the_best() -> None:
    samples = build_samples()
    best = pick_stratified(samples, 80, 20, explore=0.0, reliability=0.0)
    by_grade = samples.sort("grade", descending=True)["id"].head(80).to_list()
    assert best == by_grade
    spread = pick_stratified(samples, 80, 20, explore=0.25, reliability=0.0)
    assert len(set(spread)) == len(spread) == 80
    assert len(kinds(samples, best)) < 9
    assert len(kinds(samples, spread)) == 9
    assert set(by_grade[:50]) <= set(spread)


def test_only_a_grade_that_can_be_trusted_drops_rows() -> None:
    samples = build_samples()
    worst = samples.sort("grade")["id"].head(60).to_list()
    for reliability, is_dropped in ((0.0, False), (0.1, False), (0.7, True)):
        picked = pick_stratified(samples, N // 2, 20, 1.0, reliability)
        assert set(picked).isdisjoint(worst) == is_dropped
    # Nothing else is left: rows of which the grade is sure come last, but they come.
    assert len(pick_stratified(samples, N, 20, 0.25, 0.7)) == N


def test_rows_without_a_grade_stand_in_the_middle() -> None:
    samples = build_samples().with_columns(
        grade=pl.when(pl.col("id") == "f:7").then(None).otherwise("grade")
    )
    ranked = pick_stratified(samples, N, 20, 0.0, 0.0)
    assert abs(ranked.index("f:7") - N / 2) < 3
    assert "f:7" in pick_by_objective(samples, N, CheapGrades(0.5))


def test_before_a_slow_tier_new_tags_count_as_in_the_selection() -> None:
    samples = build_samples()
    tags = {id_: ["common"] for id_ in samples["id"]}
    rare = samples.sort("grade")["id"].head(5).to_list()
    tags |= {id_: [f"rare {id_}"] for id_ in rare}
    table = pl.DataFrame({"id": list(tags), "tags": list(tags.values())})
    by_grade = pick_by_objective(samples, 50, CheapGrades(0.5, 0.0, table))
    with_tags = pick_by_objective(samples, 50, CheapGrades(0.5, 100.0, table))
    assert set(by_grade).isdisjoint(rare)
    assert set(with_tags) >= set(rare)
    assert len(with_tags) == 50


def test_in_several_clusters_a_sample_is_picked_once() -> None:
    samples = build_samples().drop("chance")
    twice = pl.concat([samples, samples.with_columns(cluster=pl.lit(5, pl.Int64))])
    members = twice.with_columns(
        position=pl.col("id").str.slice(2).cast(pl.Int64),
        tag_set=pl.concat_list("cluster"),
    )
    kept, dropped = shortlist_members(
        members, "stratified", {0: 5, 5: 5}, factor=4.0, explore=0.25
    )
    assert kept["id"].n_unique() == kept.height == 40
    assert kept.height + dropped.height == members.height


@pytest.mark.parametrize("rule", ["stratified", "objective"])
def test_an_empty_pool_has_an_empty_shortlist(rule: str) -> None:
    members = build_samples().head(0).drop("chance")
    members = members.with_columns(
        position=pl.lit(0), tag_set=pl.lit([], pl.List(pl.Int64))
    )
    kept, dropped = shortlist_members(members, rule, {})  # type: ignore[arg-type]
    assert kept.is_empty()
    assert dropped.is_empty()


def test_correctness_counts_less_for_the_shortlist_than_for_the_selection() -> None:
    assert combine_target(0.5) == 0.25
    assert combine_target(0.0) == 0.0
    assert combine_target(1.0) == 1.0
