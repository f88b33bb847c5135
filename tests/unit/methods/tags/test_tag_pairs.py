"""Candidate pairs: near vectors, shared words, initials."""

import numpy as np
import polars as pl
import pytest

from tacos.methods.tags import tag_pairs
from tacos.methods.tags.tag_pairs import find_candidate_pairs, limit_pairs
from tacos.records import TAG_PAIRS


def at_angles(*angles: float) -> np.ndarray:
    """Unit vectors in the plane."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def pairs(names: list[str], vectors: np.ndarray) -> list[tuple[str, str]]:
    found = find_candidate_pairs(names, vectors, signs=True)
    assert found.schema == TAG_PAIRS
    return list(found.select("left", "right").iter_rows())


def test_near_tags_are_a_pair_and_others_are_not() -> None:
    names = ["b", "a", "c"]
    vectors = at_angles(0.0, np.arccos(0.7), np.pi / 2 + np.arccos(0.7))
    assert pairs(names, vectors) == [("a", "b")]


def test_a_shared_word_lets_tags_be_farther_apart() -> None:
    vectors = at_angles(0.0, np.arccos(0.5))
    assert pairs(["Essay Writing", "Written Text"], vectors) == []
    assert pairs(["Essay Writing", "Essays"], vectors) == [("Essay Writing", "Essays")]


def test_initials_are_a_pair_at_any_distance() -> None:
    vectors = at_angles(0.0, np.pi / 2)
    names = ["NLP", "Natural Language Processing"]
    assert pairs(names, vectors) == [("NLP", "Natural Language Processing")]


def test_a_tag_without_words_is_in_no_pair() -> None:
    vectors = np.zeros((2, 2), np.float32)
    assert pairs(["🎉", "!"], vectors) == []


def test_each_tag_keeps_its_nearest() -> None:
    names = [f"t{number:02}" for number in range(30)]
    vectors = at_angles(*(number * 0.001 for number in range(30)))
    found = pairs(names, vectors)
    # the tags at one end have no others that are nearer to them
    assert ("t00", "t10") in found
    assert ("t00", "t20") not in found
    for name in names:
        assert sum(name in pair for pair in found) >= tag_pairs.N_NEAREST


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(100, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [f"{number % 7} {number}" for number in range(100)]
    whole = pairs(names, vectors)
    monkeypatch.setattr(tag_pairs, "BLOCK", 7)
    assert pairs(names, vectors) == whole


def test_the_limit_keeps_near_pairs_of_frequent_tags() -> None:
    table = pl.DataFrame(
        [("a", "b", 0.9), ("a", "c", 0.7), ("c", "d", 0.9)], TAG_PAIRS, orient="row"
    )
    counts = {"a": 50, "b": 40, "c": 30, "d": 1}
    kept = limit_pairs(table, counts, 2)
    assert list(kept.select("left", "right").iter_rows()) == [("a", "b"), ("a", "c")]
    assert limit_pairs(table, counts, 3).equals(table)
