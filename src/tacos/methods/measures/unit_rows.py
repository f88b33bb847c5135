"""Scale vectors to length 1."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


def scale_rows(rows: Vectors) -> Vectors:
    """Scale each row to length 1; a row of zeros stays.

    >>> scale_rows(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32)).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    squares = np.einsum("ij,ij->i", rows, rows)
    lengths = np.sqrt(squares)[:, None]
    scaled = np.divide(
        rows,
        lengths,
        out=np.zeros_like(rows),
        where=lengths > 0,
    )
    return np.asarray(scaled, dtype=np.float32)
