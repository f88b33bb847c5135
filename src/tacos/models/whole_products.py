"""Products of matrices of whole numbers from -127 to 127, whose sums are exact.

Processors with VNNI sum products of bytes, four times as fast as float32. Others may let such sums
overflow, so every process tries its own first, and takes float32 where one is wrong: for up to
1,000 columns that is exact, too. The graph (`data/products.onnx`) is built by
`training/products_graph.py`.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

# From 1.31 on, onnxruntime reports its use to its maker as soon as it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort

GRAPH = Path(__file__).parent / "data" / "products.onnx"
ZERO = 128
"""Zero among unsigned bytes."""
LARGEST = 127
Whole = npt.NDArray[np.int8]
Products = npt.NDArray[np.float32]


def prepare_right(matrix: Whole) -> Whole | Products:
    """Prepare the right side (columns, m) once for many calls of `multiply_whole`."""
    if sums_bytes_exactly():
        return np.ascontiguousarray(matrix)
    return matrix.astype(np.float32)


def multiply_whole(left: Whole, right: Whole | Products, factor: float) -> Products:
    """Multiply `left` (n, columns) by a prepared right side, times a small whole `factor`.

    Float32 of shape (n, m), exact as long as it stays below 2^24.
    """
    if right.dtype == np.float32:
        product: Products = (np.float32(factor) * left) @ right
        return product
    return _multiply_bytes(left, right, factor)


@lru_cache(maxsize=1)
def sums_bytes_exactly() -> bool:
    """Say whether this processor sums products of bytes without an overflow, by the largest."""
    extremes = np.full((2, 2 * LARGEST), LARGEST, dtype=np.int8)
    extremes[1] = -LARGEST
    right = np.repeat(extremes, 32, axis=0).T
    expected = extremes.astype(np.int64) @ right
    found = _multiply_bytes(extremes, np.ascontiguousarray(right), 1.0)
    return bool((found == expected).all())


def _multiply_bytes(
    left: Whole, right: npt.NDArray[np.generic], factor: float
) -> Products:
    """Multiply in onnxruntime, which wants unsigned bytes on the left."""
    unsigned = left.view(np.uint8) ^ np.uint8(ZERO)
    inputs = {"left": unsigned, "right": right, "factor": np.array(factor, np.float32)}
    (product,) = _load_session().run(None, inputs)
    return np.asarray(product, dtype=np.float32)


@lru_cache(maxsize=1)
def _load_session() -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    # One thread: whole processes work side by side.
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = 1
    return ort.InferenceSession(
        GRAPH.read_bytes(),
        options,
        providers=["CPUExecutionProvider"],
    )
