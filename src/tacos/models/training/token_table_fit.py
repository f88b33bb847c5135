"""Fits a table of token vectors so that the sum over a text's tokens points where the teacher's
vector of it points.

Two steps. Least squares in closed form, with a pull towards the plainly distilled table T0,

    min |A T - Y|^2 + pull |T - T0|^2,

where a row of A counts a text's tokens over the square root of their number (so that long texts
don't shrink), solved by conjugate gradients (Hestenes and Stiefel, 1952). Then stochastic gradient
descent on the cosine to the teacher and on the squared differences between the cosines of a batch's
texts and the teacher's, with one Adagrad rate per token (Duchi et al., 2011). It knows sums of
tokens only: negation and order stay unknown.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tacos.models.static_encoder import scale_rows

Vectors = npt.NDArray[np.float32]


def weigh_counts(counts: sp.csr_array) -> sp.csr_array:
    """Each row over the square root of its number of tokens."""
    sizes = np.maximum(np.diff(counts.indptr), 1).astype(np.float32)
    return sp.csr_array(sp.diags_array(1 / np.sqrt(sizes)) @ counts).astype(np.float32)


def scale_prior(texts: sp.csr_array, targets: Vectors, prior: Vectors) -> Vectors:
    """`prior` times the factor that brings its sums closest to the targets."""
    sums = texts @ prior
    return np.asarray(
        prior * np.float32((sums * targets).sum() / np.square(sums).sum()), dtype=np.float32
    )


def solve_token_table(
    texts: sp.csr_array, targets: Vectors, prior: Vectors, pull: float, n_steps: int = 25
) -> Vectors:
    """The table (tokens, dim) that minimises |texts T - targets|^2 + pull |T - prior|^2, in
    `n_steps` steps.
    """
    table = prior.copy()
    back = sp.csr_array(texts.T)
    residual = back @ (targets - texts @ table)
    step = residual.copy()
    error = np.square(residual).sum(axis=0)
    for _ in range(n_steps):
        image = texts @ step
        rate = error / np.maximum(
            np.square(image).sum(axis=0) + pull * np.square(step).sum(axis=0), 1e-20
        )
        table += rate * step
        residual -= rate * (back @ image + pull * step)
        smaller = np.square(residual).sum(axis=0)
        step = residual + (smaller / np.maximum(error, 1e-20)) * step
        error = smaller
    return np.asarray(table, dtype=np.float32)


def descend_gradient(
    texts: sp.csr_array,
    targets: Vectors,
    table: Vectors,
    *,
    n_epochs: int = 4,
    rate: float = 0.02,
    relation: float = 5.0,
    batch: int = 1024,
    seed: int = 0,
) -> Vectors:
    """The table after `n_epochs` over the texts; `rate` falls to 0, `relation` weighs the cosines
    within a batch.
    """
    table, power = table.copy(), np.full(len(table), 1e-8, dtype=np.float32)
    rng = np.random.default_rng(seed)
    n_batches = texts.shape[0] // batch
    for step in range(n_epochs * n_batches):
        if step % n_batches == 0:
            order = rng.permutation(texts.shape[0])
        rows = order[step % n_batches * batch :][:batch]
        part, tokens = _drop_empty_columns(texts[rows])
        change = part.T @ cosine_gradient(part @ table[tokens], targets[rows], relation)
        power[tokens] += np.square(change).mean(axis=1)
        falling = rate * (1 - step / (n_epochs * n_batches))
        table[tokens] -= (falling / np.sqrt(power[tokens]))[:, None] * change
    return table


def _drop_empty_columns(rows: sp.csr_array) -> tuple[sp.csr_array, npt.NDArray[np.int64]]:
    """The rows with only the columns that occur, and which these are."""
    tokens = np.unique(rows.indices).astype(np.int64)
    columns = np.searchsorted(tokens, rows.indices)
    return sp.csr_array(
        (rows.data, columns, rows.indptr), shape=(rows.shape[0], len(tokens))
    ), tokens


def cosine_gradient(sums: Vectors, targets: Vectors, relation: float) -> Vectors:
    """Of sum(1 - cos(sum, target)) + relation / n * sum over pairs (cosine - teacher's cosine)^2,
    by the sums.
    """
    lengths = np.sqrt(np.square(sums).sum(axis=1, keepdims=True)) + np.float32(1e-6)
    unit = sums / lengths
    off = unit @ unit.T - targets @ targets.T
    np.fill_diagonal(off, 0)
    pull = np.float32(4 * relation / len(sums)) * (off @ unit) - targets
    return np.asarray(
        (pull - (pull * unit).sum(axis=1, keepdims=True) * unit) / lengths, dtype=np.float32
    )


def project_targets(vectors: Vectors, directions: Vectors) -> Vectors:
    """The teacher's vectors on the kept directions, each scaled to length 1 again."""
    return scale_rows(vectors @ directions)
