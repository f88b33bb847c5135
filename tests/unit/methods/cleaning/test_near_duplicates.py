"""Near-duplicates by MinHash: variants are found, other tasks are not."""

import polars as pl
import pytest
from benchmarks.row_generator import GeneratedRow, generate_rows

from tacos.methods.cleaning.near_duplicates import (
    SIMILARITY,
    NearDuplicate,
    NearDuplicateFinder,
)

pytest.importorskip("rensa")

QUESTION = (
    "Name five countries in which Spanish is the official language of the people."
)
ANSWER = "Five of them are Mexico, Colombia, Argentina, Peru and Spain. There are more."


def find(*rows: tuple[str, str]) -> list[NearDuplicate]:
    finder = NearDuplicateFinder()
    questions, answers = zip(*rows, strict=True)
    finder.add(pl.Series(questions), pl.Series(answers))
    return finder.find()


@pytest.mark.parametrize(
    "question, answer",
    [
        (QUESTION.upper(), ANSWER.replace(",", ";")),
        (QUESTION.replace("Name", "List"), ANSWER),
        (
            QUESTION,
            "There are more. Five of them are Mexico, Colombia, Argentina, Peru and Spain.",
        ),
    ],
)
def test_variants_are_found(question: str, answer: str) -> None:
    (found,) = find((QUESTION, ANSWER), (question, answer))
    assert (found.row, found.original) == (1, 0)
    assert found.similarity >= SIMILARITY


@pytest.mark.parametrize(
    "question, answer",
    [
        (QUESTION.replace("five", "5"), ANSWER),
        (QUESTION, "No."),
        ("Which of these?", ANSWER),
        (ANSWER, QUESTION),
    ],
)
def test_other_tasks_are_none(question: str, answer: str) -> None:
    assert find((QUESTION, ANSWER), (question, answer)) == []


@pytest.mark.parametrize(
    "code, other",
    [
        ("if (n <= 1) return n;", "if (n >= 1) return n;"),
        ("def f(n): return n + n", "function f(n) { return n + n }"),
        ("x = a + b", "x = a"),
    ],
)
def test_another_sign_in_the_code_of_a_question_is_another_task(
    code: str,
    other: str,
) -> None:
    question = f"Find and mend the error in the following code of a function: {code}"
    repeated = question.replace("mend", "repair")
    assert find((question, ANSWER), (question.replace(code, other), ANSWER)) == []
    assert len(find((question, ANSWER), (repeated, ANSWER))) == 1


def test_a_near_duplicate_of_a_dropped_row_names_the_first() -> None:
    found = find(
        (QUESTION, ANSWER), (f"{QUESTION} Now", ANSWER), (f"{QUESTION} now", ANSWER)
    )
    assert [(each.row, each.original) for each in found] == [(1, 0), (2, 0)]


def test_characters_of_chinese_are_words() -> None:
    question = "请列出五个以西班牙语为官方语言的国家并说明理由"
    answer = "墨西哥、哥伦比亚、阿根廷、秘鲁和西班牙都是这样的国家"
    assert len(find((question, answer), (question.replace("列", "写"), answer))) == 1


def test_texts_without_words_and_no_rows() -> None:
    assert find(("?", "!"), ("...", "--")) == []
    assert NearDuplicateFinder().find() == []


def test_batches_do_not_matter_and_planted_variants_are_found() -> None:
    rows = list(generate_rows(4_000, seed=2))
    whole = NearDuplicateFinder()
    add_rows(whole, rows)
    found = whole.find()
    parts = NearDuplicateFinder()
    for first in range(0, len(rows), 700):
        add_rows(parts, rows[first : first + 700])
    assert parts.find() == found

    rows_found = {each.row for each in found}
    planted = {number for number, each in enumerate(rows) if each.kind != "new"}
    assert len(rows_found & planted) >= 0.95 * len(planted)
    assert rows_found <= planted


def add_rows(finder: NearDuplicateFinder, rows: list[GeneratedRow]) -> None:
    questions = [f"{each.row['instruction']}\n{each.row['input']}" for each in rows]
    answers = [each.row["output"] for each in rows]
    finder.add(pl.Series(questions), pl.Series(answers))
