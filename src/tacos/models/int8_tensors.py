"""Packs the shipped models' matrices as int8 with one scale per row, a quarter of float32's size.

Values are rounded to the nearest step, so each is off by at most half its row's scale. The models'
cards say what that costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from safetensors import numpy as safetensors

from tacos.errors import ModelError

Array = npt.NDArray[np.generic]
Matrix = npt.NDArray[np.float32]
LARGEST_INT8 = np.float32(127)
SMALLEST_MAXIMUM = 1e-12  # keeps the scale of a row of zeros above 0


def pack_matrix(name: str, rows: Matrix) -> dict[str, Array]:
    """Pack a matrix as `name` (int8, the shape of `rows`) and `name.scale` (float32, one per row).

    >>> packed = pack_matrix("a", np.array([[1.0, -0.5]], dtype=np.float32))
    >>> packed["a"].tolist(), unpack_matrix(packed, "a").round(2).tolist()
    ([[127, -64]], [[1.0, -0.5]])
    """
    # One scale per row: its largest value becomes 127.
    sizes = np.abs(rows)
    largest = sizes.max(
        axis=1,
        initial=0,
    )
    bounded = np.maximum(largest, SMALLEST_MAXIMUM)
    scale = bounded.astype(np.float32) / LARGEST_INT8

    divisors = scale[:, None]
    quotients = rows / divisors
    steps = np.rint(quotients)
    return {
        name: steps.astype(np.int8),
        f"{name}.scale": scale,
    }


def unpack_matrix(tensors: Mapping[str, Array], name: str) -> Matrix:
    """Return the float32 matrix that `pack_matrix` packed, up to rounding."""
    values = np.asarray(tensors[name], dtype=np.float32)
    scale = np.asarray(tensors[f"{name}.scale"], dtype=np.float32)
    return values * scale[:, None]


def pack_sparse(name: str, rows: sp.csr_array) -> dict[str, Array]:
    """Pack a sparse matrix of fewer than 65,536 columns.

    Values become int8, columns uint16 and row ends int32, with one float32 scale per row.
    """
    n_rows, n_columns = rows.shape
    lengths = np.diff(rows.indptr)
    row_of_entry = np.repeat(
        np.arange(n_rows),
        lengths,
    )
    # The largest size of each row's entries. `at`, because a row occurs once per entry.
    largest = np.zeros(
        n_rows,
        dtype=np.float32,
    )
    np.maximum.at(
        largest,
        row_of_entry,
        np.abs(rows.data),
    )
    bounded = np.maximum(largest, SMALLEST_MAXIMUM)
    scale = bounded / LARGEST_INT8
    scale_of_entry = np.repeat(scale, lengths)
    steps = np.rint(rows.data / scale_of_entry)
    return {
        name: steps.astype(np.int8),
        f"{name}.columns": rows.indices.astype(np.uint16),
        f"{name}.ends": rows.indptr.astype(np.int32),
        f"{name}.scale": scale.astype(np.float32),
        f"{name}.width": np.array([n_columns], dtype=np.int32),
    }


def unpack_sparse(
    tensors: Mapping[str, Array],
    name: str,
) -> sp.csr_array:
    """Return the float32 matrix that `pack_sparse` packed, up to rounding.

    Raises `ValueError` if the tensors do not form a sparse matrix.
    """
    ends = np.asarray(
        tensors[f"{name}.ends"],
        dtype=np.int32,
    )
    scale = np.asarray(
        tensors[f"{name}.scale"],
        dtype=np.float32,
    )
    steps = tensors[name].astype(np.float32)
    columns = tensors[f"{name}.columns"].astype(np.int32)
    (n_columns,) = tensors[f"{name}.width"]
    scale_of_entry = np.repeat(
        scale,
        np.diff(ends),
    )
    matrix = sp.csr_array(
        (steps * scale_of_entry, columns, ends),
        shape=(len(scale), int(n_columns)),
    )
    # The full check: scipy would read a column out of bounds from elsewhere in memory.
    matrix.check_format()
    return matrix


def check_shapes(
    tensors: Mapping[str, Array],
    shapes: Mapping[str, tuple[int, ...]],
) -> None:
    """Raise `ValueError` for a tensor of another shape, `KeyError` for a missing one."""
    for name, expected in shapes.items():
        tensor = tensors[name]
        if tensor.shape == expected:
            continue
        raise ValueError(f"{name} has shape {tensor.shape}, expected {expected}")


def save_tensors(path: Path, tensors: Mapping[str, Array]) -> None:
    """Write a safetensors file; equal tensors give equal bytes."""
    path.write_bytes(dump_tensors(tensors))
    path.chmod(0o644)


def dump_tensors(tensors: Mapping[str, Array]) -> bytes:
    """Return the content of a safetensors file; equal tensors give equal bytes."""
    # Sorted, because the file keeps the order of the dictionary.
    contiguous = {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    return bytes(safetensors.save(contiguous))


def parse_tensors(content: bytes) -> dict[str, Array]:
    """Parse the content of a safetensors file.

    Raises `ModelError` if it is not one, or if a number is not finite.
    """
    try:
        tensors: dict[str, Array] = dict(safetensors.load(content))
    except Exception as error:
        raise ModelError(f"not a safetensors file: {error}") from None
    damaged_names: list[str] = []
    for name, values in tensors.items():
        is_finite = np.isfinite(values)
        if not is_finite.all():
            damaged_names.append(name)
    if damaged_names:
        names = ", ".join(sorted(damaged_names))
        raise ModelError(f"not all numbers are finite in {names}")
    return tensors
