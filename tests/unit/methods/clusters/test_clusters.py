"""Clusters: their sizes, their names, and samples by embedding."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tacos.methods.clusters import (
    cluster_names,
    cluster_size_limits,
    kmeans_clusters,
    sample_vectors,
)

RNG = np.random.default_rng(0)
BLOBS = np.concatenate(
    [
        RNG.normal(centre, 0.02, (n, 2))
        for centre, n in (((0, 0), 40), ((1, 0), 8), ((1, 0.2), 2))
    ]
)
TAGS = pl.DataFrame({"tag": [f"t{i:02}" for i in range(50)], "count": [3] * 50})
VECTORS = BLOBS.astype(np.float32)
PLANTED = TAGS.select(
    "tag", pl.Series("cluster", [0] * 40 + [1] * 8 + [2] * 2, dtype=pl.UInt32), "count"
)


def n_of(table: pl.DataFrame) -> dict[int, int]:
    """Every tag stands for three samples."""
    return dict(table.group_by("cluster").agg(pl.col("count").sum()).iter_rows())


def resized(**wanted: float) -> Counter[int]:
    given = {"smallest": 0, "largest": 1.0, **wanted}
    found = cluster_size_limits.resize_tag_clusters(
        PLANTED, VECTORS, n_of, 150, given["smallest"], given["largest"], 1
    )
    assert found["tag"].equals(PLANTED["tag"])
    return Counter(found["cluster"].to_list())


def test_the_defaults_leave_clusters_as_they_are() -> None:
    assert resized() == {0: 40, 1: 8, 2: 2}


def test_a_tiny_cluster_goes_to_the_nearest() -> None:
    assert resized(smallest=7) == {0: 40, 1: 10}
    assert resized(smallest=10_000) == {0: 50}


def test_a_giant_cluster_is_split_and_what_is_left_too_small_is_merged() -> None:
    parts = resized(largest=0.5)
    assert sum(parts.values()) == 50
    assert max(parts.values()) < 40
    assert len(parts) == 4
    assert min(resized(largest=0.5, smallest=20).values()) * 3 >= 20


def test_a_cluster_of_one_tag_cannot_be_split() -> None:
    one = PLANTED.head(1)
    assert cluster_size_limits.resize_tag_clusters(
        one, VECTORS[:1], n_of, 3, 0, 0.1, 1
    ).equals(one)


@settings(max_examples=20)
@given(cut=st.integers(1, 49))
def test_the_nearest_centre_does_not_depend_on_the_batch(cut: int) -> None:
    centres = kmeans_clusters.fit_kmeans_centres(VECTORS, 3, 1)
    whole = kmeans_clusters.find_nearest_centre(VECTORS, centres)
    parts = [
        kmeans_clusters.find_nearest_centre(part, centres)
        for part in (VECTORS[:cut], VECTORS[cut:])
    ]
    assert np.array_equal(whole, np.concatenate(parts))


def test_centres_with_too_few_samples_are_dropped_and_large_ones_split() -> None:
    centres = np.array([[0, 0], [1, 0], [1, 0.2]], np.float32)
    assert len(cluster_size_limits.resize_centres(centres, VECTORS, 5, 1.0, 1)) == 2
    assert len(cluster_size_limits.resize_centres(centres, VECTORS, 0, 0.5, 1)) == 4
    assert len(cluster_size_limits.resize_centres(centres, VECTORS, 1_000, 1.0, 1)) == 1


def test_a_name_is_what_tells_a_cluster_from_the_others_not_what_is_everywhere() -> (
    None
):
    rows = pl.DataFrame(
        {
            "cluster": [0] * 30 + [1] * 30,
            "tags": [["writing", "poem"]] * 25
            + [["writing", "odd"]] * 5
            + [["writing", "code"]] * 29
            + [["x"]],
        }
    )
    called = cluster_names.name_clusters(rows)
    assert called[0].startswith("poem")
    assert called[1].startswith("code")
    assert "writing" not in called[1]


def test_the_z_score_is_that_of_the_paper() -> None:
    rows = pl.DataFrame(
        {"cluster": [0] * 4 + [1] * 6, "tags": [["a"]] * 3 + [[]] + [["a"]] + [[]] * 5}
    )
    found = (
        cluster_names.score_cluster_tags(rows)
        .filter(pl.col("cluster") == 0)
        .row(0, named=True)
    )
    p, prior = 0.4, 10.0
    inside, outside = 3 + prior * p, 1 + prior * p
    delta = np.log(inside / (4 + prior - inside)) - np.log(
        outside / (6 + prior - outside)
    )
    assert found["z"] == pytest.approx(delta / np.sqrt(1 / inside + 1 / outside))


def test_the_most_frequent_tags_stand_in_where_too_few_are_telling() -> None:
    tags = pl.DataFrame(
        {"tag": ["a", "b", "c", "d"], "cluster": [0, 0, 0, 1], "count": [1, 9, 5, 3]}
    )
    rows = pl.DataFrame({"cluster": [0, 1], "tags": [["a"], ["d"]]})
    assert cluster_names.name_clusters(rows, tags)[0] == "a, b, c"


def test_the_second_tag_of_a_name_is_no_synonym_of_the_first() -> None:
    rows = pl.DataFrame(
        {
            "cluster": [0] * 40 + [1] * 40,
            "tags": [["sum", "addition"]] * 30 + [["product"]] * 10 + [["poem"]] * 40,
        }
    )
    assert cluster_names.name_clusters(rows)[0] == "addition, product"


def test_a_tag_of_a_few_samples_names_no_cluster() -> None:
    rows = pl.DataFrame(
        {
            "cluster": [0] * 99 + [1] * 99,
            "tags": [["odd"]] * 3 + [["a"]] * 195,
        }
    )
    assert cluster_names.name_clusters(rows).keys() == {1}


def test_a_sample_vector_has_a_half_of_text_and_a_half_of_tags() -> None:
    east, north = np.eye(2, dtype=np.float32)
    tags = sample_vectors.average_tags(
        pl.Series([["b", "a"], ["a"], [], None]),
        pl.Series(["a", "b"]),
        np.stack([east, north]),
    )
    assert tags[0] == pytest.approx([0.5**0.5, 0.5**0.5])
    assert tags[1] == pytest.approx(east)
    assert not tags[2:].any()
    vectors = sample_vectors.combine_vectors(
        np.stack([east, east, north, 0 * east]),
        np.stack([north, 0 * east, north, 0 * east]),
        tags,
        0.5,
    )
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(
        [1.25**0.5, 1.25**0.5, 1, 0]
    )
    # The instruction counts more than the response.
    assert vectors[0, 0] > vectors[0, 1] > 0


def test_a_sample_of_which_nothing_is_known_is_in_no_cluster() -> None:
    centres = np.eye(2, dtype=np.float32)
    clusters = kmeans_clusters.build_sample_clusters(centres, {}, {})
    vectors = np.array([[1, 0], [0, 0], [0, 2]], np.float32)
    found = kmeans_clusters.assign_by_centre(
        pl.Series(["x", "y", "z"]), vectors, clusters
    )
    assert found["home"].to_list() == [0, None, 1]
    assert found["clusters"].to_list() == [[0], [], [1]]


def test_a_giant_cluster_is_split_until_no_part_is_giant() -> None:
    cloud = np.random.default_rng(1).normal(0, 1, (1_000, 8)).astype(np.float32)
    centres = cluster_size_limits.resize_centres(cloud[:1], cloud, 10, 0.1, 1)
    nearest = kmeans_clusters.find_nearest_centre(cloud, centres)
    sizes = np.bincount(nearest)
    assert sizes.max() <= 100
    assert sizes.min() >= 10


def test_no_two_clusters_have_one_name() -> None:
    poems = [["poem"]] * 30
    rows = pl.DataFrame(
        {"cluster": [0] * 30 + [1] * 30 + [2] * 60, "tags": poems * 2 + [["code"]] * 60}
    )
    assert cluster_names.name_clusters(rows) == {0: "poem", 1: "poem (2)", 2: "code"}


def test_a_share_is_relaxed_only_where_few_clusters_cannot_meet_it() -> None:
    assert cluster_size_limits.relax_largest(0.1, 50) == 0.1
    assert cluster_size_limits.relax_largest(0.1, 5) == 0.4
    assert cluster_size_limits.relax_largest(0.5, 1) == 1.0


def test_a_tiny_pool_keeps_clusters_of_a_few_rows() -> None:
    assert cluster_size_limits.relax_smallest(8, 40, 5) == 4
    assert cluster_size_limits.relax_smallest(8, 52_002, 50) == 8
    assert cluster_size_limits.relax_smallest(0, 40, 5) == 0
