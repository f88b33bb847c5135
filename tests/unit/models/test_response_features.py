"""The readable features: each sees what its name says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.models import (
    feature_names,
    response_features,
    task_features,
    word_columns,
)


def value(name: str, instruction: str, response: str) -> float:
    features, _, _ = response_features.measure_responses([instruction], [response])
    return float(features[0, feature_names.NAMES.index(name)])


@given(st.text(max_size=200), st.text(max_size=400))
def test_every_feature_is_a_number_for_any_text(
    instruction: str, response: str
) -> None:
    found, kept, _ = response_features.measure_responses([instruction], [response])
    assert found.shape == (1, len(feature_names.FEATURES) + task_features.N_RAW)
    assert np.isfinite(found).all()
    assert len(kept[0]) <= len(response)


@pytest.mark.parametrize(
    "name, instruction, yes, no",
    [
        ("says nothing", "Name a river.", "<no output>", "None but the Rhine."),
        (
            "breaks off",
            "Tell a story.",
            "Once there was a man who had six sons and each of them",
            "He had sons.",
        ),
        (
            "unbalanced marks",
            "Name a river.",
            "The Rhine (a river.",
            "The Rhine (a river).",
        ),
        (
            "lead-in",
            "Name two rivers.",
            "Two rivers:\n- Rhine\n- Rhone",
            "Rhine: a river.",
        ),
        (
            "list asked and given",
            "Name two rivers.",
            "- Rhine\n- Rhone",
            "Rhine and Rhone",
        ),
        (
            "number of items met",
            "Name three rivers.",
            "1. Rhine\n2. Rhone\n3. Elbe",
            "1. Rhine\n2. Rhone",
        ),
        (
            "code asked, none given",
            "Write a Python function.",
            "Use the plus sign.",
            "def f():\n    return 1",
        ),
        ("other script", "Name a river.", "莱茵河是一条河", "The Rhine."),
        (
            "small initial",
            "Describe a river.",
            "the Rhine is long.",
            "The Rhine is long.",
        ),
        ("placeholders", "Write a letter.", "Dear [Name],", "Dear Ann,"),
        (
            "leftovers",
            "Name a river.",
            "Output: the Rhine",
            "The Rhine puts out much water.",
        ),
        (
            "refusal",
            "Name a river.",
            "I'm sorry, I cannot help.",
            "I helped her cross the river.",
        ),
        ("echo", "The Rhine is a long river.", "The Rhine is a long river.", "Yes."),
        (
            "over the word limit",
            "Describe it in 3 words.",
            "It is a very long river indeed.",
            "Long and wide.",
        ),
        ("link not asked", "Name a river.", "See www.rivers.example", "The Rhine."),
    ],
)
def test_a_feature_sees_what_its_name_says(
    name: str, instruction: str, yes: str, no: str
) -> None:
    assert value(name, instruction, yes) > 0
    assert value(name, instruction, no) == 0


def test_characters_of_chinese_count_as_words() -> None:
    assert word_columns.find_words("莱茵河 is long") == [
        "莱",
        "茵",
        "河",
        "is",
        "long",
    ]


def test_repetition_is_seen_in_phrases_lines_and_items() -> None:
    loop = "He likes tea and cake. " * 6
    assert value("repeated phrases", "Tell a story.", loop) > 0.7
    assert value("repeated lines", "Tell a story.", loop) > 0.7
    assert (
        value(
            "repeated lines", "Name traits.", "kind, tech-savvy, tech-savvy, tech-savvy"
        )
        == 0.5
    )


def test_new_content_counts_longer_words_that_the_instruction_lacks() -> None:
    assert value("new content", "Name large rivers.", "large rivers") == 0
    assert value("new content", "Name large rivers.", "Rhine, Rhone, Danube") == 2


@pytest.mark.parametrize("question", ["Which river do you mean?", "哪条河？"])
def test_an_answer_that_is_one_question_is_seen(question: str) -> None:
    assert value("answers with a question", "Name a river.", question) == 1
    assert value("answers with a question", "Name a river.", "Rhine. Right?") == 0


def test_full_width_marks_end_sentences_as_their_narrow_forms_do() -> None:
    wide = "莱茵河很长！它在哪里？它在欧洲。"
    assert value("sentences", "Name a river.", wide) == 2  # log2(1 + 3)
    assert value("ends complete", "Name a river.", "莱茵河很长！") == 1
    # A narrow mark inside a word ends nothing.
    assert value("sentences", "Name a river.", "Yahoo!Inc is no river") == 1


def test_names_are_distinct() -> None:
    assert len(set(feature_names.NAMES)) == len(feature_names.NAMES)
