"""Sums of kernels, in bytes as in float32."""

from pathlib import Path

import numpy as np
import pytest

from tacos.models import kernel_sums
from tacos.models.kernel_sums import KernelSums

SCALE = 1e-5


def whole_numbers(n: int, n_columns: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.integers(-127, 128, (n, n_columns), dtype=np.int8)
    # The largest sums that there are
    rows[0] = 127
    rows[1] = -127
    return rows


def coefficients(n: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(n, 13))


def compute_sums(rows: np.ndarray, supports: np.ndarray) -> np.ndarray:
    differences = rows[:, None].astype(np.float64) - supports
    kernel = np.exp(-SCALE * (differences**2).sum(axis=2))
    return np.asarray(kernel @ coefficients(len(supports)))


@pytest.mark.parametrize("in_bytes", [kernel_sums.sums_bytes_exactly(), False])
@pytest.mark.parametrize("n_columns", [1, 2, 300, 511])
def test_both_ways_give_the_sums_of_the_formula(n_columns: int, in_bytes: bool) -> None:
    rows = whole_numbers(45, n_columns, seed=1)
    supports = whole_numbers(517, n_columns, seed=2)
    sums = KernelSums(supports, coefficients(517), SCALE, in_bytes)
    expected = compute_sums(rows, supports)
    assert sums.sum_rows(rows) == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("in_bytes", [kernel_sums.sums_bytes_exactly(), False])
def test_a_rows_bits_depend_neither_on_its_place_nor_on_its_neighbours(
    in_bytes: bool,
) -> None:
    # Rows near the supports, so that all of many terms count
    supports = whole_numbers(4001, 300, seed=2) // 8
    rows = whole_numbers(200, 300, seed=1) // 8
    sums = KernelSums(supports, coefficients(4001), SCALE, in_bytes)
    whole = sums.sum_rows(rows)
    assert len(np.unique(whole)) > 2000
    for start in range(1, kernel_sums.N_ROWS):
        part = sums.sum_rows(rows[start:])
        assert (part == whole[start:]).all()
    for row in (0, 1, 77, 199):
        assert (sums.sum_rows(rows[row : row + 1]) == whole[row]).all()


def test_no_rows_give_no_sums() -> None:
    sums = KernelSums(whole_numbers(9, 5, seed=2), coefficients(9), SCALE)
    assert sums.sum_rows(np.zeros((0, 5), dtype=np.int8)).shape == (0, 13)


def test_sums_of_bytes_that_overflow_are_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def overflow(sums: KernelSums, rows: np.ndarray) -> np.ndarray:
        """Pairs of products in 16 bits, as a processor without VNNI sums them."""
        unsigned = rows.astype(np.int64) + 128
        # The supports are the rows themselves.
        products = unsigned[:, None] * rows
        pairs = np.clip(products[..., ::2] + products[..., 1::2], -32768, 32767)
        near = pairs.sum(axis=2) - 128 * rows.astype(np.int64).sum(axis=1)
        squares = kernel_sums.square_lengths(rows)
        distances = squares[:, None] + squares - 2 * near
        return np.exp(-distances / (4 * squares[0]))

    monkeypatch.setattr(KernelSums, "sum_rows", overflow)
    assert not kernel_sums.sums_bytes_exactly.__wrapped__()


@pytest.mark.parametrize("in_bytes", [True, False])
def test_the_shipped_graphs_are_what_their_script_builds(in_bytes: bool) -> None:
    graphs = pytest.importorskip(
        "tacos.models.training.kernel_graphs", reason="needs the package onnx"
    )
    built = graphs.build_graph(in_bytes).SerializeToString(deterministic=True)
    path: Path = kernel_sums.GRAPH_OF_BYTES if in_bytes else kernel_sums.GRAPH_OF_FLOATS
    assert built == path.read_bytes()
