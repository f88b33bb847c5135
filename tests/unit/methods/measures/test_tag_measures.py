"""Diversity, complexity, overlap, rarefaction, co-occurrence."""

from itertools import combinations

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from tacos.errors import InputError
from tacos.methods.measures import tag_measures
from tacos.methods.measures.tag_measures import TagProfile
from tacos.methods.tags import association_rules

A = [["x", "y"], ["x", "x"], [], ["z"]]
B = [["x"], ["w", "z"]]


def frame(samples: list[list[str]]) -> pl.DataFrame:
    return pl.DataFrame({"id": [str(i) for i in range(len(samples))], "tags": samples})


@pytest.fixture
def both() -> dict[str, TagProfile]:
    return {
        "A": tag_measures.build_tag_profile(frame(A)),
        "B": tag_measures.build_tag_profile(frame(B)),
    }


def test_a_profile_counts_samples_and_each_tag_once_per_sample(
    both: dict[str, TagProfile],
) -> None:
    assert both["A"].counts == {"x": 2, "y": 1, "z": 1}
    assert both["A"].lengths == {0: 1, 1: 2, 2: 1}
    assert (both["A"].n_samples, both["A"].n_untagged, both["A"].complexity) == (
        4,
        1,
        1.0,
    )


def test_batches_give_the_same_profile(both: dict[str, TagProfile]) -> None:
    table = frame(A)
    assert (
        tag_measures.build_tag_profile([table[:1], table[1:3], table[3:]]) == both["A"]
    )


def test_summary_gives_diversity_and_complexity(both: dict[str, TagProfile]) -> None:
    rows = {
        row["data"]: row
        for row in tag_measures.summarise_profiles(both).iter_rows(named=True)
    }
    assert rows["A"]["coverage"] == 3 / 4
    assert rows["B"]["coverage"] == 3 / 4
    assert rows["B"]["complexity"] == 1.5
    assert rows["A"]["complexity_error"] == pytest.approx(
        np.std([2, 1, 0, 1], ddof=1) / 2
    )
    pairs = [
        len({tag for i in pair for tag in A[i]}) for pair in combinations(range(4), 2)
    ]
    assert rows["A"]["coverage_same_size"] == pytest.approx(np.mean(pairs) / 4), (
        "B has two samples"
    )


def test_no_tags_at_all_is_an_error() -> None:
    with pytest.raises(InputError, match="no data set has any tags"):
        tag_measures.summarise_profiles(
            {"A": tag_measures.build_tag_profile(frame([[], []]))}
        )


def test_recall_is_the_share_of_the_columns_tags_that_the_row_has(
    both: dict[str, TagProfile],
) -> None:
    table = tag_measures.tag_recall_matrix(
        {**both, "C": tag_measures.build_tag_profile(frame([["x"]]))}
    )
    assert table.filter(pl.col("data") == "A").row(0) == ("A", 1.0, 2 / 3, 1.0)
    assert table.filter(pl.col("data") == "C").row(0) == ("C", 1 / 3, 1 / 3, 1.0)


def test_frequencies_fall_and_add_up(both: dict[str, TagProfile]) -> None:
    table = tag_measures.tabulate_frequencies(both["A"])
    assert table["tag"].to_list() == ["x", "y", "z"]
    assert table["share"].to_list() == [0.5, 0.25, 0.25]
    assert table["cumulative"].to_list() == [0.5, 0.75, 1.0]


def random_matrix(n: int, n_tags: int, seed: int) -> sparse.csr_array:
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(rng.random((n, n_tags)) < np.linspace(0.02, 0.3, n_tags))
    return association_rules.build_indicator(rows, columns, (n, n_tags))


@pytest.mark.parametrize("size", range(8))
def test_expected_tags_is_the_mean_over_all_samples_of_that_size(size: int) -> None:
    x = random_matrix(7, 9, seed=4)
    counts = np.asarray(x.sum(axis=0)).ravel()
    one = TagProfile({str(i): int(n) for i, n in enumerate(counts) if n}, {1: 7})
    every = [
        np.count_nonzero(x[list(rows)].sum(axis=0))
        for rows in combinations(range(7), size)
    ]
    assert tag_measures.count_expected_tags(one, np.array([size]))[0] == pytest.approx(
        np.mean(every)
    )


def test_a_rarefaction_curve_rises_to_all_tags_within_its_interval() -> None:
    x = random_matrix(400, 60, seed=1)
    curve = tag_measures.compute_rarefaction(x, [0, 1, 10, 100, 400, 9999], n_draws=400)
    assert curve["size"].to_list() == [0, 1, 10, 100, 400]
    assert curve["expected"].is_sorted()
    assert curve["expected"][0] == 0
    assert (
        curve["expected"][-1]
        == pytest.approx(curve["low"][-1])
        == pytest.approx(curve["high"][-1])
    )
    assert (curve["low"] <= curve["expected"]).all()
    assert (curve["expected"] <= curve["high"] + 1e-9).all()
    assert curve["low"][2] < curve["high"][2]


def test_draws_agree_with_the_exact_mean() -> None:
    x = random_matrix(200, 40, seed=2)
    drawn = tag_measures.count_drawn_tags(x, np.array([20]), 4000, seed=3)[:, 0]
    exact = tag_measures.compute_rarefaction(x, [20], n_draws=2)["expected"][0]
    assert abs(drawn.mean() - exact) < 4 * drawn.std() / np.sqrt(len(drawn))


def test_the_same_seed_gives_the_same_curve() -> None:
    x = random_matrix(50, 20, seed=5)
    assert tag_measures.compute_rarefaction(x, [9], seed=1).equals(
        tag_measures.compute_rarefaction(x, [9], seed=1)
    )


def test_a_large_set_does_not_overflow() -> None:
    one = TagProfile({"often": 2_000_000, "once": 1}, {1: 3_000_000})
    assert tag_measures.count_expected_tags(one, np.array([1_500_000]))[
        0
    ] == pytest.approx(1.5)


def test_cooccurrence_ranks_pairs_beyond_chance() -> None:
    rows = (
        [["a", "b"]] * 6
        + [["c", "d"]] * 6
        + [["c"]] * 20
        + [["d"]] * 6
        + [["a", "c"]] * 4
    )
    codes = {"a": 0, "b": 1, "c": 2, "d": 3}
    x = association_rules.build_tag_matrix(frame(rows), codes, 4)
    table = tag_measures.rank_cooccurring_tags(x, list("abcd"), min_both=5)
    assert table.select("tag", "other", "n_both").rows() == [
        ("a", "b", 6),
        ("c", "d", 6),
    ]
    assert table["jaccard"].to_list() == pytest.approx([6 / 10, 6 / 36])
    assert table["npmi"][0] > 0.5
    assert table["npmi"][1] < 0, "c and d stand together less often than by chance"


def test_tags_that_always_stand_together_have_npmi_1() -> None:
    x = association_rules.build_tag_matrix(
        frame([["a", "b"]] * 5 + [[]] * 5), {"a": 0, "b": 1}, 2
    )
    assert tag_measures.rank_cooccurring_tags(x, ["a", "b"])["npmi"][
        0
    ] == pytest.approx(1)
    assert tag_measures.rank_cooccurring_tags(x[:5], ["a", "b"])["npmi"][0] == 1
