"""Merges tags whose vectors lie within a cosine distance of each other (semantic aggregation;
InsTag, section 3.2).

InsTag runs DBSCAN with distance threshold 0.05. With min_samples = 1 that is plain connectivity:
the connected components of the graph whose edges are the pairs at distance <= eps. Exactly these
are found here, in bounded memory and without the n x n matrix:

1. The vectors are rotated to principal axes. The first axes are kept; the rest is summarised by its
   lengths in a few groups of axes. By the Cauchy-Schwarz inequality the product of two such short
   vectors is never below the true cosine, so a pair whose short product is below the threshold
   needs no further look. Only blocks of the upper triangle are computed.
2. For the remaining pairs the true cosine is computed, unless the two are known to be connected
   already; in float64 where float32 cannot decide.

Single linkage may chain: two tags of one group may be far apart. A vector of length 0 (an empty
text) is like no other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from tacos.errors import InputError

Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

N_AXES = 32
"""Principal axes that short vectors keep."""
N_GROUPS = 8
"""Groups of the remaining axes."""
N_COVARIANCE = 20_000
"""Vectors from which the principal axes are computed, about."""
SLACK = 1e-4
"""How far rounding may put a short product below the true cosine: about 100 units of float32 in the
last place.
"""
UNSURE = 1e-5
"""Where a float32 cosine is this close to the threshold, float64 decides."""
BLOCK = 512
"""Rows of a block of short products."""
WIDTH = 2048
"""Columns of a block of short products."""
CHUNK = 8192
"""Pairs whose true cosines are computed at once."""


class _EdgeSearch(NamedTuple):
    """What the search for edges reads. Rows of `unit` and `short` are rows `live` of `vectors`."""

    vectors: Floats
    """As given, shape (all, dim)."""
    live: Ints
    """The rows whose length is not 0, shape (n,)."""
    unit: Floats
    """Their unit vectors, shape (n, dim)."""
    short: Floats
    """Their short vectors, shape (n, at most N_AXES + N_GROUPS or dim)."""
    threshold: float
    """The cosine that an edge reaches."""


def group_by_cosine(
    vectors: Floats,
    eps: float,
) -> Ints:
    """A group number per row, shape (n,), from `vectors` of shape (n, dim).

    Rows within cosine distance `eps`, directly or through others, share a group. Groups are
    numbered in the order of their first rows. Equals `sklearn.cluster.DBSCAN(eps, min_samples=1,
    metric="cosine")` in float64. Raises `InputError` for values that are not finite.
    """
    if not np.isfinite(vectors).all():
        raise InputError(
            "the encoder returned vectors that are not finite numbers, so tags cannot be merged by "
            "meaning: use another encoder or --set normalise.semantic=off"
        )
    squares = np.einsum(
        "ij,ij->i",
        vectors,
        vectors,
        dtype=np.float64,
    )
    lengths = np.sqrt(squares)
    live = np.flatnonzero(lengths > 0)
    live_lengths = lengths[live, None].astype(np.float32)
    unit = vectors[live] / live_lengths
    labels = np.arange(len(vectors), dtype=np.int64)
    # One thread of BLAS: the products are small, and its threads would wait for each other where
    # other work shares the cores.
    with threadpool_limits(1, user_api="blas"):
        search = _EdgeSearch(
            vectors,
            live,
            unit,
            short=shorten_vectors(unit),
            threshold=1.0 - eps,
        )
        components = _label_components(search)
    if len(live):
        first_members = find_first_members(components)
        labels[live] = live[first_members]
    return number_labels(labels)


def pair_cosines(
    vectors: Floats,
    rows: Ints,
    columns: Ints,
) -> Doubles:
    """The cosines of pairs of rows in float64, shape (pairs,); 0 with a vector of length 0."""
    left = vectors[rows].astype(np.float64)
    right = vectors[columns].astype(np.float64)
    lengths = np.linalg.norm(left, axis=1)
    lengths *= np.linalg.norm(right, axis=1)
    # The product with a vector of length 0 is 0, whatever it is divided by.
    safe_lengths = np.where(
        lengths > 0,
        lengths,
        1.0,
    )
    products: Doubles = np.einsum(
        "ij,ij->i",
        left,
        right,
    )
    return products / safe_lengths


def find_nearest_known(
    vectors: Floats,
    known: Floats,
) -> tuple[Ints, Doubles]:
    """For each row of `vectors` the row of `known` with the largest cosine, and that cosine.

    Both results have shape (len(vectors),). Ties go to the first row.
    """
    step = BLOCK // 2
    blocks = [np.zeros(0, np.int64)]
    for start in range(0, len(vectors), step):
        block = vectors[start : start + step]
        products = block @ known.T  # shape (block, known)
        best = np.argmax(products, axis=1)
        blocks.append(best)
    nearest = np.concatenate(blocks).astype(np.int64)
    cosines = pair_cosines(
        np.concatenate([vectors, known]),
        rows=np.arange(len(vectors)),
        columns=nearest + len(vectors),
    )
    return nearest, cosines


# Finding edges


def shorten_vectors(unit: Floats) -> Floats:
    """Short vectors, shape (n, N_AXES + N_GROUPS), whose products bound the cosines from above.

    Vectors that are as short already come back as they are.
    """
    n, dim = unit.shape
    if dim <= N_AXES + N_GROUPS or n == 0:
        return unit
    stride = max(1, n // N_COVARIANCE)
    sample = unit[::stride]
    covariance = (sample.T @ sample).astype(np.float64)
    _, axes = np.linalg.eigh(covariance)
    # eigh sorts ascending: the axes with the largest variance are made the first.
    rotation = np.ascontiguousarray(axes[:, ::-1]).astype(np.float32)
    rotated = unit @ rotation
    lengths = []
    for group in np.array_split(np.arange(N_AXES, dim), N_GROUPS):
        length = np.linalg.norm(rotated[:, group], axis=1)
        lengths.append(length)
    kept = rotated[:, :N_AXES]
    return np.concatenate([kept, np.stack(lengths, axis=1)], axis=1)


def _label_components(search: _EdgeSearch) -> Ints:
    """Component labels of the live rows, shape (n,), block by block of the upper triangle."""
    n = len(search.unit)
    labels = np.arange(n, dtype=np.int64)
    for start in range(0, n, BLOCK):
        for left in range(start, n, WIDTH):
            rows, columns = _find_candidate_pairs(
                search,
                start,
                left,
            )
            # Pairs that are connected already need no true cosine.
            is_open = labels[rows] != labels[columns]
            rows, columns = _confirm_pairs(
                search,
                rows[is_open],
                columns[is_open],
            )
            if len(rows):
                labels = _join_components(
                    labels,
                    rows,
                    columns,
                )
    return labels


def _find_candidate_pairs(
    search: _EdgeSearch,
    start: int,
    left: int,
) -> tuple[Ints, Ints]:
    """Pairs (row < column) of one block whose bound reaches the threshold."""
    row_vectors = search.short[start : start + BLOCK]
    column_vectors = search.short[left : left + WIDTH]
    bounds = row_vectors @ column_vectors.T
    reaches = bounds >= search.threshold - SLACK
    # Flat places are several times as fast to find as pairs of indices.
    places = np.flatnonzero(reaches.ravel())
    width = len(column_vectors)
    rows = places // width + start
    columns = places % width + left
    upper = rows < columns
    return rows[upper], columns[upper]


def _confirm_pairs(
    search: _EdgeSearch,
    rows: Ints,
    columns: Ints,
) -> tuple[Ints, Ints]:
    """The pairs whose true cosine reaches the threshold."""
    is_edge = np.zeros(len(rows), dtype=bool)
    for start in range(0, len(rows), CHUNK):
        chunk = slice(start, start + CHUNK)
        is_edge[chunk] = _reach_threshold(
            search,
            rows[chunk],
            columns[chunk],
        )
    return rows[is_edge], columns[is_edge]


def _reach_threshold(
    search: _EdgeSearch,
    rows: Ints,
    columns: Ints,
) -> Bools:
    """Whether the true cosines of pairs reach the threshold, shape (pairs,)."""
    cosines = np.einsum(
        "ij,ij->i",
        search.unit[rows],
        search.unit[columns],
    )
    reaches: Bools = cosines >= search.threshold
    # Where float32 cannot tell, the vectors as given decide in float64.
    margins = np.abs(cosines - search.threshold)
    unsure = np.flatnonzero(margins < UNSURE)
    exact = pair_cosines(
        search.vectors,
        search.live[rows[unsure]],
        search.live[columns[unsure]],
    )
    # As distances, the way scikit-learn compares.
    max_distance = 1.0 - search.threshold
    reaches[unsure] = 1.0 - exact <= max_distance
    return reaches


# Components


def _join_components(
    labels: Ints,
    rows: Ints,
    columns: Ints,
) -> Ints:
    """The labels after the components of each (row, column) pair became one."""
    ends_of_edges = [labels[rows], labels[columns]]
    edges = np.stack(ends_of_edges)  # shape (2, edges)
    # A small graph of the components concerned, numbered from 0.
    components, ends = np.unique(edges, return_inverse=True)
    sources, targets = ends.reshape(2, -1)
    n_components = len(components)
    ones = np.ones(len(rows), dtype=bool)
    graph = sparse.coo_array(
        (ones, (sources, targets)),
        shape=(n_components, n_components),
    )
    _, merged = connected_components(
        graph,
        directed=False,
    )
    first_members = find_first_members(merged.astype(np.int64))
    renamed = np.arange(len(labels), dtype=np.int64)
    renamed[components] = components[first_members]
    return renamed[labels]


def find_first_members(labels: Ints) -> Ints:
    """For each row the first row with the same label."""
    _, first, inverse = np.unique(
        labels,
        return_index=True,
        return_inverse=True,
    )
    return first[inverse]


def number_labels(labels: Ints) -> Ints:
    """Labels renumbered 0, 1, 2 ... in the order in which they first appear."""
    first_members = find_first_members(labels)
    _, inverse = np.unique(first_members, return_inverse=True)
    return inverse.astype(np.int64)
