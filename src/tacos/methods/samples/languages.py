"""Which language a text may be in, by its letters and its commonest words; no model is needed.

Letters tell the script of a text, words whether a text in Latin letters is in English. Other
languages in Latin letters are not told apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

ENGLISH = "English, or too short to tell"
LATIN = "other language in Latin letters"
NO_LETTERS = "no letters"
OTHER_SCRIPT = "other script"
SCRIPTS = {
    "Japanese": re.compile(r"[\u3040-\u30ff]"),
    "Chinese": re.compile(r"[\u3400-\u9fff]"),
    "Korean": re.compile(r"[\u1100-\u11ff\uac00-\ud7af]"),
    "Cyrillic": re.compile(r"[\u0400-\u052f]"),
    "Arabic": re.compile(r"[\u0600-\u06ff]"),
    "Devanagari": re.compile(r"[\u0900-\u097f]"),
    "Hebrew": re.compile(r"[\u0590-\u05ff]"),
    "Greek": re.compile(r"[\u0370-\u03ff]"),
    "Thai": re.compile(r"[\u0e00-\u0e7f]"),
}
"""Name -> its letters. Japanese comes first: it has letters of its own beside Chinese ones."""
LEAST_OF_SCRIPT = 0.1
"""The share of a text's letters from which on they tell its script."""
FEWEST_WORDS = 4
"""Shorter texts in Latin letters may be in any language."""
WORD = re.compile(r"[^\W\d_]+")
_COMMON = """
the a an of to in is are and or for with on from by as be that this it what which how why when where
who do does did can could should would will you your my me i we they he she his her their if then
than not no at about into make write give create find explain describe list
"""
COMMON = frozenset(_COMMON.split())
"""Words of which a text in English has at least one in eight."""
LEAST_COMMON = 1 / 8


def guess_language(text: str) -> str:
    """The language or script of a text, in words.

    >>> guess_language("Explain what a hash table is."), guess_language("2 + 2 = ?")
    ('English, or too short to tell', 'no letters')
    >>> guess_language("头痛怎么办？"), guess_language("Wie koche ich ein weiches Ei?")
    ('Chinese', 'other language in Latin letters')
    """
    words = WORD.findall(text)
    n_letters = sum(map(len, words))
    if not n_letters:
        return NO_LETTERS
    if reads_as_english(text):
        return ENGLISH
    for name, letters in SCRIPTS.items():
        n_found = len(letters.findall(text))
        if n_found >= LEAST_OF_SCRIPT * n_letters:
            return name
    is_latin = any(word.isascii() for word in words)
    return LATIN if is_latin else OTHER_SCRIPT


def reads_as_english(text: str) -> bool:
    """Whether a text may be in English; texts without words may.

    >>> reads_as_english("Explain what a hash table is."), reads_as_english("头痛怎么办？")
    (True, False)
    >>> reads_as_english("Wie koche ich ein weiches Ei?"), reads_as_english("2 + 2 = ?")
    (False, True)
    """
    words = WORD.findall(text.lower())
    n_letters = sum(map(len, words))
    n_latin = sum(word.isascii() * len(word) for word in words)
    # Other scripts are told by their letters, other languages in Latin letters by their words.
    if n_latin < n_letters / 2:
        return False
    if len(words) < FEWEST_WORDS:
        return True
    return _count_common(words) >= LEAST_COMMON * len(words)


def _count_common(words: Sequence[str]) -> int:
    return sum(word in COMMON for word in words)
