"""The semantic step is scikit-learn's DBSCAN with min_samples = 1, exactly."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.cluster import DBSCAN

from tacos.errors import InputError
from tacos.methods.tags import semantic_merging

Floats = npt.NDArray[np.float32]


def oracle(vectors: Floats, eps: float) -> npt.NDArray[np.int64]:
    labels = DBSCAN(eps=eps, min_samples=1, metric="cosine").fit_predict(
        vectors.astype(np.float64)
    )
    return np.unique(semantic_merging.find_first_members(labels), return_inverse=True)[
        1
    ]


def clouds(n: int, dim: int, spread: float, seed: int) -> Floats:
    """Vectors around few centres, so that many pairs lie near the threshold."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(1, n // 8), dim))
    vectors = centres[rng.integers(len(centres), size=n)] + spread * rng.normal(
        size=(n, dim)
    )
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("dim", [3, 64, 65, 384])
@pytest.mark.parametrize("spread", [0.1, 0.16, 0.22, 0.3])
def test_equals_dbscan_on_clouds(dim: int, spread: float) -> None:
    vectors = clouds(500, dim, spread, seed=dim)
    assert (
        semantic_merging.group_by_cosine(vectors, 0.05) == oracle(vectors, 0.05)
    ).all()


@pytest.mark.parametrize("eps", [0.001, 0.05, 0.3, 1.2])
def test_equals_dbscan_at_other_thresholds(eps: float) -> None:
    vectors = clouds(600, 96, 0.2, seed=5)
    assert (
        semantic_merging.group_by_cosine(vectors, eps) == oracle(vectors, eps)
    ).all()


def test_equals_dbscan_over_several_blocks() -> None:
    vectors = clouds(
        semantic_merging.WIDTH + 2 * semantic_merging.BLOCK + 7, 80, 0.17, seed=2
    )
    found = semantic_merging.group_by_cosine(vectors, 0.05)
    assert (found == oracle(vectors, 0.05)).all()
    assert 1 < found.max() < len(vectors) - 1, (
        "the case must have both groups and single tags"
    )


def test_pairs_at_the_threshold_are_decided_in_float64() -> None:
    angles = np.arccos(1 - 0.05 + np.array([-3e-8, -1e-9, 1e-9, 3e-8]))
    first = np.array([[1.0, 0.0]])
    for angle in angles:
        pair = np.vstack([first, [[np.cos(angle), np.sin(angle)]]]).astype(np.float32)
        assert (
            semantic_merging.group_by_cosine(pair, 0.05) == oracle(pair, 0.05)
        ).all()


def test_a_chain_is_one_group_and_ends_are_far_apart() -> None:
    angles = np.arange(8) * 0.25
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert semantic_merging.group_by_cosine(vectors, 0.05).tolist() == [0] * 8
    assert semantic_merging.pair_cosines(vectors, np.array([0]), np.array([7]))[0] < 0


def test_vectors_of_length_0_are_like_no_other() -> None:
    vectors = np.array([[0, 0], [1, 0], [0, 0], [1, 0]], dtype=np.float32)
    assert semantic_merging.group_by_cosine(vectors, 0.05).tolist() == [0, 1, 2, 1]


@pytest.mark.parametrize("n", [0, 1])
def test_none_and_one(n: int) -> None:
    assert (
        semantic_merging.group_by_cosine(
            np.ones((n, 384), dtype=np.float32), 0.05
        ).tolist()
        == [0] * n
    )


def test_many_equal_vectors_are_one_group() -> None:
    assert not semantic_merging.group_by_cosine(
        np.ones((2500, 70), dtype=np.float32), 0.05
    ).any()


def test_vectors_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(InputError, match="not finite"):
        semantic_merging.group_by_cosine(
            np.array([[np.nan, 1.0]], dtype=np.float32), 0.05
        )


def test_short_products_bound_the_cosines() -> None:
    vectors = clouds(300, 384, 0.5, seed=3)
    short = semantic_merging.shorten_vectors(vectors)
    assert short.shape == (300, semantic_merging.N_AXES + semantic_merging.N_GROUPS)
    assert (short @ short.T >= vectors @ vectors.T - semantic_merging.SLACK).all()
