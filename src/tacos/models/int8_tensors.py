"""Small numbers for shipped files: int8 with one scale per row, a quarter of float32's size.

Rounding is to nearest, so a value is off by at most half its row's scale; what that costs a model,
its card says.
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


def pack_matrix(name: str, rows: Matrix) -> dict[str, Array]:
    """`name` (int8, the shape of `rows`) and `name.scale` (float32, one per row).

    >>> packed = pack_matrix("a", np.array([[1.0, -0.5]], dtype=np.float32))
    >>> packed["a"].tolist(), unpack_matrix(packed, "a").round(2).tolist()
    ([[127, -64]], [[1.0, -0.5]])
    """
    scale = np.maximum(np.abs(rows).max(axis=1, initial=0), 1e-12).astype(np.float32) / np.float32(
        127
    )
    return {name: np.rint(rows / scale[:, None]).astype(np.int8), f"{name}.scale": scale}


def unpack_matrix(tensors: Mapping[str, Array], name: str) -> Matrix:
    """The float32 matrix that `pack_matrix` was given, up to rounding."""
    values, scale = (
        np.asarray(tensors[part], dtype=np.float32) for part in (name, f"{name}.scale")
    )
    return values * scale[:, None]


def pack_sparse(name: str, rows: sp.csr_array) -> dict[str, Array]:
    """A sparse matrix of fewer than 65,536 columns: values int8, columns uint16, row ends int32,
    one scale per row.
    """
    lengths = np.diff(rows.indptr)
    largest = np.zeros(rows.shape[0], dtype=np.float32)
    np.maximum.at(largest, np.repeat(np.arange(rows.shape[0]), lengths), np.abs(rows.data))
    scale = np.maximum(largest, 1e-12) / np.float32(127)
    return {
        name: np.rint(rows.data / np.repeat(scale, lengths)).astype(np.int8),
        f"{name}.columns": rows.indices.astype(np.uint16),
        f"{name}.ends": rows.indptr.astype(np.int32),
        f"{name}.scale": scale.astype(np.float32),
        f"{name}.width": np.array([rows.shape[1]], dtype=np.int32),
    }


def unpack_sparse(tensors: Mapping[str, Array], name: str) -> sp.csr_array:
    """The float32 matrix that `pack_sparse` was given, up to rounding; raises `ValueError` for what
    is none.
    """
    ends = np.asarray(tensors[f"{name}.ends"], dtype=np.int32)
    scale = np.asarray(tensors[f"{name}.scale"], dtype=np.float32)
    values = np.asarray(tensors[name], dtype=np.float32) * np.repeat(scale, np.diff(ends))
    columns = np.asarray(tensors[f"{name}.columns"], dtype=np.int32)
    out = sp.csr_array(
        (values, columns, ends), shape=(len(scale), int(tensors[f"{name}.width"][0]))
    )
    out.check_format()  # in full: a column out of bounds would be read from elsewhere in memory
    return out


def check_shapes(tensors: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `ValueError` for a tensor of another shape, `KeyError` for one that is missing."""
    for name, shape in shapes.items():
        if tensors[name].shape != shape:
            raise ValueError(f"{name} is {tensors[name].shape}, not {shape}")


def save_tensors(path: Path, tensors: Mapping[str, Array]) -> None:
    """Write a safetensors file; equal tensors give equal bytes."""
    path.write_bytes(dump_tensors(tensors))
    path.chmod(0o644)


def dump_tensors(tensors: Mapping[str, Array]) -> bytes:
    """The content of a safetensors file; equal tensors give equal bytes."""
    return bytes(
        safetensors.save({name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)})
    )


def parse_tensors(content: bytes) -> dict[str, Array]:
    """The tensors of a safetensors file's content; raises `ModelError` where it is none, or where
    one is not finite.
    """
    try:
        found: dict[str, Array] = dict(safetensors.load(content))
    except Exception as error:
        raise ModelError(f"no safetensors file: {error}") from None
    strange = sorted(name for name, values in found.items() if not np.isfinite(values).all())
    if strange:
        raise ModelError(f"not all numbers are finite in {', '.join(strange)}")
    return found
