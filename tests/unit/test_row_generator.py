"""The row generator of the benchmarks: seeded, of Alpaca's lengths, with the duplicates it says."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from benchmarks.row_generator import TOPICS, generate_rows, vary_row

ROWS = list(generate_rows(3_000, seed=3))


def count_words(text: str) -> int:
    return len(text.split())


def test_equal_seeds_give_equal_rows_whatever_the_number() -> None:
    assert list(islice(generate_rows(5_000, seed=3), 3_000)) == ROWS
    assert next(generate_rows(1, seed=4)) != ROWS[0]


def test_lengths_are_alpacas() -> None:
    new = [generated.row for generated in ROWS if generated.kind == "new"]
    outputs = [count_words(row["output"]) for row in new]
    assert 26 <= np.median(outputs) <= 34
    assert 90 <= np.quantile(outputs, 0.9) <= 108
    assert 0.37 <= np.mean([row["input"] != "" for row in new]) <= 0.43


def test_every_topic_occurs() -> None:
    assert {generated.topic for generated in ROWS} == set(TOPICS)


def test_duplicates_name_the_row_that_they_repeat() -> None:
    kinds = Counter(generated.kind for generated in ROWS)
    assert set(kinds) == {"new", "exact", "case", "word", "order"}
    for number, generated in enumerate(ROWS):
        if generated.kind == "new":
            assert generated.original is None
            continue
        assert generated.original is not None
        assert generated.original < number
        original = ROWS[generated.original]
        assert original.kind == "new"
        assert (generated.row == original.row) == (generated.kind == "exact")


@pytest.mark.parametrize(
    "kind, output",
    [
        ("exact", "One, two. Three."),
        ("case", "oNE; TWO!  tHREE"),
        ("order", "Three. One, two."),
    ],
)
def test_variants(kind: str, output: str) -> None:
    row = {"instruction": "Count.", "input": "", "output": "One, two. Three."}
    varied = vary_row(row, kind, np.random.default_rng(1))
    assert varied is not None
    assert varied["output"] == output


def test_a_variant_by_word_differs_in_one_word() -> None:
    row = {"instruction": "Count.", "input": "", "output": "one two three"}
    varied = vary_row(row, "word", np.random.default_rng(1))
    assert varied is not None
    pairs = zip(varied["output"].split(), row["output"].split(), strict=True)
    assert sum(new != old for new, old in pairs) == 1


def test_one_sentence_has_no_other_order() -> None:
    row = {"instruction": "Count.", "input": "", "output": "one two three."}
    assert vary_row(row, "order", np.random.default_rng(1)) is None
