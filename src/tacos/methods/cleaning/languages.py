"""Tells rows in other languages than those that are wanted, by the model of py3langid.

The model (naive Bayes over n-grams of bytes, 139 languages, shipped in its wheel) reads the
beginnings of question and answer together, so a row is in the language of most of its text. A row
is foreign where one other language has a probability of `CERTAIN`: texts of a few words stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tacos.errors import ConfigError

CERTAIN = 0.9
MAX_READ = 500
"""Characters of question and answer each."""

VARIETIES = {
    "ary": "ar",
    "arz": "ar",
    "nn": "no",
    "pcm": "en",
    "sdh": "ku",
    "uzs": "uz",
    "wuu": "zh",
    "yue": "zh",
}
"""Languages of the model -> those that they are counted as; Wu and Cantonese look like Chinese."""
NO_LANGUAGE = frozenset({"zxx", "la"})
"""Numbers and code; and Latin, for which lists of species or elements are taken."""


class LanguageFilter:
    """Finds texts that are certainly in none of some languages (ISO 639 codes).

    Raises `ConfigError` for a language that the model does not know, and where py3langid is not
    installed.
    """

    def __init__(self, languages: Iterable[str]) -> None:
        self._identifier = _load_identifier()
        known = set(self._identifier.nb_classes) - NO_LANGUAGE
        self._wanted = set(NO_LANGUAGE)
        for language in languages:
            code = language.strip().lower()
            if code not in known:
                raise ConfigError(
                    f"unknown language {language!r}: name its code, such as en, de or zh "
                    f"(ISO 639; {len(known)} are known)"
                )
            self._wanted.add(VARIETIES.get(code, code))

    def find_foreign(self, instruction: str, response: str) -> str | None:
        """The language of a row that is certainly none of those wanted, or None."""
        text = f"{instruction[:MAX_READ]}\n{response[:MAX_READ]}"
        probabilities: dict[str, float] = {}
        for language, probability in self._identifier.rank(text):
            code = VARIETIES.get(language, language)
            probabilities[code] = probabilities.get(code, 0.0) + probability
        likeliest = max(probabilities, key=lambda code: probabilities[code])
        if likeliest in self._wanted or probabilities[likeliest] < CERTAIN:
            return None
        return f"{likeliest} with a probability of {probabilities[likeliest]:.3f}"


def _load_identifier() -> Any:
    """The model of py3langid, with probabilities."""
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        raise ConfigError(
            "the rule language needs py3langid: pip install 'tacos-select[clean]'"
        ) from None
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
