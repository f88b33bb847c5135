"""A vocabulary goes out, comes back, and takes in new data."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from tacos.config import NormaliseSettings
from tacos.errors import InputError
from tacos.methods.tags import normalisation, published_vocabulary
from tacos.methods.tags.overrides import Overrides
from tacos.methods.tags.published_vocabulary import PublishedVocabulary

COUNTS = {"Poem": 9, "poems": 3, "Mathematics": 8, "Python": 5, "request": 7, "rare": 1}


@dataclass(frozen=True)
class Letters:
    """An encoder by the letters of a text: anagrams are the same to it."""

    name: str = "letters"
    fingerprint: str = "letters"
    dim: int = 26

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        rows = [[text.count(chr(97 + i)) for i in range(26)] for text in texts]
        vectors = np.array(rows, dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def known() -> PublishedVocabulary:
    settings = NormaliseSettings(alpha=2, guard=0, semantic="off", association="off")
    found = normalisation.build_vocabulary(
        COUNTS, None, 20, settings, overrides=Overrides(drop=("request",))
    )
    return published_vocabulary.publish_vocabulary(
        found.vocabulary, 20, found.alpha, settings, "letters"
    )


def test_a_round_trip_through_json_changes_nothing(known: PublishedVocabulary) -> None:
    back = published_vocabulary.vocabulary_from_json(
        json.loads(json.dumps(published_vocabulary.vocabulary_to_json(known)))
    )
    assert back.table.equals(known.table)
    assert (
        back.n_samples,
        back.alpha,
        back.eps,
        back.signs,
        back.guard,
        back.encoder,
    ) == (
        20,
        2,
        0.05,
        True,
        0,
        "letters",
    )


def test_the_file_is_readable(known: PublishedVocabulary) -> None:
    value = published_vocabulary.vocabulary_to_json(known)
    assert value["tags"]["Poem"] == {"Poem": 9, "poems": 3}
    assert value["dropped"] == {"request": 7}


def test_new_tags_are_found_exactly_then_by_words_then_by_meaning_else_they_are_new(
    known: PublishedVocabulary,
) -> None:
    new = pl.DataFrame(
        {
            "tag": [
                "Poem",
                "poems",
                "POEM!",
                "mathematics mathematics",
                "rare",
                "Requests",
            ],
            "count": 1,
        }
    )
    found = published_vocabulary.resolve_new_tags(new, known, Letters())
    assert {
        row["raw"]: (row["canonical"], row["step"])
        for row in found.iter_rows(named=True)
    } == {
        "Poem": ("Poem", ""),
        "poems": ("Poem", "exact"),
        "POEM!": ("Poem", "rules"),
        "mathematics mathematics": ("Mathematics", "semantic"),
        "rare": (None, "new"),
        "Requests": (None, "rules"),
    }


def test_without_an_encoder_nothing_is_looked_up_by_meaning(
    known: PublishedVocabulary,
) -> None:
    found = published_vocabulary.resolve_new_tags(
        pl.DataFrame({"tag": ["mathematics mathematics"], "count": [1]}), known
    )
    assert found["step"].to_list() == ["new"]


def test_the_data_that_a_vocabulary_came_from_maps_as_it_did(
    known: PublishedVocabulary,
) -> None:
    counts = pl.DataFrame({"tag": list(COUNTS), "count": list(COUNTS.values())})
    found = dict(
        published_vocabulary.resolve_new_tags(counts, known, Letters())
        .select("raw", "canonical")
        .iter_rows()
    )
    assert found == dict(known.table.select("raw", "canonical").iter_rows()) | {
        "rare": None
    }


def test_a_guard_holds_for_new_tags_too() -> None:
    settings = NormaliseSettings(alpha=1, guard=0.9, semantic="off", association="off")
    found = normalisation.build_vocabulary({"generic": 5}, None, 5, settings, Letters())
    known = published_vocabulary.publish_vocabulary(
        found.vocabulary, 5, 1, settings, "letters"
    )
    new = pl.DataFrame({"tag": ["generics", "generation", "GENERIC"], "count": 1})
    steps = (
        published_vocabulary.resolve_new_tags(new, known, Letters())
        .select("raw", "step")
        .rows()
    )
    assert steps == [("GENERIC", "rules"), ("generation", "new"), ("generics", "rules")]


def test_drift_counts_occurrences(known: PublishedVocabulary) -> None:
    new = pl.DataFrame(
        {"tag": ["Poem", "POEM", "SQL", "odd", "request"], "count": [4, 2, 3, 1, 2]}
    )
    found = published_vocabulary.measure_drift(
        published_vocabulary.resolve_new_tags(new, known, Letters()), known
    )
    assert (found.n_distinct, found.n_occurrences) == (5, 12)
    assert found.share_exact == pytest.approx(4 / 12)
    assert found.share_rules == pytest.approx(2 / 12)
    assert found.share_dropped == pytest.approx(2 / 12)
    assert found.share_new == pytest.approx(4 / 12)
    assert found.share_new_distinct == pytest.approx(2 / 5)
    assert found.share_unseen == pytest.approx(2 / 3), "Mathematics and Python of three"
    assert found.shift == pytest.approx(13 / 25), "12 of 25 were Poem, all are now"
    assert found.new_frequent.rows() == [("SQL", 3)], "seen at least alpha = 2 times"


def test_a_vocabulary_that_knows_none_of_the_tags_is_an_error(
    known: PublishedVocabulary,
) -> None:
    with pytest.raises(InputError, match="none of the 2 tags is in the vocabulary"):
        published_vocabulary.summarise_drift(
            published_vocabulary.resolve_new_tags(
                pl.DataFrame({"tag": ["SQL", "Zebra"], "count": [4, 2]}),
                known,
                Letters(),
            ),
            known,
        )


def test_another_encoder_than_the_vocabulary_was_made_with_is_remarked_on(
    known: PublishedVocabulary,
) -> None:
    resolved = published_vocabulary.resolve_new_tags(
        pl.DataFrame({"tag": ["Poem"], "count": [1]}), known, Letters()
    )
    assert (
        published_vocabulary.summarise_drift(resolved, known, "letters")["remarks"]
        == []
    )
    assert published_vocabulary.summarise_drift(resolved, known)["remarks"] == []
    assert (
        "made with the encoder letters, and tags are looked up with words"
        in (
            published_vocabulary.summarise_drift(resolved, known, "words")["remarks"][0]
        )
    )


def test_drift_of_nothing_is_an_error(known: PublishedVocabulary) -> None:
    with pytest.raises(InputError, match="no tags to compare"):
        published_vocabulary.measure_drift(
            published_vocabulary.resolve_new_tags(
                pl.DataFrame({"tag": [], "count": []}), known
            ),
            known,
        )


GOOD = {
    "format": "tacos-vocabulary",
    "version": 1,
    "n_samples": 1,
    "alpha": 1,
    "eps": 0.05,
    "signs": True,
    "guard": 0.0,
    "encoder": "",
}


@pytest.mark.parametrize(
    "value, message",
    [
        ([], "not a vocabulary"),
        ({"format": "other"}, "not a vocabulary"),
        (GOOD | {"version": 9}, "version 9"),
        (GOOD, "cannot be read: it has no field 'tags'"),
        (
            GOOD | {"tags": {"a": ["b"]}},
            "'tags' is not an object of raw tags and counts",
        ),
        (
            GOOD | {"tags": {"a": None}},
            "'tags' is not an object of raw tags and counts",
        ),
        (GOOD | {"tags": {"a": {"b": "many"}}}, "'many' as the count of 'b'"),
        (GOOD | {"tags": {"a": {"b": -1}}}, "-1 as the count of 'b'"),
        (GOOD | {"tags": {"a": {"b": 2.5}}}, "2.5 as the count of 'b'"),
        (GOOD | {"tags": {" ": {"b": 2}}}, "'tags' has an empty name"),
        (GOOD | {"tags": {}, "dropped": ["b"]}, "'dropped' is not an object"),
        (GOOD | {"tags": {}, "eps": "big"}, "cannot be read: could not convert"),
        (GOOD | {"tags": {}, "eps": float("nan")}, "out of range"),
        (GOOD | {"tags": {}, "n_samples": -1}, "out of range"),
        (
            GOOD | {"tags": {"a": {"b": 1}, "c": {"b": 1}}},
            "gives the raw tag 'b' two canonical tags",
        ),
    ],
)
def test_a_file_that_is_no_vocabulary_is_one_clear_error(
    value: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        published_vocabulary.vocabulary_from_json(value)
