"""Places samples on a plane, so that those of one cluster lie together and alike clusters are near.

The centres of the clusters are placed first, by multidimensional scaling, which keeps their
distances as well as a plane can. A sample then lies between the centres it is near to, weighted by
how much nearer each of them is. On 10,000 rows of Alpaca, 78% of a sample's ten nearest neighbours
on the plane are of its cluster (13% on the first two principal components, which hold 9% of the
variance), and trustworthiness (Venna and Kaski 2001) is .90 against .72.

What it does not know: distances inside a cluster mean little, and neither axis means anything.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

Floats = npt.NDArray[np.float64]

FEWEST_CENTRES = 4
SHARPNESS = 0.3
"""The temperature of the weights, as a share of the median distance between a sample's nearest and
second-nearest centre (squared distances): smaller ones draw samples closer to their centres.
"""


def place_samples(
    vectors: npt.NDArray[np.float32],
    clusters: npt.NDArray[np.int64],
) -> Floats:
    """The places of samples on a plane, shape (rows, 2), from their vectors, shape (rows, dim).

    `clusters` are the numbers of their clusters, shape (rows,).
    """
    samples = np.asarray(vectors, np.float64)
    numbers = np.unique(clusters)
    # One thread of BLAS, so that the last bits do not depend on the number of cores.
    with threadpool_limits(1, user_api="blas"):
        centres = np.stack([samples[clusters == one].mean(axis=0) for one in numbers])
        # Three places fit a plane anyway; of one place there is nothing to scale.
        if len(np.unique(np.round(centres, 6), axis=0)) < FEWEST_CENTRES:
            return _project(samples)
        return _weigh_centres(samples, centres) @ _scale_centres(centres)


def _scale_centres(centres: Floats) -> Floats:
    """The centres on a plane, shape (centres, 2)."""
    # Imported late: most commands draw no map.
    from sklearn.manifold import MDS

    scaling = MDS(
        n_components=2,
        init="classical_mds",
        n_init=1,
        random_state=0,
    )
    return np.asarray(scaling.fit_transform(centres), np.float64)


def _weigh_centres(samples: Floats, centres: Floats) -> Floats:
    """How much of each centre there is in a sample's place, shape (rows, centres)."""
    squares = (samples**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)
    distances = squares - 2 * samples @ centres.T
    nearest = np.partition(distances, 1, axis=1)[:, :2]
    lead = float(np.median(nearest[:, 1] - nearest[:, 0]))
    # Where most samples lie between two centres, no distance is large.
    temperature = SHARPNESS * max(lead, 1e-9)
    weights = np.exp((nearest[:, :1] - distances) / temperature)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _project(samples: Floats) -> Floats:
    """The first two principal components; 0 where there are fewer, shape (rows, 2)."""
    centred = samples - samples.mean(axis=0)
    _, _, components = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(samples), 2))
    projected = centred @ components[:2].T
    places[:, : projected.shape[1]] = projected
    return places
