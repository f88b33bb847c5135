"""Semantic aggregation: tags whose vectors lie within a cosine distance of each other are one
(InsTag, section 3.2).

InsTag runs DBSCAN with distance threshold 0.05. With min_samples = 1 that is plain connectivity:
the connected components of the graph whose edges are the pairs at distance <= eps. We find exactly
these, in bounded memory, without the n x n matrix:

1. Rotate the vectors to principal axes and keep the first ones; the rest is summed up by the
   lengths of a few groups of axes. By Cauchy and Schwarz the product of two such short vectors is
   never below the true cosine, so a pair whose short product is under the threshold needs no
   further look. Blocks of the upper triangle only, on one thread of BLAS: the products are small,
   and its threads wait for each other where other work shares the cores.
2. The true cosine of the pairs that are left, unless they are known to be connected already; where
   float32 cannot tell, in float64.

It does not know meaning: single linkage may chain. A vector of length 0 (an empty text) is like no
other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from tacos.errors import InputError

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

N_AXES = 32
N_GROUPS = 8
N_COVARIANCE = 20_000
SLACK = 1e-4
"""How far rounding may put a short product below the true cosine: about 100 units of float32 in the
last place.
"""
UNSURE = 1e-5
"""Where a float32 cosine is this near to the threshold, float64 decides."""
BLOCK = 512
WIDTH = 2048
CHUNK = 8192


class EdgeSearch(NamedTuple):
    """What the search for edges reads: unit vectors, their short vectors, and the cosine to reach."""

    vectors: Floats
    short: Floats
    threshold: float


def group_by_cosine(vectors: Floats, eps: float) -> Ints:
    """A group number per row: rows within cosine distance `eps`, directly or through others, share
    one.

    `vectors` has shape (n, dim). Groups are numbered in the order of their first rows. Equals
    `sklearn.cluster.DBSCAN(eps, min_samples=1, metric="cosine")` in float64. Raises `InputError`
    for values not finite.
    """
    if not np.isfinite(vectors).all():
        raise InputError(
            "the encoder gave vectors that are not finite numbers; no tag can be merged by meaning"
        )
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    live = np.flatnonzero(lengths > 0)
    unit = vectors[live] / lengths[live, None].astype(np.float32)
    labels = np.arange(len(vectors), dtype=np.int64)
    with threadpool_limits(1, user_api="blas"):
        found = _label_components(EdgeSearch(unit, shorten_vectors(unit), 1.0 - eps), vectors, live)
    labels[live] = live[find_first_members(found)] if len(live) else live
    return number_labels(labels)


def _label_components(search: EdgeSearch, vectors: Floats, live: Ints) -> Ints:
    """Component labels of the rows of `search`, one block of rows after the other."""
    n = len(search.vectors)
    labels = np.arange(n, dtype=np.int64)
    for start in range(0, n, BLOCK):
        for left in range(start, n, WIDTH):
            rows, columns = _find_candidate_pairs(search, start, left)
            unknown = labels[rows] != labels[columns]
            edges = _confirm_pairs(search, vectors, live, rows[unknown], columns[unknown])
            if len(edges[0]):
                labels = _join_components(labels, *edges)
    return labels


def shorten_vectors(unit: Floats) -> Floats:
    """Short vectors, shape (n, N_AXES + N_GROUPS), whose products bound the cosines from above."""
    n, dim = unit.shape
    if dim <= N_AXES + N_GROUPS or n == 0:
        return unit
    sample = unit[:: max(1, n // N_COVARIANCE)]
    _, axes = np.linalg.eigh((sample.T @ sample).astype(np.float64))
    turned = unit @ np.ascontiguousarray(axes[:, ::-1]).astype(np.float32)
    groups = np.array_split(np.arange(N_AXES, dim), N_GROUPS)
    rest = [np.linalg.norm(turned[:, group], axis=1) for group in groups]
    return np.concatenate([turned[:, :N_AXES], np.stack(rest, axis=1)], axis=1)


def _find_candidate_pairs(search: EdgeSearch, start: int, left: int) -> tuple[Ints, Ints]:
    """Pairs (row < column) of one block whose bound reaches the threshold."""
    rows = search.short[start : start + BLOCK]
    columns = search.short[left : left + WIDTH]
    hits = np.flatnonzero((rows @ columns.T >= search.threshold - SLACK).ravel())
    i, j = hits // len(columns) + start, hits % len(columns) + left
    upper = i < j
    return i[upper], j[upper]


def _confirm_pairs(
    search: EdgeSearch, vectors: Floats, live: Ints, rows: Ints, columns: Ints
) -> tuple[Ints, Ints]:
    """Those of the pairs whose true cosine reaches the threshold."""
    kept = np.zeros(len(rows), dtype=bool)
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        i, j = rows[part], columns[part]
        cosine = np.einsum("ij,ij->i", search.vectors[i], search.vectors[j])
        kept[part] = cosine >= search.threshold
        unsure = np.flatnonzero(np.abs(cosine - search.threshold) < UNSURE)
        exact = pair_cosines(vectors, live[i[unsure]], live[j[unsure]])
        kept[start + unsure] = 1.0 - exact <= 1.0 - search.threshold
    return rows[kept], columns[kept]


def pair_cosines(vectors: Floats, rows: Ints, columns: Ints) -> npt.NDArray[np.float64]:
    """The cosines of pairs of rows, in float64."""
    a, b = vectors[rows].astype(np.float64), vectors[columns].astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    products: npt.NDArray[np.float64] = np.einsum("ij,ij->i", a, b)
    return products / np.where(lengths > 0, lengths, 1.0)


def find_nearest_known(vectors: Floats, known: Floats) -> tuple[Ints, npt.NDArray[np.float64]]:
    """For each row of `vectors` the row of `known` with the largest cosine (ties: the first), and
    that cosine.
    """
    step = BLOCK // 2
    found = [
        np.argmax(vectors[start : start + step] @ known.T, axis=1)
        for start in range(0, len(vectors), step)
    ]
    which = np.concatenate([np.zeros(0, np.int64), *found]).astype(np.int64)
    return which, pair_cosines(
        np.concatenate([vectors, known]), np.arange(len(vectors)), which + len(vectors)
    )


def _join_components(labels: Ints, rows: Ints, columns: Ints) -> Ints:
    """The labels after the components of each (row, column) pair became one."""
    known, ends = np.unique(np.stack([labels[rows], labels[columns]]), return_inverse=True)
    graph = sparse.coo_array(
        (np.ones(len(rows), dtype=bool), tuple(ends.reshape(2, -1))), shape=(len(known),) * 2
    )
    _, merged = connected_components(graph, directed=False)
    renamed = np.arange(len(labels), dtype=np.int64)
    renamed[known] = known[find_first_members(merged.astype(np.int64))]
    return renamed[labels]


def find_first_members(labels: Ints) -> Ints:
    """For each row the first row with the same label."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return first[inverse]


def number_labels(labels: Ints) -> Ints:
    """Labels renumbered 0, 1, 2 ... in the order in which they first appear."""
    _, inverse = np.unique(find_first_members(labels), return_inverse=True)
    return inverse.astype(np.int64)
