"""Reads GGUF, the file format of llama.cpp: metadata, and tensors as float32.

Written to ggml's `docs/gguf.md`, version 3; little-endian. Of ggml's kinds of tensors, those of the
file that we read: F32, Q4_1 and Q8_0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tacos.errors import ModelError

Vectors = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
MAGIC = b"GGUF"
ALIGNMENT = 32
BLOCK = 32
"""The number of values that share a scale, in Q4_1 and in Q8_0."""

# Numbers of the specification: the types of metadata, then the kinds of tensors.
NUMBERS = {
    0: "<u1",
    1: "<i1",
    2: "<u2",
    3: "<i2",
    4: "<u4",
    5: "<i4",
    6: "<f4",
    7: "<u1",  # a truth value
    10: "<u8",
    11: "<i8",
    12: "<f8",
}
UINT32 = 4
STRING = 8
ARRAY = 9
UINT64 = 10
F32 = 0
Q4_1 = 3
Q8_0 = 8
BYTES_PER_BLOCK = {F32: 4 * BLOCK, Q4_1: 20, Q8_0: 34}


@dataclass(frozen=True)
class TensorPlace:
    """Where a tensor lies: its shape (rows first), its kind, and its first byte in the file."""

    shape: tuple[int, ...]
    kind: int
    start: int


@dataclass(frozen=True)
class GgufFile:
    """The content of a file; tensors are read from it when they are asked for."""

    content: Bytes
    metadata: Mapping[str, Any]
    places: Mapping[str, TensorPlace]

    def load_tensor(self, name: str) -> Vectors:
        """Return a tensor as float32, in the shape (rows, columns) or (values,).

        Raises `ModelError` if the file has no such tensor, or one of a kind not read here.
        """
        place = self._find_place(name)
        raw = self._slice_content(place)
        values = _dequantise(raw, place.kind)
        return values.reshape(place.shape)

    def load_rows(self, name: str, rows: Sequence[int]) -> Vectors:
        """Return some rows of a matrix as float32, of shape (len(rows), columns).

        Raises as `load_tensor` does.
        """
        place = self._find_place(name)
        n_rows, n_columns = place.shape
        # Rows are whole blocks, so each has the same number of bytes.
        raw = self._slice_content(place)
        raw_rows = raw.reshape(n_rows, -1)
        chosen = raw_rows[rows]
        values = _dequantise(
            chosen,
            place.kind,
        )
        return values.reshape(-1, n_columns)

    def _slice_content(self, place: TensorPlace) -> Bytes:
        n_values = prod(place.shape)
        n_bytes = n_values * BYTES_PER_BLOCK[place.kind] // BLOCK
        end = place.start + n_bytes
        return self.content[place.start : end]

    def _find_place(self, name: str) -> TensorPlace:
        place = self.places.get(name)
        if place is None:
            raise ModelError(
                f"the GGUF file has no tensor {name!r}: take the published file"
            )
        if place.kind not in BYTES_PER_BLOCK:
            raise ModelError(
                f"the tensor {name!r} is of kind {place.kind}, which tacos does not read: "
                "take the published file"
            )
        return place


def read_gguf(path: Path) -> GgufFile:
    """Read the header of a GGUF file, and map its tensors into memory.

    Raises `ModelError` if it is not one, or cut short.
    """
    try:
        content: Bytes = np.memmap(path, np.uint8, mode="r")
        reader = _Reader(content)
        metadata, places = _read_header(reader)
    except (ValueError, KeyError) as error:
        raise ModelError(
            f"{path} is not a GGUF file of version 3, or damaged ({error}): take the published file"
        ) from None
    return GgufFile(
        content,
        metadata,
        places,
    )


def _read_header(
    reader: _Reader,
) -> tuple[dict[str, Any], dict[str, TensorPlace]]:
    """Read everything before the tensors' values."""
    magic = reader.take_bytes(len(MAGIC))
    version = reader.take_number(UINT32)
    if magic != MAGIC or version != 3:
        raise ValueError("other first bytes")
    n_tensors = reader.take_number(UINT64)
    n_entries = reader.take_number(UINT64)

    metadata: dict[str, Any] = {}
    for _ in range(n_entries):
        key = reader.take_string()
        kind = reader.take_number(UINT32)
        metadata[key] = reader.take_value(kind)

    offsets: dict[str, TensorPlace] = {}
    for _ in range(n_tensors):
        name = reader.take_string()
        offsets[name] = _read_place(reader)

    # Offsets count from the end of the header, rounded up.
    n_units = -(-reader.position // ALIGNMENT)
    base = n_units * ALIGNMENT
    places: dict[str, TensorPlace] = {}
    for name, place in offsets.items():
        start = base + place.start
        places[name] = TensorPlace(
            place.shape,
            place.kind,
            start,
        )
    return metadata, places


def _read_place(reader: _Reader) -> TensorPlace:
    n_dimensions = reader.take_number(UINT32)
    dimensions = [reader.take_number(UINT64) for _ in range(n_dimensions)]
    kind = reader.take_number(UINT32)
    offset = reader.take_number(UINT64)
    # The file names the fastest dimension first.
    shape = tuple(reversed(dimensions))
    return TensorPlace(shape, kind, offset)


class _Reader:
    """Takes one value after the other from a file's bytes."""

    def __init__(self, content: Bytes) -> None:
        self.content = content
        self.position = 0

    def take_bytes(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self.content):
            raise ValueError("it ends too early")
        taken = self.content[self.position : end]
        self.position = end
        return taken.tobytes()

    def take_number(self, kind: int) -> Any:
        dtype = np.dtype(NUMBERS[kind])
        raw = self.take_bytes(dtype.itemsize)
        numbers = np.frombuffer(raw, dtype)
        return numbers.item()

    def take_string(self) -> str:
        size = self.take_number(UINT64)
        raw = self.take_bytes(size)
        return raw.decode("utf-8")

    def take_value(self, kind: int) -> Any:
        if kind == STRING:
            return self.take_string()
        if kind == ARRAY:
            return self.take_array()
        return self.take_number(kind)

    def take_array(self) -> list[Any]:
        kind = self.take_number(UINT32)
        length = self.take_number(UINT64)
        if kind not in NUMBERS:
            return [self.take_value(kind) for _ in range(length)]
        # Numbers at once, because there may be many.
        dtype = np.dtype(NUMBERS[kind])
        size = length * dtype.itemsize
        raw = self.take_bytes(size)
        numbers = np.frombuffer(raw, dtype)
        values: list[Any] = numbers.tolist()
        return values


def _dequantise(raw: Bytes, kind: int) -> Vectors:
    """Return the values of a tensor's bytes, flat."""
    if kind == F32:
        return raw.view("<f4").astype(np.float32)
    blocks = raw.reshape(-1, BYTES_PER_BLOCK[kind])
    if kind == Q4_1:
        return _dequantise_q4_1(blocks)
    return _dequantise_q8_0(blocks)


def _dequantise_q4_1(blocks: Bytes) -> Vectors:
    """A block: scale and minimum in float16, then 32 numbers of 4 bits.

    Value = scale x number + minimum. The low halves of the 16 bytes come first.
    """
    scale = _read_halves(blocks[:, 0:2])
    minimum = _read_halves(blocks[:, 2:4])
    pairs = blocks[:, 4:]
    low = pairs & 0x0F
    high = pairs >> 4
    numbers = np.concatenate(
        [low, high],
        axis=1,
    )
    values = numbers * scale + minimum
    return values.astype(np.float32, copy=False)


def _dequantise_q8_0(blocks: Bytes) -> Vectors:
    """A block: a scale in float16, then 32 signed bytes. Value = scale x number."""
    scale = _read_halves(blocks[:, 0:2])
    numbers = blocks[:, 2:].view(np.int8)
    values = numbers * scale
    return values.astype(np.float32, copy=False)


def _read_halves(columns: Bytes) -> Vectors:
    """Read one float16 per row, as float32 of shape (rows, 1)."""
    contiguous = np.ascontiguousarray(columns)
    return contiguous.view("<f2").astype(np.float32)
