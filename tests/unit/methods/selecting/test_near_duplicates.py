"""Near-duplicates are what a comparison with every row taken finds, in whatever blocks."""

from collections.abc import Sequence

import numpy as np
import pytest

from tacos.methods.selecting import near_duplicates
from tacos.methods.selecting.near_duplicates import NearDuplicates


def make_vectors(seed: int, n: int = 120) -> np.ndarray:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n, 3)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(6))
def test_blocks_and_order_change_nothing(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_duplicates, "BLOCK", 7)
    monkeypatch.setattr(near_duplicates, "TAKEN_BLOCK", 5)
    vectors = make_vectors(seed)
    found = NearDuplicates(lambda rows: vectors[list(rows)], 0.9)
    rng = np.random.default_rng(seed)
    # Only some rows are foreseen, and in another order.
    found.foresee(rng.permutation(120)[:60].tolist())
    taken: list[int] = []
    for row in rng.permutation(120).tolist():
        cosines = vectors[taken] @ vectors[row]
        is_far = not taken or float(cosines.max()) <= 0.9
        assert found.admits(row) is is_far
        if is_far:
            found.take(row)
            taken.append(row)
        else:
            nearest = found.refused[row]
            assert nearest.row == taken[int(cosines.argmax())]
            assert nearest.cosine == pytest.approx(float(cosines.max()), abs=1e-6)


def test_rows_that_nobody_asks_about_are_not_encoded() -> None:
    vectors = make_vectors(1)
    encoded: list[int] = []

    def encode(rows: Sequence[int]) -> np.ndarray:
        encoded.extend(rows)
        return vectors[list(rows)]

    found = NearDuplicates(encode, 0.9)
    found.foresee([3, 4, 5])
    found.take(1)
    found.admits(4)
    found.admits(5)
    found.admits(7)
    assert encoded == [1, 4, 5, 7]


def test_a_vector_of_zeros_is_like_no_other() -> None:
    zeros = np.zeros((3, 2), np.float32)
    found = NearDuplicates(lambda rows: zeros[list(rows)], 0.5)
    found.take(0)
    assert found.admits(1)
    assert not found.refused
