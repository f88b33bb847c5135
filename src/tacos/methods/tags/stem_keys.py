"""Gives all spellings of one phrase the same key (InsTag, section 3.2: case, special characters,
stemming).

The key of a tag is its NFKC text, case-folded, with every run of characters other than letters,
digits and combining marks turned into one space, and each word stemmed by Porter's algorithm
(Snowball's `porter`). It serves for comparison only and is never shown. Scripts without case or
Latin suffixes pass through untouched, combining marks included; joiners, direction marks and
variation selectors are removed. The underscore counts as a special character.

    >>> stem_tags(["Data-Analysis", "data analyses", "C++", "C#", "हिन्दी  अनुवाद", "🎉"])
    ['data analysi', 'data analys', 'c++', 'c#', 'हिन्दी अनुवाद', '']

Porter's stemmer is made for English, and it is wrong about some English words too (above,
"analysis").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

import Stemmer

KEPT_KINDS = ("L", "N")
"""Unicode categories (first letter) of the characters of words: letters and numbers."""
COMBINING_KINDS = ("Mn", "Mc")
INVISIBLE_KINDS = ("Cf", "Me")
SIGNS = re.compile(r"[^\s+#]+(?:[+#]+(?![^\s+#]))?")
"""A word with the signs that end it, as in C++ and F#."""
PLAIN = re.compile(r"[^\s+#]+")


class _CharacterMap(dict[int, str]):
    """Maps a code point to itself, to "" or to a space; for `str.translate`.

    Filled on demand: each character is looked up in the Unicode database once.
    """

    def __missing__(self, code: int) -> str:
        replacement = _replace_character(code)
        self[code] = replacement
        return replacement


def _replace_character(code: int) -> str:
    """The character itself, "" for an invisible one, a space for a special one."""
    char = chr(code)
    kind = unicodedata.category(char)
    if kind in INVISIBLE_KINDS or _is_variation_selector(code):
        return ""
    is_letter = kind[0] in KEPT_KINDS or kind in COMBINING_KINDS
    # Signs are kept for now: whether they belong to a word depends on their place.
    if is_letter or char in "+#":
        return char
    return " "


def _is_variation_selector(code: int) -> bool:
    return 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF


def _has_letter(word: str) -> bool:
    """Whether a word has a letter or digit, not combining marks or signs alone."""
    return any(char.isalnum() for char in word)


CHARACTERS = _CharacterMap()


def stem_tags(
    tags: Iterable[str],
    signs: bool = True,
) -> list[str]:
    """The key of each tag; "" where a tag has no letter or digit."""
    stemmer = Stemmer.Stemmer("porter")
    keys = []
    for tag in tags:
        words = split_tag_words(tag, signs)
        keys.append(" ".join(stemmer.stemWords(words)))
    return keys


def split_tag_words(
    tag: str,
    signs: bool = True,
) -> list[str]:
    """The lowercase words of a tag, unstemmed.

    With `signs`, `+` and `#` at the end of a word belong to it.

    >>> split_tag_words("Spelling & Grammar-Check")
    ['spelling', 'grammar', 'check']
    >>> split_tag_words("C++"), split_tag_words("C++", signs=False)
    (['c++'], ['c'])
    """
    normal = unicodedata.normalize("NFKC", tag)
    # Folding may undo the normal form, so it is restored.
    folded = unicodedata.normalize("NFKC", normal.casefold())
    text = folded.translate(CHARACTERS)
    pattern = PLAIN
    if signs:
        pattern = SIGNS
    candidates = pattern.findall(text)
    return [word for word in candidates if _has_letter(word)]


def join_tag_words(
    tag: str,
    signs: bool = True,
) -> str:
    """The words of a tag, separated by single spaces: what an encoder reads."""
    return " ".join(split_tag_words(tag, signs))
