"""Prompts of evaluation sets are found in rows, verbatim and edited; other questions are not."""

from collections import Counter
from typing import Any

import pytest

from tacos.methods.cleaning.contamination import (
    Prompt,
    PromptIndex,
    list_evaluation_prompts,
    split_words,
)

PROMPT = "Compose a travel blog post about a recent trip to Hawaii with its beaches."
COMMON = "Write a short story about a robot."
TRIP = "How are you?"
CHINESE = "请写一篇关于夏威夷旅行的博客文章"


def build_index() -> PromptIndex:
    texts = [PROMPT, COMMON, TRIP, CHINESE]
    prompts = [Prompt(f"eval:{i}", split_words(text)) for i, text in enumerate(texts)]
    # Most rows ask for short stories.
    common = dict.fromkeys(split_words("write a short story about"), 900)
    return PromptIndex(prompts, Counter(common), 1_000)


@pytest.mark.parametrize(
    "text, source",
    [
        (PROMPT, "eval:0"),
        (PROMPT.upper().replace(".", "!"), "eval:0"),
        (f"Please do this: {PROMPT}\n\nMaui is an island.", "eval:0"),
        (PROMPT.replace("recent", "nice"), "eval:0"),
        (COMMON, "eval:1"),
        ("How are you", "eval:2"),
        (f"{CHINESE}。谢谢", "eval:3"),
    ],
)
def test_planted_prompts_are_found(text: str, source: str) -> None:
    found = build_index().find(text)
    assert found is not None
    assert found.prompt.source == source
    assert found.matched


def test_a_long_match_is_cut_with_a_mark() -> None:
    words = [f"word{i}" for i in range(60)]
    prompt = Prompt("eval:0", tuple(words))
    found = PromptIndex([prompt], Counter(), 1_000).find(" ".join(words))
    assert found is not None
    assert found.matched == f"{' '.join(words)[:120]}..."


@pytest.mark.parametrize(
    "text",
    [
        "Write a short story about a dragon.",
        "Write a blog post about a recent trip.",
        "She asked me how are you today and I had no idea what to say to her at all.",
        "",
    ],
)
def test_other_questions_are_left_alone(text: str) -> None:
    assert build_index().find(text) is None


@pytest.mark.parametrize(
    "row, prompts",
    [
        ({"prompt": "A?", "id": 1}, ["A?"]),
        ({"Instruction": "A?", "Skill": "Math"}, ["A?"]),
        ({"turns": ["A?", "B?"]}, ["A?", "B?"]),
        ({"conversations": ["A?", "answer", "B?"]}, ["A?", "B?"]),
        (
            {
                "messages": [
                    {"role": "user", "content": "A?"},
                    {"role": "assistant", "content": "b"},
                ]
            },
            ["A?"],
        ),
        ({"conversations": [{"from": "human", "value": "A?"}]}, ["A?"]),
        ({"prompt": " ", "question": "B?"}, ["B?"]),
        ({"prompt": None, "n": 3}, []),
    ],
)
def test_prompts_of_evaluation_rows(row: dict[str, Any], prompts: list[str]) -> None:
    assert list_evaluation_prompts(row) == prompts
