"""The shipped tagger and words with several meanings.

Each case of `polysemy.jsonl` has words that no tag of it may contain: the other meaning's.
"""

import json
import re
from pathlib import Path

import pytest

from tacos.models import tagger

PATH = Path(__file__).parent / "polysemy.jsonl"
CASES = [json.loads(line) for line in PATH.read_text("utf-8").splitlines()]
MAX_MISLED = 5
PLAIN = {
    "Write a movie script for a comedy about two bakers.": "Code Generation",
    "How do I clean the filter of my washing machine?": "Machine Learning",
    "List arguments against capital punishment.": "Capitalization",
}


def find_forbidden(tags: list[str], forbidden: list[str]) -> list[str]:
    words = "|".join(re.escape(word) for word in forbidden)
    pattern = re.compile(rf"(?<![a-z])(?:{words})(?![a-z])")
    return [tag for tag in tags if pattern.search(tag.lower())]


def test_few_cases_mislead_the_tagger() -> None:
    tagged = tagger.load().tag([case["instruction"] for case in CASES])
    misled = {
        case["instruction"]: wrong
        for case, tags in zip(CASES, tagged, strict=True)
        if (wrong := find_forbidden(tags, case["forbidden"]))
    }
    assert len(CASES) >= 60
    assert len(misled) <= MAX_MISLED, misled


@pytest.mark.parametrize("text, tag", PLAIN.items())
def test_a_word_alone_gives_no_tag(text: str, tag: str) -> None:
    assert tag not in tagger.load().tag([text])[0]


def test_the_same_words_still_count_among_their_own() -> None:
    tagged = tagger.load().tag(
        [
            "Write a Python script that renames files.",
            "Explain machine learning to a beginner.",
            "What is the capital of Peru?",
        ]
    )
    expected = ["Python Programming", "Machine Learning", "Geography"]
    assert [tag in tags for tag, tags in zip(expected, tagged, strict=True)] == [
        True
    ] * 3
