"""Products of whole numbers are exact, in bytes as in float32."""

import numpy as np
import pytest

from tacos.models import whole_products


def matrices(n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    left = rng.integers(-127, 128, (33, n_columns), dtype=np.int8)
    right = rng.integers(-127, 128, (n_columns, 517), dtype=np.int8)
    # The largest sums that there are
    left[0] = 127
    left[1] = -127
    right[:, 0] = 127
    right[:, 1] = -127
    return left, right


@pytest.mark.parametrize("n_columns", [1, 2, 300, 511])
def test_both_ways_give_the_exact_product(n_columns: int) -> None:
    left, right = matrices(n_columns)
    expected = -2 * (left.astype(np.int64) @ right.astype(np.int64))
    in_floats = whole_products.multiply_whole(left, right.astype(np.float32), -2)
    assert (in_floats == expected).all()
    prepared = whole_products.prepare_right(right)
    assert (whole_products.multiply_whole(left, prepared, -2) == expected).all()


def test_no_rows_give_no_products() -> None:
    left, right = matrices(5)
    prepared = whole_products.prepare_right(right)
    assert whole_products.multiply_whole(left[:0], prepared, 1).shape == (0, 517)


def test_float32_stands_in_where_bytes_overflow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(whole_products, "sums_bytes_exactly", lambda: False)
    _, right = matrices(300)
    assert whole_products.prepare_right(right).dtype == np.float32


def test_a_product_that_overflows_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def overflow(left: np.ndarray, right: np.ndarray, factor: float) -> np.ndarray:
        """Pairs of products in 16 bits, as a processor without VNNI sums them."""
        unsigned = left.astype(np.int64) + 128
        products = unsigned[:, :, None] * right
        pairs = np.clip(products[:, ::2] + products[:, 1::2], -32768, 32767)
        offset = 128 * right.astype(np.int64).sum(axis=0)
        return np.asarray(pairs.sum(axis=1) - offset, dtype=np.float32)

    monkeypatch.setattr(whole_products, "_multiply_bytes", overflow)
    assert not whole_products.sums_bytes_exactly.__wrapped__()


def test_the_shipped_graph_is_what_its_script_builds() -> None:
    graph = pytest.importorskip(
        "tacos.models.training.products_graph", reason="needs the package onnx"
    )
    built = graph.build_graph().SerializeToString(deterministic=True)
    assert built == whole_products.GRAPH.read_bytes()
