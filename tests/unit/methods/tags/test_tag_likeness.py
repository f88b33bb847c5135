"""The learned merging step: what it reads of a pair, what it never merges, and its weights."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tacos.config import NormaliseSettings
from tacos.methods.tags import normalisation, tag_likeness, tag_words
from tacos.models import encoder
from tacos.models.training import tag_likeness as training
from tacos.records import TAG_PAIRS, Encoder

BENCHMARKS = Path(__file__).parents[4] / "benchmarks"
PAIRS = BENCHMARKS / "tag_pairs.jsonl"


@pytest.fixture(scope="module")
def minilm() -> Encoder:
    return encoder.load("minilm")


def features(left: str, right: str, cosine: float = 0.9) -> dict[str, float]:
    table = pl.DataFrame([(left, right, cosine)], TAG_PAIRS, orient="row")
    words = tag_likeness.read_pairs(table, signs=True)
    measured = tag_likeness.measure_words(words, np.array([cosine]))
    return dict(zip(tag_likeness.FEATURES, measured[0].tolist(), strict=True))


def excluded(left: str, right: str) -> bool:
    table = pl.DataFrame([(left, right, 0.99)], TAG_PAIRS, orient="row")
    return tag_likeness.is_excluded(tag_likeness.read_pairs(table, signs=True)[0])


def merges(minilm: Encoder, *tags: str) -> dict[str, str | None]:
    counts = {tag: len(tags) - place for place, tag in enumerate(tags)}
    settings = NormaliseSettings(alpha=1, association="off")
    found = normalisation.build_vocabulary(counts, None, 1, settings, minilm)
    return {raw: name for raw, name in found.mapping.items() if raw != name}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Spanish to English", "English to Spanish"),
        ("French Language", "Spanish Language"),
        ("C Programming", "C++ Programming"),
        ("19th Century", "20th Century"),
        ("One Sentence", "Two Sentences"),
        ("Formal Tone", "Informal Tone"),
        ("Advantages", "Disadvantages"),
        ("Ascending Order", "Descending Order"),
        ("Strategy Games", "Game Strategy"),
    ],
)
def test_other_kinds_opposites_and_directions_are_never_merged(
    left: str, right: str
) -> None:
    assert excluded(left, right)
    assert excluded(right, left)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("History of Science", "Science History"),
        ("20th Century", "Twentieth Century"),
        ("Film", "Movies"),
        ("Recipe Creation", "Recipe Generation"),
        ("Saving Money", "Money Saving"),
    ],
)
def test_other_words_for_the_same_may_be_merged(left: str, right: str) -> None:
    assert not excluded(left, right)
    assert features(left, right)["equal"] == 1


def test_words_that_change_places_are_told_unless_of_stands_between() -> None:
    assert features("Writing Advice", "Advice Writing")["turned"] == 1
    assert features("Science History", "History of Science")["turned"] == 0


def test_a_word_more_is_told_by_what_it_adds() -> None:
    assert features("Summarization", "Text Summarization")["one has empty words"] == 1
    assert features("Rules", "Football Rules")["one has more"] == 1
    assert features("French", "French Language")["equal"] == 1
    assert features("For Loop", "Loops")["equal"] == 0


def test_every_feature_has_a_weight() -> None:
    assert tuple(tag_likeness.WEIGHTS) == tag_likeness.FEATURES


def test_the_weights_are_those_that_the_judgements_give(minilm: Encoder) -> None:
    fitted = training.fit_shipped(training.read_pairs(PAIRS, minilm))
    assert fitted.bias == pytest.approx(tag_likeness.BIAS, abs=0.02)
    weights = list(tag_likeness.WEIGHTS.values())
    assert fitted.weights.tolist() == pytest.approx(weights, abs=0.02)


def test_it_finds_more_than_the_cosine_and_is_right_more_often(minilm: Encoder) -> None:
    pairs = training.read_pairs(PAIRS, minilm)
    chances = training.cross_validate(pairs)
    is_same = pairs.same > 0.5
    merged = chances >= tag_likeness.THRESHOLD
    n_merged = int(merged.sum())
    nearest = np.argsort(-pairs.features[:, 0], kind="stable")[:n_merged]
    assert is_same[merged].mean() > 0.8
    assert is_same[merged].mean() > is_same[nearest].mean() + 0.1


def test_a_chance_that_cannot_reach_the_threshold_is_not_computed(
    minilm: Encoder,
) -> None:
    rows = [("Essay Writing", "Essay Grading", 0.7), ("Film", "Movies", 0.8)]
    table = pl.DataFrame(rows, TAG_PAIRS, orient="row")
    whole = tag_likeness.estimate_chances(table, minilm, signs=True)
    cut = tag_likeness.estimate_chances(table, minilm, True, tag_likeness.THRESHOLD)
    likely = whole >= tag_likeness.THRESHOLD
    assert cut[likely].tolist() == whole[likely].tolist()
    assert (cut[~likely] <= whole[~likely]).all()


def test_tags_go_to_the_most_frequent_that_means_the_same(minilm: Encoder) -> None:
    found = merges(
        minilm, "Recipe Creation", "Recipe Writing", "Cooking", "Recipe Generation"
    )
    assert found == {
        "Recipe Writing": "Recipe Creation",
        "Recipe Generation": "Recipe Creation",
    }


def test_planted_pairs_stay_apart(minilm: Encoder) -> None:
    lines = (BENCHMARKS / "planted_tag_pairs.tsv").read_text("utf-8").splitlines()
    planted = [line.split("\t") for line in lines]
    names = list(dict.fromkeys(name for pair in planted for name in pair))
    moved = merges(minilm, *names)
    together = [
        pair for pair in planted if len({moved.get(name, name) for name in pair}) == 1
    ]
    assert len(planted) == 200
    assert len(together) <= 10


def test_words_are_read_by_what_they_stand_for() -> None:
    assert tag_words.read_concept("movies") == tag_words.read_concept("film")
    assert tag_words.is_number("3d")
    assert not tag_words.is_number("tree")
