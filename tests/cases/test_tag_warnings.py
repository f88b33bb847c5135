"""A line of warning where tags say little about a data set.

Case chinese_medical: the embedded tagger reads English; of 1,000 Chinese questions 552 had no tag,
and nothing said why.
"""

from pathlib import Path
from typing import Any

import pytest
from tests.small_world import MODELS, WORDS, long_response, make_rows

import tacos
from tacos.cli.shared import summary
from tacos.errors import InputError
from tacos.report.tag_warnings import reads_as_english

ASKED = {
    "chinese_medical": "孩子发烧了怎么办？应该吃第{}种药吗？",
    "german": "Wie lange kocht man ein weiches Ei der Sorte {}?",
    "russian": "Как приготовить суп номер {}?",
    "spanish": "¿Cuál es la capital del país número {}?",
}
ENGLISH = [
    "Name a fruit that is red.",
    "What is the capital of Norway?",
    "Summarize this: über naïve café",
    "2 + 2 = ?",
    "",
    "Haiku",
    "Write a function in Python to sort a list of integers.",
]


def select(rows: list[dict[str, Any]], folder: Path, **models: Any) -> tacos.Selection:
    return tacos.select(rows, n=3, run=folder / "run", **models)


@pytest.mark.parametrize("name", ASKED)
def test_other_languages_are_told_apart(name: str) -> None:
    assert not reads_as_english(ASKED[name].format(3))


@pytest.mark.parametrize("text", ENGLISH)
def test_english_and_texts_without_words_pass(text: str) -> None:
    assert reads_as_english(text)


def test_other_languages_and_the_embedded_tagger_get_a_warning(tmp_path: Path) -> None:
    """Case chinese_medical."""
    asked = ASKED["chinese_medical"]
    rows = [
        {"instruction": asked.format(i), "output": f"应该去看医生{i}。"}
        for i in range(40)
    ]
    models = {name: MODELS[name] for name in ("judge", "encoder")}
    done = select(rows, tmp_path, **models)
    (warning,) = [text for text in done.summary.warnings if "English" in text]
    assert "--model" in warning
    printed = dict(summary.format_summary(done.summary))
    assert "warning" in printed


def test_no_tag_at_all_names_the_language(tmp_path: Path) -> None:
    """The case's own rows: not one is tagged."""
    models = {name: MODELS[name] for name in ("judge", "encoder")}
    rows = [{"instruction": f"失眠有哪些{i}", "output": "早睡。"} for i in range(4)]
    with pytest.raises(InputError, match=r"English only; .* \(--model\)"):
        select(rows, tmp_path, **models)


def test_many_rows_without_a_tag_get_a_warning(tmp_path: Path) -> None:
    def tag_some(instructions: list[str]) -> list[list[str]]:
        return [
            [WORDS[0]] if number % 4 else [] for number, _ in enumerate(instructions)
        ]

    done = select(
        make_rows(40, long_response), tmp_path, **{**MODELS, "tagger": tag_some}
    )
    (warning,) = [text for text in done.summary.warnings if "no tag" in text]
    assert warning.startswith("10 of 40 rows (25%) have no tag")


def test_few_rows_without_a_tag_get_none(tmp_path: Path) -> None:
    done = select(make_rows(40, long_response), tmp_path, **MODELS)
    assert not [text for text in done.summary.warnings if "tag" in text]
