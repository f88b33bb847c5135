"""Numbers that are too many for memory, in a temporary file."""

from __future__ import annotations

import os
import tempfile
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from tacos.errors import explain_temporary_files


class SpilledNumbers:
    """Numbers of one type, appended and read at any place; the file goes with the object."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._file = tempfile.TemporaryFile(prefix="tacos-")  # noqa: SIM115
        weakref.finalize(self, self._file.close)

    def append(self, numbers: npt.NDArray[Any]) -> None:
        """Add numbers at the end. Raises `OutputError` where the disk is full."""
        content = np.ascontiguousarray(numbers, self._dtype)
        with explain_temporary_files():
            self._file.write(content.data)

    def read(self, first: int, n_numbers: int) -> npt.NDArray[Any]:
        """`n_numbers` of them, from number `first` on."""
        with explain_temporary_files():
            self._file.flush()
        size = self._dtype.itemsize
        content = os.pread(
            self._file.fileno(),
            n_numbers * size,
            first * size,
        )
        return np.frombuffer(content, self._dtype)
