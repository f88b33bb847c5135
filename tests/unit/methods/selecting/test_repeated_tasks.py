"""Rows are refused for the row taken that asks the same and is nearest, however they are asked."""

from collections.abc import Sequence

import numpy as np
import pytest

from tacos.methods.selecting.repeated_tasks import RepeatedTasks


@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_a_comparison_of_all_pairs_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((80, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    keys = [[bytes([key]) for key in rng.integers(12, size=2)] for _ in range(80)]
    encoded: set[int] = set()

    def encode(rows: Sequence[int]) -> np.ndarray:
        encoded.update(rows)
        return vectors[list(rows)].astype(np.float32)

    found = RepeatedTasks(lambda row: keys[row], encode, 0.5)
    taken: list[int] = []
    compared: set[int] = set()
    for row in rng.permutation(80).tolist():
        others = [other for other in taken if set(keys[other]) & set(keys[row])]
        cosines = [float(vectors[other] @ vectors[row]) for other in others]
        compared |= {row, *others} if others else set()
        is_far = max(cosines, default=-1) <= 0.5
        assert found.admits(row) is is_far
        if is_far:
            found.take(row)
            taken.append(row)
        else:
            assert found.refused[row].row == others[int(np.argmax(cosines))]
    # Rows that share a key with none are not encoded.
    assert encoded == compared
    assert found.refused
