"""Sparse normal equations of a comparison graph: solutions and standard errors.

A is symmetric, positive semi-definite, its rows are samples; its null space is one constant per
component at most (pure differences cannot tell the level of a component). Components never share an
entry.

Standard errors are square roots of the diagonal of A's inverse (its pseudo-inverse for pure
differences). They are exact for components up to `EXACT` samples. Above, they come from random
draws of N(0, A^-1) by "perturb and solve", Rao-Blackwellised: the variance of a sample given its
neighbours, 1 / A_ii, is exact, and only the rest is estimated (Siden et al. 2018, arXiv 1705.08656,
section 3.1); with 32 draws an error is within about 5% of the exact one, on graphs like chains,
whose far ends hardly know each other, within about 10%.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack
from scipy.sparse import csgraph, csr_array
from scipy.sparse.linalg import splu
from threadpoolctl import threadpool_limits

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
EXACT = 5000
N_DRAWS = 32
STACK = 4_000_000
"""Numbers in one stack of small dense matrices."""


def label_components(a: npt.NDArray[Any], b: npt.NDArray[Any], n: int) -> Ints:
    """The number of each node's connected component, from 0, by the component's first node. Edges
    join a[i] and b[i].
    """
    graph = csr_array((np.ones(len(a)), (a, b)), shape=(n, n))
    labels = csgraph.connected_components(graph, directed=False)[1]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def _centre_by_component(values: Floats, labels: Ints) -> Floats:
    """`values`, a column per right-hand side, with the mean of each component taken off."""
    sizes = np.bincount(labels)[:, None]
    sums = np.zeros((len(sizes), values.shape[1]))
    np.add.at(sums, labels, values)
    return np.asarray(values - (sums / sizes)[labels])


def solve_equations(
    matrix: Any, right: Floats, labels: Ints, floating: bool, tolerance: float = 1e-10
) -> Floats:
    """x with A x = right, for each column of `right`, shape (n, m); `floating`: pure differences,
    mean 0 by component.

    Conjugate gradients with a Jacobi preconditioner; where they have not met the tolerance in 2,000
    steps (long chains), a sparse factorisation.
    """
    columns = _centre_by_component(right, labels) if floating else right
    found, done = conjugate_gradients(matrix, columns, tolerance)
    if not done:
        anchor = np.zeros(matrix.shape[0])
        if floating:
            anchor[np.unique(labels, return_index=True)[1]] = matrix.diagonal().mean()
        found = splu((matrix + diagonal_matrix(anchor)).tocsc()).solve(columns)
    return (
        _centre_by_component(found, labels)
        if floating
        else found + _find_level_shift(matrix, columns - matrix @ found, labels)
    )


def _find_level_shift(matrix: Any, rest: Floats, labels: Ints) -> Floats:
    """The constant to add to each component, shape (n, m), so that the residual `rest` sums to 0
    there.

    Where differences are known far better than levels, a residual that is small beside the
    right-hand side still leaves the level of a component wrong by points.
    """
    weight = np.bincount(labels, matrix.sum(axis=1))
    sums = np.zeros((len(weight), rest.shape[1]))
    np.add.at(sums, labels, rest)
    return np.asarray((sums / weight[:, None])[labels])


def diagonal_matrix(values: Floats) -> Any:
    """A sparse diagonal matrix."""
    place = np.arange(len(values))
    return csr_array((values, (place, place)), shape=(len(values), len(values)))


def conjugate_gradients(
    matrix: Any, right: Floats, tolerance: float, n_steps: int = 2000
) -> tuple[Floats, bool]:
    """Preconditioned conjugate gradients on every column at once; whether all met the tolerance."""
    scale = (1.0 / np.maximum(matrix.diagonal(), 1e-300))[:, None]
    found, rest = np.zeros_like(right), right.copy()
    step = scale * rest
    target = tolerance**2 * np.maximum((right * right).sum(axis=0), 1e-300)
    energy = (rest * step).sum(axis=0)
    for _ in range(n_steps):
        if ((rest * rest).sum(axis=0) <= target).all():
            return found, True
        image = matrix @ step
        length = energy / np.maximum((step * image).sum(axis=0), 1e-300)
        found += length * step
        rest -= length * image
        new = scale * rest
        fresh = (rest * new).sum(axis=0)
        step = new + fresh / np.maximum(energy, 1e-300) * step
        energy = fresh
    return found, bool(((rest * rest).sum(axis=0) <= target).all())


def standard_errors(
    matrix: Any, labels: Ints, floating: bool, factor: Any, seed: int, exact: int = EXACT
) -> Floats:
    """The standard error of each unknown, shape (n,); `factor` is F with F'F = A, shape (rows, n),
    for the random draws.
    """
    variances = np.full(matrix.shape[0], np.nan)
    sizes = np.bincount(labels)
    order = np.argsort(labels, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])
    for size in np.unique(sizes[sizes <= exact]):
        small = np.flatnonzero(sizes == size)
        n_chunks = min(len(small), -(-len(small) * int(size) ** 2 // STACK))
        for chunk in np.array_split(small, n_chunks):
            nodes = order[starts[chunk][:, None] + np.arange(size)]
            variances[nodes] = _invert_exactly(matrix, nodes, floating)
    if (sizes > exact).any():
        large = sizes[labels] > exact
        variances[large] = _draw_variances(matrix, labels, floating, factor, seed)[large]
    return np.sqrt(np.maximum(variances, 0.0))


def _invert_exactly(matrix: Any, nodes: Ints, floating: bool) -> Floats:
    """The diagonals of the inverses of the blocks of A, for `nodes` of shape (blocks, size); same
    shape.
    """
    n_blocks, size = nodes.shape
    place = np.full(matrix.shape[0], -1)
    place[nodes.ravel()] = np.arange(nodes.size)
    part = matrix[nodes.ravel()].tocoo()
    dense = np.zeros((n_blocks, size, size))
    dense[part.row // size, part.row % size, place[part.col] % size] = part.data
    lift = (
        dense.diagonal(axis1=1, axis2=2).mean(axis=1)[:, None, None] / size
        if floating
        else np.zeros((1, 1, 1))
    )
    inverses = inverse_diagonals(dense + lift)
    return inverses - (1.0 / (lift[:, :, 0] * size**2) if floating else 0.0)


def inverse_diagonals(blocks: Floats) -> Floats:
    """The diagonal of the inverse of each symmetric positive definite block, shape (blocks, size),
    by one thread: the same bits on any number of cores, so that plans made from the errors are the
    same as well.
    """
    with threadpool_limits(1, user_api="blas"):
        if blocks.shape[1] <= 64:
            return np.asarray(np.linalg.inv(blocks).diagonal(axis1=1, axis2=2))
        return np.stack([lapack.dpotri(lapack.dpotrf(block)[0])[0].diagonal() for block in blocks])


def _draw_variances(
    matrix: Any, labels: Ints, floating: bool, factor: Any, seed: int, n_draws: int = N_DRAWS
) -> Floats:
    """Variances from random draws, Rao-Blackwellised, shape (n,)."""
    noise = np.random.default_rng(seed).standard_normal((factor.shape[0], n_draws))
    draws = solve_equations(matrix, factor.T @ noise, labels, floating, tolerance=1e-4)
    main = matrix.diagonal()[:, None]
    given_neighbours = draws - (matrix @ draws) / main
    return np.asarray(1.0 / main[:, 0] + (given_neighbours**2).mean(axis=1))
