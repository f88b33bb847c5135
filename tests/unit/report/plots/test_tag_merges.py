"""Merges of tags, the doubtful ones first: wrong ones that are planted are found at the top."""

import polars as pl
import pytest

from tacos.methods.tags import tag_likeness
from tacos.models import encoder
from tacos.records import VOCABULARY, Encoder
from tacos.report.plots import tag_merges

RIGHT = [
    ("Poem Writing", "Poetry Writing", "semantic"),
    ("Recipes", "Recipe", "rules"),
    ("Math", "Mathematics", "semantic"),
    ("Text Summarisation", "Text Summarization", "rules"),
    ("Movies", "Films", "semantic"),
]
WRONG = [
    ("Formal Tone", "Informal Tone", "match"),
    ("Python Programming", "Java Programming", "match"),
    ("Gardening", "Tax Law", "match"),
    ("French to English", "English to French", "match"),
]
BY_HAND = ("Physics", "Science", "override", "override: merged into 'Science' by hand")


@pytest.fixture(scope="module")
def minilm() -> Encoder:
    """The encoder that the likeness is fitted to."""
    return encoder.load(tag_likeness.ENCODER)


def make_vocabulary() -> pl.DataFrame:
    """Right and wrong merges, one by hand, a tag that stayed and one that was dropped."""
    rows = [
        (raw, count, canonical, step, f"{step}: it said so", [])
        for count, (raw, canonical, step) in enumerate([*RIGHT, *WRONG], start=5)
    ]
    raw, canonical, step, reason = BY_HAND
    rows.append((raw, 9, canonical, step, reason, []))
    rows.append(("Science", 20, "Science", "", "", []))
    rows.append(("Rare", 1, None, "frequency", "frequency: seen once", []))  # type: ignore[arg-type]
    return pl.DataFrame(rows, VOCABULARY, orient="row")


def test_wrong_merges_come_first_and_are_called_doubtful(minilm: Encoder) -> None:
    merges = tag_merges.rank_merges(make_vocabulary(), minilm, signs=True)
    n_wrong = len(WRONG)
    assert set(merges["raw"][:n_wrong]) == {raw for raw, _, _ in WRONG}
    assert merges["is_doubtful"].to_list() == [True] * n_wrong + [False] * 6
    assert merges["raw"][-1] == BY_HAND[0], "what a person decided is not doubted"
    assert merges.columns == tag_merges.MERGES.names()


def test_every_merge_is_listed_and_nothing_else(minilm: Encoder) -> None:
    merges = tag_merges.rank_merges(make_vocabulary(), minilm, signs=True)
    table = tag_merges.tabulate_merges(merges)
    expected = {raw for raw, _, _ in [*RIGHT, *WRONG]} | {BY_HAND[0]}
    assert {row[0] for row in table.rows} == expected
    cells = next(row for row in table.rows if row[0] == "Formal Tone")
    assert cells[1:6] == ("Informal Tone", "10", "match", "0%", "formal / informal")


def test_a_sentence_says_how_many_look_wrong_and_names_them(minilm: Encoder) -> None:
    merges = tag_merges.rank_merges(make_vocabulary(), minilm, signs=True)
    text = tag_merges.describe_merges(merges)
    assert text.startswith(
        "10 raw tags became another tag; 4 of the merges look doubtful"
    )
    assert "Gardening -> Tax Law (0%)" in text
    assert "Of 1 it was not estimated" in text


def test_a_sentence_names_spellings_of_one_merge_once(minilm: Encoder) -> None:
    spellings = [
        (raw, 9, "Tax Law", "match", "match: same", [])
        for raw in ("Gardening", "gardening", "GARDENING")
    ]
    merges = tag_merges.rank_merges(
        pl.DataFrame(spellings, VOCABULARY, orient="row"), minilm, signs=True
    )
    text = tag_merges.describe_merges(merges)
    assert text.lower().count("gardening -> tax law") == 1
    assert "1 of the merges looks doubtful" in text


def test_only_the_most_frequent_are_estimated(
    minilm: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tag_merges, "N_ESTIMATED", 3)
    merges = tag_merges.rank_merges(make_vocabulary(), minilm, signs=True)
    assert merges["chance"].count() == 3
    assert merges.height == 10
    monkeypatch.setattr(tag_merges, "N_LISTED", 4)
    table = tag_merges.tabulate_merges(merges)
    assert len(table.rows) == 4
    assert table.caption.startswith("4 of 10 merges")


def test_a_vocabulary_without_merges(minilm: Encoder) -> None:
    kept = make_vocabulary().filter(pl.col("raw") == "Science")
    merges = tag_merges.rank_merges(kept, minilm, signs=True)
    assert merges.is_empty()
    assert tag_merges.describe_merges(merges) == "No tag was merged into another."
    assert tag_merges.tabulate_merges(merges).rows == []
