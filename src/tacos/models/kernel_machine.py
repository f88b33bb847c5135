"""A kernel machine with several outputs.

    f_o(x) = intercept_o + sum_i coefficient_io exp(-gamma |q(x) - q(s_i)|^2)

over the support rows s_i. q turns the columns of a row into whole numbers from -127 to 127: each
block of columns is centred, projected on its axes if it has any, divided by its spread, clipped at
`CLIP`, and scaled by the root of its weight over its number of columns. Projections are exact, and
`tacos.models.kernel_sums` adds up in one order, so that a row's outputs do not depend on the rows
beside it: any batch gives the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tacos.models import int8_tensors, kernel_sums
from tacos.models.kernel_sums import KernelSums

Array = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int8]
Columns = Mapping[str, npt.NDArray[np.floating[Any]]]
"""The columns of some rows by group: name -> (n, d)."""

CLIP = 5.0
"""Standard deviations beyond which a column counts as this far out."""
LARGEST = 127.0
AXIS_STEPS = 2.0**20
"""Steps per unit of vectors and axes: products of two such numbers, summed, fit into 53 bits."""


@dataclass(frozen=True)
class Block:
    """How one group of columns becomes whole numbers.

    `columns` names the group; several blocks may look at the same one. `mean` is (d,), `axes`
    (k, d) or (0, d) for none, `spread` (k or d,) the standard deviation of each column after that,
    `weight` what the block counts in a squared distance.
    """

    name: str
    columns: str
    mean: Array
    axes: Array
    spread: Array
    weight: float

    @property
    def width(self) -> int:
        """The number of columns that the block gives."""
        return len(self.spread)


@dataclass(frozen=True)
class KernelMachine:
    """A fitted machine: `supports` (m, columns), `coefficients` (m, outputs), `intercept`."""

    blocks: tuple[Block, ...]
    gamma: float
    supports: Whole
    coefficients: Array
    intercept: Array

    @cached_property
    def _sums(self) -> KernelSums:
        """The support rows, ready for many sums."""
        scale = self.gamma / unit_length(self.blocks) ** 2
        return KernelSums(self.supports, self.coefficients, scale)

    def predict(self, columns: Columns) -> Array:
        """The outputs of each row, float64 of shape (n, outputs)."""
        rows = quantise_columns(self.blocks, columns)
        return self.intercept + self._sums.sum_rows(rows)


def unit_length(blocks: Sequence[Block]) -> float:
    """Whole numbers per unit of the machine's space, so that the widest column reaches 127."""
    largest = max(_root_weight(block) for block in blocks)
    return LARGEST / (CLIP * largest)


def _root_weight(block: Block) -> float:
    return float(np.sqrt(block.weight / block.width))


def quantise_columns(blocks: Sequence[Block], columns: Columns) -> Whole:
    """Turn columns into whole numbers, int8 of shape (n, columns of all blocks)."""
    unit = unit_length(blocks)
    parts: list[Whole] = []
    for block in blocks:
        projected = project_columns(block, columns[block.columns])
        standardised = projected / block.spread
        bounded = np.clip(standardised, -CLIP, CLIP)
        whole = np.rint(bounded * (unit * _root_weight(block)))
        parts.append(whole.astype(np.int8))
    return np.concatenate(parts, axis=1)


def project_columns(block: Block, values: npt.NDArray[np.floating[Any]]) -> Array:
    """Centre the columns of a block, and project them on its axes if it has any."""
    centred = np.asarray(values, dtype=np.float64) - block.mean
    if not len(block.axes):
        return centred
    # Whole numbers, so that the sums of the product are exact.
    rows = np.rint(centred * AXIS_STEPS)
    axes = np.rint(block.axes * AXIS_STEPS)
    product: Array = rows @ axes.T
    return product / AXIS_STEPS**2


def compute_kernel(
    rows: Whole,
    supports: Whole,
    scale: float,
) -> npt.NDArray[np.float32]:
    """Compute exp(-scale |row - support|^2), float32 of shape (rows, supports)."""
    # |a - b|^2 = a^2 - 2 ab + b^2, each of it a whole number
    kernel = (np.float32(-2) * rows) @ supports.T.astype(np.float32)
    kernel += kernel_sums.square_lengths(rows)[:, None]
    kernel += kernel_sums.square_lengths(supports)
    kernel *= np.float32(-scale)
    np.exp(kernel, out=kernel)
    return kernel


def pack_machine(machine: KernelMachine) -> dict[str, int8_tensors.Array]:
    """Pack a machine as tensors, see `int8_tensors.dump_tensors`."""
    tensors: dict[str, int8_tensors.Array] = {
        "supports": machine.supports,
        "coefficients": machine.coefficients.astype(np.float32),
        "intercept": machine.intercept,
        "gamma": np.array([machine.gamma]),
    }
    for block in machine.blocks:
        tensors[f"{block.name}.mean"] = block.mean.astype(np.float32)
        tensors[f"{block.name}.axes"] = block.axes.astype(np.float32)
        tensors[f"{block.name}.spread"] = block.spread.astype(np.float32)
        tensors[f"{block.name}.weight"] = np.array([block.weight])
    return tensors


def unpack_machine(
    tensors: Mapping[str, int8_tensors.Array],
    names: Sequence[str],
    columns: Sequence[str],
) -> KernelMachine:
    """Unpack what `pack_machine` packed: the blocks' names in order, and of each its columns.

    Raises `KeyError` for a missing tensor, `ValueError` for one of a wrong shape.
    """
    blocks: list[Block] = []
    for name, group in zip(names, columns, strict=True):
        block = Block(
            name,
            group,
            mean=np.asarray(tensors[f"{name}.mean"], dtype=np.float64),
            axes=np.asarray(tensors[f"{name}.axes"], dtype=np.float64),
            spread=np.asarray(tensors[f"{name}.spread"], dtype=np.float64),
            weight=float(tensors[f"{name}.weight"][0]),
        )
        blocks.append(block)
    coefficients = np.asarray(tensors["coefficients"], dtype=np.float64)
    supports = np.asarray(tensors["supports"], dtype=np.int8)
    expected = (len(coefficients), sum(block.width for block in blocks))
    if supports.shape != expected:
        raise ValueError(f"supports has shape {supports.shape}, expected {expected}")
    return KernelMachine(
        tuple(blocks),
        gamma=float(tensors["gamma"][0]),
        supports=supports,
        coefficients=coefficients,
        intercept=np.asarray(tensors["intercept"], dtype=np.float64),
    )
