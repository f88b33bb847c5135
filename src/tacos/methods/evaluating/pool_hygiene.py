"""Finds the rows of a pool that evaluation items repeat, exactly or nearly, or that contain them.

A model that was trained on a question of the test set, or nearly on it, has seen what it is asked.
Such rows leave the pool before any arm is drawn, so that they favour none. Questions are compared
with questions: the answer of a test set is not always there, and another one to the same question
gives it away as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import polars as pl

from tacos.methods.cleaning.contamination import Prompt, PromptIndex, split_words
from tacos.methods.cleaning.near_duplicates import NearDuplicateFinder
from tacos.methods.cleaning.normalised_texts import normalise_text

Likeness = Literal["the same", "nearly the same", "contained"]


class EvaluationCopy(NamedTuple):
    """A row of the pool, the set and item that it repeats, and how."""

    row: int
    source: str
    item: int
    likeness: Likeness


def find_evaluation_copies(
    questions: pl.Series,
    test_sets: Mapping[str, Sequence[str]],
) -> list[EvaluationCopy]:
    """The rows of the pool, by ascending number, whose question is one of a test set's.

    `questions` are those of the pool (instruction and input), in the order of its rows, none null;
    `test_sets` are the questions of each set by its name. A row that repeats an item exactly is not
    compared any further, and one that repeats it nearly is not searched for parts.

    Raises `ConfigError` where rensa is missing.
    """
    items = _list_items(test_sets)
    texts = [item.text for item in items]
    copies: dict[int, EvaluationCopy] = {}
    for likeness, find_copies in _FINDERS.items():
        rows = [row for row in range(len(questions)) if row not in copies]
        repeated = find_copies(questions.gather(rows), texts)
        for place, number in repeated.items():
            item = items[number]
            row = rows[place]
            copies[row] = EvaluationCopy(row, item.source, item.number, likeness)
    return [copies[row] for row in sorted(copies)]


def count_copies(copies: Sequence[EvaluationCopy]) -> dict[str, dict[Likeness, int]]:
    """How many rows each test set takes out of the pool, by likeness."""
    counts: dict[str, Counter[Likeness]] = {}
    for copy in copies:
        counts.setdefault(copy.source, Counter())[copy.likeness] += 1
    return {source: dict(counter) for source, counter in counts.items()}


class _Item(NamedTuple):
    """A question of a test set."""

    source: str
    number: int
    text: str


def _list_items(test_sets: Mapping[str, Sequence[str]]) -> list[_Item]:
    """The questions of all test sets; of equal ones the first, lest each be looked for again."""
    items: dict[str, _Item] = {}
    for source, texts in test_sets.items():
        for number, text in enumerate(texts):
            key = normalise_text(text)
            if key:
                items.setdefault(key, _Item(source, number, text))
    return [*items.values()]


def _find_same(questions: pl.Series, texts: Sequence[str]) -> dict[int, int]:
    """The place of each question that is a text but for case, punctuation and spaces."""
    numbers = {normalise_text(text): number for number, text in enumerate(texts)}
    found = {}
    for place, question in enumerate(questions):
        number = numbers.get(normalise_text(question))
        if number is not None:
            found[place] = number
    return found


def _find_near(questions: pl.Series, texts: Sequence[str]) -> dict[int, int]:
    """The place of each near-duplicate of a text, and the number of the text."""
    found: dict[int, int] = {}
    numbers = list(range(len(texts)))
    # A finder compares nothing with a text that repeats an earlier one: those get their own turn.
    while numbers:
        finder = NearDuplicateFinder()
        of_turn = pl.Series([texts[number] for number in numbers], dtype=pl.String)
        no_answers = pl.Series([""], dtype=pl.String)
        for part in (of_turn, questions):
            finder.add(part, no_answers.new_from_index(0, len(part)))
        repeated = []
        n_texts = len(numbers)
        for duplicate in finder.find():
            # A row that repeats another row of the pool may stay.
            if duplicate.original >= n_texts:
                continue
            original = numbers[duplicate.original]
            if duplicate.row < n_texts:
                repeated.append(numbers[duplicate.row])
            else:
                found.setdefault(duplicate.row - n_texts, original)
        numbers = repeated
    return found


def _find_contained(questions: pl.Series, texts: Sequence[str]) -> dict[int, int]:
    """The place of each question that contains a text, by the rule of `tacos clean --against`."""
    prompts = []
    for number, text in enumerate(texts):
        prompts.append(Prompt(str(number), split_words(text)))
    # A prompt's words weigh the more, the fewer rows of the pool have them.
    n_rows_with: Counter[str] = Counter()
    for question in questions:
        n_rows_with.update(set(split_words(question)))
    index = PromptIndex(prompts, n_rows_with, len(questions))
    found = {}
    for place, question in enumerate(questions):
        contamination = index.find(question)
        if contamination is not None:
            found[place] = int(contamination.prompt.source)
    return found


_FINDERS: dict[Likeness, Callable[[pl.Series, Sequence[str]], dict[int, int]]] = {
    "the same": _find_same,
    "nearly the same": _find_near,
    "contained": _find_contained,
}
"""How a row may repeat an item, in the order in which it is looked for."""
