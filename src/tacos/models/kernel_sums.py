"""Weighted sums of kernels over support rows, in onnxruntime.

    f_o(x) = sum_i coefficient_io exp(-scale |x - s_i|^2)

for rows x and supports s_i of whole numbers from -127 to 127. A few rows at a time pass through all
steps, so that what lies between stays in the processor's caches. Every call has the same number of
rows, so that each sum runs in one order wherever its row stands: any batch gives the same bits.

Processors with VNNI sum products of bytes, four times as fast as float32. Others may let such sums
overflow, so every process tries its own first, and takes float32 where one is wrong. The graphs
(`data/kernel_bytes.onnx`, `data/kernel_floats.onnx`) are built by `training/kernel_graphs.py` and
hold no supports.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# From 1.31 on, onnxruntime reports its use to its maker as soon as it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort

DATA = Path(__file__).parent / "data"
GRAPH_OF_BYTES = DATA / "kernel_bytes.onnx"
GRAPH_OF_FLOATS = DATA / "kernel_floats.onnx"
ZERO = 128
"""Zero among unsigned bytes."""
LARGEST = 127
N_ROWS = 32
"""Rows of one call."""
Whole = npt.NDArray[np.int8]
Sums = npt.NDArray[np.float32]
# Numbers of fields and types of values in ONNX' format (onnx.proto)
_GRAPH, _INITIALIZER, _DIMS, _TYPE, _NAME, _RAW_DATA = 7, 5, 1, 2, 8, 9
_TYPES = {"float32": 1, "int8": 3}


class KernelSums:
    """Support rows (m, columns) and their `coefficients` (m, outputs), ready for many sums."""

    def __init__(
        self,
        supports: Whole,
        coefficients: npt.NDArray[np.floating[Any]],
        scale: float,
        in_bytes: bool | None = None,
    ) -> None:
        if in_bytes is None:
            in_bytes = sums_bytes_exactly()
        self._in_bytes = in_bytes
        self._scale = np.float32(scale)
        self._n_outputs = coefficients.shape[1]
        right = supports.T if in_bytes else supports.T.astype(np.float32)
        # |x - s|^2 = x^2 - 2 xs + s^2
        tensors = {
            "supports": right,
            "factor": np.array(2 * self._scale),
            "bias": -self._scale * square_lengths(supports),
            "coefficients": coefficients.astype(np.float32),
        }
        path = GRAPH_OF_BYTES if in_bytes else GRAPH_OF_FLOATS
        self._session = _load_session(path, tensors)

    def sum_rows(self, rows: Whole) -> Sums:
        """The sums of rows (n, columns): float32 (n, outputs)."""
        n, n_columns = rows.shape
        padded = np.zeros((-(-n // N_ROWS) * N_ROWS, n_columns), dtype=np.int8)
        padded[:n] = rows
        squares = -self._scale * square_lengths(padded)[:, None]
        left: npt.NDArray[Any] = padded.astype(np.float32)
        if self._in_bytes:
            left = padded.view(np.uint8) ^ np.uint8(ZERO)
        sums = np.empty((len(padded), self._n_outputs), dtype=np.float32)
        for start in range(0, len(padded), N_ROWS):
            block = slice(start, start + N_ROWS)
            inputs = {"rows": left[block], "squares": squares[block]}
            (sums[block],) = self._session.run(None, inputs)
        return sums[:n]


def square_lengths(rows: Whole) -> npt.NDArray[np.float32]:
    """The squared length of each row (n, columns), exact below 2^24."""
    floats = rows.astype(np.float32)
    return np.asarray(np.einsum("ij,ij->i", floats, floats), dtype=np.float32)


@lru_cache(maxsize=1)
def sums_bytes_exactly() -> bool:
    """Say whether this processor sums products of bytes without an overflow, by the largest."""
    extremes = np.full((2, 2 * LARGEST), LARGEST, dtype=np.int8)
    extremes[1] = -LARGEST
    one_of_each = np.eye(2, dtype=np.float32)
    largest = 4.0 * float(square_lengths(extremes)[0])
    sums = KernelSums(extremes, one_of_each, 1 / largest, in_bytes=True)
    far = np.exp(-1.0)
    expected = np.array([[1, far], [far, 1]])
    return bool(np.allclose(sums.sum_rows(extremes), expected, atol=1e-4))


def _load_session(
    path: Path, tensors: dict[str, npt.NDArray[Any]]
) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    # One thread: whole processes work side by side.
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = 1
    # Only tensors within the graph are laid out for the product once and for all. Messages of
    # ONNX' format are merged where one follows the other.
    packed = [
        _pack_field(_INITIALIZER, _pack_tensor(name, each))
        for name, each in tensors.items()
    ]
    graph = path.read_bytes() + _pack_field(_GRAPH, b"".join(packed))
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _pack_tensor(name: str, tensor: npt.NDArray[Any]) -> bytes:
    dims = [_pack_number(_DIMS << 3) + _pack_number(size) for size in tensor.shape]
    kind = _pack_number(_TYPE << 3) + _pack_number(_TYPES[tensor.dtype.name])
    content = tensor.astype(tensor.dtype.newbyteorder("<")).tobytes()
    return b"".join(
        [
            *dims,
            kind,
            _pack_field(_NAME, name.encode()),
            _pack_field(_RAW_DATA, content),
        ]
    )


def _pack_field(number: int, content: bytes) -> bytes:
    """A field of bytes in the format of Protocol Buffers."""
    return _pack_number(number << 3 | 2) + _pack_number(len(content)) + content


def _pack_number(number: int) -> bytes:
    """A whole number from 0: seven bits to a byte, the lowest first, the last one below 128.

    >>> _pack_number(300).hex()
    'ac02'
    """
    packed = bytearray()
    while number > 127:
        packed.append(number & 127 | 128)
        number >>= 7
    packed.append(number)
    return bytes(packed)
