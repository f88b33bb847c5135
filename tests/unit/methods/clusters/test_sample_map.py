"""Samples on a plane: clusters stay together, and the same samples lie at the same places."""

import numpy as np
import pytest

from tacos.methods.clusters.sample_map import place_samples

N_CLUSTERS = 8
N_EACH = 40


def make_blobs(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of 8 groups in 32 dimensions, and their numbers."""
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(N_CLUSTERS, 32))
    labels = np.repeat(np.arange(N_CLUSTERS), N_EACH)
    vectors = middles[labels] + 0.4 * rng.normal(size=(len(labels), 32))
    return vectors.astype(np.float32), labels


def test_neighbours_on_the_plane_are_of_the_same_cluster() -> None:
    vectors, labels = make_blobs()
    places = place_samples(vectors, labels)
    squares = ((places[:, None] - places[None]) ** 2).sum(axis=2)
    np.fill_diagonal(squares, np.inf)
    nearest = np.argsort(squares, axis=1)[:, :5]
    assert (labels[nearest] == labels[:, None]).mean() > 0.95


def test_alike_clusters_are_nearer_than_others() -> None:
    vectors, labels = make_blobs()
    centres = np.stack(
        [vectors[labels == one].mean(axis=0) for one in range(N_CLUSTERS)]
    )
    places = place_samples(vectors, labels)
    middles = np.stack(
        [places[labels == one].mean(axis=0) for one in range(N_CLUSTERS)]
    )
    upper = np.triu_indices(N_CLUSTERS, 1)
    before = np.linalg.norm(centres[:, None] - centres[None], axis=2)[upper]
    after = np.linalg.norm(middles[:, None] - middles[None], axis=2)[upper]
    assert np.corrcoef(before, after)[0, 1] > 0.5


def test_the_same_samples_lie_at_the_same_places() -> None:
    vectors, labels = make_blobs()
    assert np.array_equal(
        place_samples(vectors, labels), place_samples(vectors, labels)
    )


@pytest.mark.parametrize("n_clusters", [1, 2, 3, 4])
@pytest.mark.parametrize("n_rows", [1, 2, 7])
def test_few_rows_and_few_clusters_have_places(n_rows: int, n_clusters: int) -> None:
    vectors, _ = make_blobs()
    labels = np.arange(n_rows) % n_clusters
    places = place_samples(vectors[:n_rows], labels)
    assert places.shape == (n_rows, 2)
    assert np.isfinite(places).all()


def test_samples_that_are_all_the_same_have_places() -> None:
    labels = np.arange(12) % 5
    places = place_samples(np.ones((12, 4), np.float32), labels)
    assert np.isfinite(places).all()
