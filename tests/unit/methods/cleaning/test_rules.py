"""Each rule finds what it is for, and leaves alone what only looks like it."""

import pytest

from tacos.methods.cleaning.boilerplate import find_boilerplate, find_refusal
from tacos.methods.cleaning.broken_text import find_broken_text
from tacos.methods.cleaning.normalised_texts import hash_normalised, normalise_text
from tacos.methods.cleaning.rules import PRESETS, RULES


@pytest.mark.parametrize(
    "text",
    [
        "caf\ufffd",
        "itâ€™s",
        "cafÃ©",
        "Â\xa0said",
        "a\x00b",
        "ring\x07",
        "ï¿½",
        "GrÃ¼Ãe",
    ],
)
def test_broken_texts(text: str) -> None:
    assert find_broken_text(text, "fine")
    assert find_broken_text("fine", text)


@pytest.mark.parametrize(
    "text",
    [
        "SÃO PAULO, ÂNGELA, à côté",
        "“quoted” – ‘dash’ … €5",
        "tab\tand\r\nlines",
        "你好，世界 😀",
        "2 × 3 = 6 ± 1°",
    ],
)
def test_texts_that_are_whole(text: str) -> None:
    assert find_broken_text(text, text) is None


@pytest.mark.parametrize(
    "response",
    [
        "As an AI language model, I do not have feelings.",
        "I'm sorry, but I can't help with that.",
        "I’m sorry, but I cannot fulfil this request.",
        "I cannot create a picture, as a language model has no hands.",
        "Sorry, I can't assist with that.",
        "作为一个AI语言模型，我没有感情。",
        "抱歉，我无法回答这个问题。",
    ],
)
def test_refusals(response: str) -> None:
    assert find_refusal("What is your favourite food?", response)


@pytest.mark.parametrize(
    "instruction, response",
    [
        ("Answer the complaint.", "I'm sorry for the delay of your parcel."),
        ("Write a poem.", "黄树林中分出两条路，\n抱歉我不能同时旅行"),
        ("Are you a person?", "As an AI language model, I am not."),
        ("What is your name?", "I'm Vicuna, a model trained by researchers."),
        ("Quote the film.", "I can't handle the truth."),
        ("Tell a story.", "x" * 300 + " As an AI language model, I cannot."),
    ],
)
def test_answers_that_are_no_refusals(instruction: str, response: str) -> None:
    assert find_refusal(instruction, response) is None


@pytest.mark.parametrize(
    "text",
    [
        "Hello!<|im_end|>",
        "[INST] Hi [/INST]",
        "<nooutput>",
        "Done.\nRegenerate response",
        "### Response: yes",
        "Bye</s>",
    ],
)
def test_boilerplate(text: str) -> None:
    assert find_boilerplate("Say it.", text)


@pytest.mark.parametrize(
    "text", ["The button says: Regenerate response now", "<p>HTML</p>", "### Summary:"]
)
def test_texts_without_boilerplate(text: str) -> None:
    assert find_boilerplate(text, text) is None


def test_normalised_texts_ignore_case_punctuation_and_form() -> None:
    assert normalise_text("Ｈｅｌｌｏ,\n  WORLD!") == "hello world"
    assert hash_normalised("Hi!", "You.") == hash_normalised("hi", "YOU")


@pytest.mark.parametrize(
    "left, right",
    [
        ("3 + 5", "3 - 5"),
        ("the root of -4", "the root of 4"),
        ("Use C#", "Use C"),
        ("?", "!"),
        ("1.5", "15"),
    ],
)
def test_other_texts_stay_apart(left: str, right: str) -> None:
    assert hash_normalised(left, "a") != hash_normalised(right, "a")


def test_question_and_answer_are_told_apart() -> None:
    assert hash_normalised("a b", "c") != hash_normalised("a", "b c")


def test_presets_name_rules() -> None:
    assert all(set(rules) <= set(RULES) for rules in PRESETS.values())
