"""Rows in another language are found, and what may be in any language stays."""

import pytest

from tacos.errors import ConfigError
from tacos.methods.cleaning.languages import LanguageFilter

pytest.importorskip("py3langid")

ENGLISH = (
    "Explain how bread is baked.",
    "Flour, water and yeast become a dough first.",
)
GERMAN = ("Wie backt man ein Brot?", "Aus Mehl, Wasser und Hefe wird zuerst ein Teig.")
CHINESE = ("怎么烤面包？", "先用面粉、水和酵母做成面团，然后放进烤箱。")


@pytest.mark.parametrize(
    "languages, foreign",
    [
        (["en"], {"de", "zh"}),
        (["de"], {"en", "zh"}),
        (["EN", "zh"], {"de"}),
        (["en", "de", "zh"], set()),
    ],
)
def test_rows_in_other_languages(languages: list[str], foreign: set[str]) -> None:
    known = LanguageFilter(languages)
    found = set()
    for row in (ENGLISH, GERMAN, CHINESE):
        language = known.find_foreign(*row)
        if language is not None:
            found.add(language.partition(" ")[0])
    assert found == foreign


@pytest.mark.parametrize(
    "row",
    [
        ("6 + 3 = ?", "9"),
        ("Name a musical genre", "Jazz"),
        ("Name some elements.", "Hydrogen, Helium, Lithium, Beryllium, Boron, Carbon"),
        ("OK", ""),
        ("x", "def f(x):\n    return x + 1"),
        ("1, 2, 3", "4, 5, 6"),
    ],
)
def test_texts_that_may_be_in_any_language_stay(row: tuple[str, str]) -> None:
    assert LanguageFilter(["en"]).find_foreign(*row) is None


def test_varieties_count_as_their_language() -> None:
    chinese = LanguageFilter(["zh"])
    cantonese = ("你喺邊度返工呀？", "我喺中環返工，每日搭地鐵去。")
    assert chinese.find_foreign(*CHINESE) is None
    assert chinese.find_foreign(*cantonese) is None


@pytest.mark.parametrize("language", ["english", "xx", "", "zxx"])
def test_unknown_languages_are_one_line(language: str) -> None:
    with pytest.raises(ConfigError, match="its code, such as en"):
        LanguageFilter([language])
