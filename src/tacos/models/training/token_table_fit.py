"""Fits a table of token vectors so that the sum over a text's tokens points where the teacher does.

Two steps. First least squares in closed form, with a pull towards the plainly distilled table T0,

    min |A T - Y|^2 + pull |T - T0|^2,

where a row of A counts a text's tokens over the square root of their number (so that long texts do
not shrink), solved by conjugate gradients (Hestenes and Stiefel, 1952). Then stochastic gradient
descent on the cosine to the teacher, and on the squared differences between the cosines of a
batch's texts and the teacher's, with one Adagrad rate per token (Duchi et al., 2011). The table
knows sums of tokens only: negation and order stay unknown to it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tacos.methods.measures.unit_rows import scale_rows

Vectors = npt.NDArray[np.float32]
SMALLEST = 1e-20


def weigh_counts(counts: sp.csr_array) -> sp.csr_array:
    """Divide each row by the square root of its number of tokens."""
    sizes = np.diff(counts.indptr)
    at_least_one = np.maximum(sizes, 1).astype(np.float32)
    factors = sp.diags_array(1 / np.sqrt(at_least_one))
    return sp.csr_array(factors @ counts).astype(np.float32)


def scale_prior(
    texts: sp.csr_array,
    targets: Vectors,
    prior: Vectors,
) -> Vectors:
    """Scale `prior` by the one factor that brings its sums closest to the targets."""
    sums = texts @ prior
    products = sums * targets
    factor = products.sum() / np.square(sums).sum()
    return np.asarray(
        prior * np.float32(factor),
        dtype=np.float32,
    )


def solve_token_table(
    texts: sp.csr_array,
    targets: Vectors,
    prior: Vectors,
    pull: float,
    n_steps: int = 25,
) -> Vectors:
    """Find the table (tokens, dim) that minimises |texts T - targets|^2 + pull |T - prior|^2.

    `texts` is (n, tokens), `targets` (n, dim), `prior` (tokens, dim). Conjugate gradients run
    `n_steps` steps, for all dimensions at once.
    """
    table = prior.copy()
    transposed = sp.csr_array(texts.T)
    residual = transposed @ (targets - texts @ table)
    step = residual.copy()
    error = np.square(residual).sum(axis=0)  # (dim,)
    for _ in range(n_steps):
        # How much the loss bends along the step
        image = texts @ step
        image_squares = np.square(image).sum(axis=0)
        step_squares = np.square(step).sum(axis=0)
        curvature = image_squares + pull * step_squares

        # Bounded, because a dimension that is solved exactly has no curvature left.
        rate = error / np.maximum(curvature, SMALLEST)
        table += rate * step
        residual -= rate * (transposed @ image + pull * step)

        # The next step is conjugate to all before.
        new_error = np.square(residual).sum(axis=0)
        share = new_error / np.maximum(error, SMALLEST)
        step = residual + share * step
        error = new_error
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
    """Improve the table by `n_epochs` over the texts; see `cosine_gradient` for the loss.

    `rate` falls to 0 over all steps. `relation` weighs the cosines within a batch.
    """
    table = table.copy()
    # Adagrad's sum of squared gradients, per token
    power = np.full(
        len(table),
        1e-8,
        dtype=np.float32,
    )
    rng = np.random.default_rng(seed)
    n_texts = texts.shape[0]
    n_batches = n_texts // batch
    n_steps = n_epochs * n_batches
    for step in range(n_steps):
        number = step % n_batches
        if number == 0:
            order = rng.permutation(n_texts)
        start = number * batch
        end = start + batch
        rows = order[start:end]
        # Only the tokens of the batch have a gradient.
        part, tokens = _drop_empty_columns(texts[rows])
        sums = part @ table[tokens]
        gradient = part.T @ cosine_gradient(sums, targets[rows], relation)
        power[tokens] += np.square(gradient).mean(axis=1)
        falling_rate = rate * (1 - step / n_steps)
        token_rates = falling_rate / np.sqrt(power[tokens])
        table[tokens] -= token_rates[:, None] * gradient
    return table


def _drop_empty_columns(
    rows: sp.csr_array,
) -> tuple[sp.csr_array, npt.NDArray[np.int64]]:
    """Return the rows with only the columns that occur, and the numbers of these columns."""
    tokens = np.unique(rows.indices).astype(np.int64)
    # Where each number stands among those that occur
    columns = np.searchsorted(tokens, rows.indices)
    n_rows = rows.shape[0]
    shape = (n_rows, len(tokens))
    narrow = sp.csr_array(
        (rows.data, columns, rows.indptr),
        shape=shape,
    )
    return narrow, tokens


def cosine_gradient(
    sums: Vectors,
    targets: Vectors,
    relation: float,
) -> Vectors:
    """Return the gradient of the loss by the sums, both of shape (n, dim).

    The loss is sum(1 - cos(sum, target)) + relation / n * sum over pairs of texts of (their cosine
    - the teacher's)^2.
    """
    squares = np.square(sums).sum(axis=1, keepdims=True)
    lengths = np.sqrt(squares) + np.float32(1e-6)
    unit = sums / lengths
    own_cosines = unit @ unit.T  # (n, n)
    teacher_cosines = targets @ targets.T
    difference = own_cosines - teacher_cosines
    np.fill_diagonal(difference, 0)
    # 4, because the square gives 2, and each text stands in a pair on either side.
    factor = np.float32(4 * relation / len(sums))
    by_unit = factor * (difference @ unit) - targets
    # Only the part at right angles to a vector turns it.
    along = (by_unit * unit).sum(axis=1, keepdims=True)
    return np.asarray(
        (by_unit - along * unit) / lengths,
        dtype=np.float32,
    )


def project_targets(vectors: Vectors, directions: Vectors) -> Vectors:
    """Project the teacher's vectors on the kept directions and scale each to length 1 again."""
    return scale_rows(vectors @ directions)
