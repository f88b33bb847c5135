"""Words with several meanings, planted where they mean something else."""

import numpy as np

from tacos.models.training.planted_words import (
    find_loud_words,
    plant_words,
    read_ambiguous_stems,
)

TEXTS = [
    "Describe the daily life of a lonely goldfish",
    "Name a river.",
    "Explain to me how the python sheds its skin every month",
]
TOKENS = [text.lower().rstrip(".").split() for text in TEXTS]


def test_the_list_holds_stems() -> None:
    assert {"python", "machin", "capit"} <= read_ambiguous_stems()


def test_only_loud_words_with_several_meanings_are_planted() -> None:
    n_grams = ["python", "machine", "photosynthesis", "a python"]
    loudness = np.array([5.0, 0.5, 5.0, 5.0], dtype=np.float32)
    assert find_loud_words(n_grams, loudness) == ["python"]


def test_short_texts_and_texts_with_the_word_are_left_alone() -> None:
    planted = plant_words(["python"], TEXTS, TOKENS, {}, n_per_word=3, seed=0)
    assert [one.row for one in planted] == [0]
    assert "python" in planted[0].text


def test_common_words_stay() -> None:
    common = dict.fromkeys(TOKENS[0], 1.0)
    assert (
        plant_words(["bat"], TEXTS[:1], TOKENS[:1], common, n_per_word=1, seed=0) == []
    )
