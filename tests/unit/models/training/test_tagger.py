"""Training a tagger on a small world of our own, where the truth is known."""

import numpy as np
import pytest

from tacos.errors import ModelError
from tacos.models import tagger, tagger_files
from tacos.models.train import run_training
from tacos.models.training.tagger import (
    TaggerRecipe,
    TagReference,
    encode_rows,
    fit_tagger_model,
    hash_fold,
    keep_largest,
    pick_spellings,
    write_tagger,
)

TASKS = {
    "Summary": "Summarise this text about",
    "Poetry": "Write a poem about",
    "Translation": "Translate this text about",
}
TOPICS = [
    "volcanoes",
    "gardening",
    "chess",
    "violins",
    "taxes",
    "whales",
    "bicycles",
    "cheese",
    "rockets",
    "football",
]
RECIPE = TaggerRecipe(n_landmarks=20, n_folds=3, n_weights=2000, n_epochs=60)


def world() -> tuple[list[str], list[list[str]]]:
    texts, tags = [], []
    for topic in TOPICS:
        for task, words in TASKS.items():
            for ending in ("", " please", ", briefly"):
                texts.append(f"{words} {topic}{ending}.")
                tags.append([task, topic.title()])
    return texts, tags


@pytest.fixture(scope="module")
def made() -> tagger_files.TaggerModel:
    texts, tags = world()
    return fit_tagger_model(
        encode_rows(texts, tags, RECIPE),
        TagReference(pick_spellings(tags)),
        RECIPE,
    )


def test_it_learns_what_is_there_to_learn(made, tmp_path) -> None:
    model = tagger.load(write_tagger(tmp_path, made))
    assert set(model.tag(["Translate this text about whales now."])[0]) == {
        "Translation",
        "Whales",
    }


def test_two_trainings_give_identical_files(made, tmp_path) -> None:
    texts, tags = world()
    again = fit_tagger_model(
        encode_rows(texts, tags, RECIPE),
        TagReference(pick_spellings(tags)),
        RECIPE,
    )
    for name, loaded in (("a", made), ("b", again)):
        write_tagger(tmp_path / name, loaded)
    for file in tagger_files.FILES:
        assert (tmp_path / "a" / file).read_bytes() == (
            tmp_path / "b" / file
        ).read_bytes()


def test_too_little_to_learn_from_is_an_error() -> None:
    rows = encode_rows(["a", "b"], [["X"], ["Y"]], RECIPE)
    with pytest.raises(ModelError, match="too little to learn from"):
        fit_tagger_model(rows, TagReference(), RECIPE)


def test_training_without_the_corpora_says_that_they_are_not_here(capsys) -> None:
    with pytest.raises(SystemExit):
        run_training(["tagger", "--data", "nowhere"])
    assert (
        "the corpora that the cards list are not part of tacos"
        in capsys.readouterr().err
    )


def test_the_largest_weights_stay() -> None:
    kept = keep_largest(np.array([[0.1, -3], [2, 0.2]], dtype=np.float32), 2)
    assert kept.toarray().tolist() == [[0, -3], [2, 0]]


def test_folds_keep_an_instruction_together_and_are_even() -> None:
    folds = [hash_fold(f"text {n}", 5) for n in range(5000)]
    assert folds == [hash_fold(f"text {n}", 5) for n in range(5000)]
    assert all(850 < folds.count(fold) < 1150 for fold in range(5))


def test_a_tag_is_written_as_most_write_it() -> None:
    assert pick_spellings([["SQL"], ["Sql", "sql"], ["SQL"]]) == {"sql": "SQL"}
