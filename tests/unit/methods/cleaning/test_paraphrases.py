"""Rows that say the same in other words, by their vectors."""

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from tacos.methods.cleaning import paraphrases
from tacos.methods.cleaning.paraphrases import ParaphraseFinder, hash_details

Vectors = npt.NDArray[np.float32]


def make_vectors(
    rng: np.random.Generator, n: int, spread: float
) -> tuple[Vectors, Vectors]:
    """Questions and answers around a few common points."""
    points = rng.normal(size=(n // 4, 12))
    sides = []
    of_row = rng.integers(len(points), size=n)
    for _ in range(2):
        vectors = points[of_row] + spread * rng.normal(size=(n, 12))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        sides.append(vectors.astype(np.float16).astype(np.float32))
    return sides[0], sides[1]


def find_plainly(
    questions: Vectors, answers: Vectors, keys: npt.NDArray[np.uint64]
) -> dict[int, int]:
    """Row -> the first earlier row that it repeats and that repeats none, pair by pair."""
    found: dict[int, int] = {}
    for row in range(len(keys)):
        for other in range(row):
            cosine = min(
                questions[row] @ questions[other], answers[row] @ answers[other]
            )
            is_alike = cosine >= 0.94 and keys[row] == keys[other]
            if is_alike and other not in found:
                found[row] = other
                break
    return found


@pytest.mark.parametrize("seed", range(4))
def test_what_is_found_is_nearly_what_a_comparison_of_all_pairs_finds(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So small that neighbourhoods have several blocks.
    monkeypatch.setattr(paraphrases, "BLOCK", 16)
    rng = np.random.default_rng(seed)
    questions, answers = make_vectors(rng, 400, spread=0.15)
    keys = rng.integers(2, size=400).astype(np.uint64)
    expected = find_plainly(questions, answers, keys)
    assert len(expected) > 100

    finder = ParaphraseFinder(dim=12)
    for part in np.array_split(np.arange(400), 7):
        finder.add(questions[part], answers[part], keys[part])
    found = {each.row: each.original for each in finder.find()}
    assert len(found.keys() & expected.keys()) >= 0.95 * len(expected)
    for row, original in found.items():
        assert original < row
        assert original not in found
        assert questions[row] @ questions[original] >= 0.9399
        assert answers[row] @ answers[original] >= 0.9399
        assert keys[row] == keys[original]


def test_numbers_and_signs_make_keys() -> None:
    questions = pl.Series(
        ["Add 3 and 4.", "The sum of 4 and 3?", "Add 3 and 5.", "Is 3 < 4?", "Hello"]
    )
    answers = pl.Series(["7", "It is 7.", "8", "Yes, 7.", "Hi"])
    keys = hash_details(questions, answers).tolist()
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4


def test_in_code_every_mark_is_part_of_the_key() -> None:
    questions = pl.Series(
        [
            "Fix this: if (n == 1) { return 1; }",
            "Repair: if (n == 1) { return 1; }",
            "Fix this: if n == 1) { return 1; }",
            "Hello, you!",
            "Hello you",
        ]
    )
    keys = hash_details(questions, pl.Series(["Done"] * 5)).tolist()
    assert keys[0] == keys[1] != keys[2]
    assert keys[3] == keys[4]


def test_no_rows_have_no_paraphrases() -> None:
    assert ParaphraseFinder(dim=4).find() == []
