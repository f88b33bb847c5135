"""Spellings of one phrase share a key; different things keep different ones."""

import pytest

from tacos.methods.tags import stem_keys


@pytest.mark.parametrize(
    "spellings",
    [
        [
            "Data Analysis",
            "data-analysis",
            "DATA_ANALYSIS",
            "  data   analysis!",
            "Ｄａｔａ　Ａｎａｌｙｓｉｓ",
        ],
        ["Story Generation", "story generating", "stories: generated"],
        ["Überprüfung", "U\u0308berpru\u0308fung", "ÜBERPRÜFUNG"],
        ["❤️ poetry", "poetry", "poetry \u200f", "\u200epoetry"],
        ["C++", "c++", "(C++)"],
    ],
)
def test_spellings_that_are_one(spellings: list[str]) -> None:
    assert len(set(stem_keys.stem_tags(spellings))) == 1


@pytest.mark.parametrize(
    "tags",
    [
        ["C", "C++", "C#"],
        ["poem", "poet"],
        ["数学", "物理"],
        ["हिन्दी", "हिन्दू"],
        ["شعر", "شعور"],
    ],
)
def test_tags_that_stay_apart(tags: list[str]) -> None:
    assert len(set(stem_keys.stem_tags(tags))) == len(tags)


def test_without_signs_the_papers_rule_merges_programming_languages() -> None:
    assert stem_keys.stem_tags(["C", "C++", "C#"], signs=False) == ["c", "c", "c"]


@pytest.mark.parametrize(
    "tag",
    [
        "हिन्दी अनुवाद",
        "ภาษาไทย",
        "தமிழ்",
        "עִבְרִית",
        "العَرَبِيَّة",
        "中文写作",
        "日本語",
        "русский",
        "한국어",
    ],
)
def test_other_scripts_survive_with_their_marks(tag: str) -> None:
    assert stem_keys.join_tag_words(tag).replace(" ", "") == tag.replace(" ", "")


@pytest.mark.parametrize(
    "tag", ["", "   ", "🎉🎉", "---", "❤️", "\u200d", "?!", "\ufe0f"]
)
def test_a_tag_without_letter_or_digit_has_no_key(tag: str) -> None:
    assert stem_keys.stem_tags([tag]) == [""]


def test_signs_count_only_at_the_end_of_a_word() -> None:
    assert stem_keys.split_tag_words("a+b #topic C++/C# 10+") == [
        "a",
        "b",
        "topic",
        "c++",
        "c#",
        "10+",
    ]
