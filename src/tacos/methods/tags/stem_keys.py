"""Rule aggregation: spellings of one phrase share a key (InsTag, section 3.2: case, special
characters, stemming).

The key is made of NFKC text, case-folded, every run of other than letters, digits and combining
marks turned into one space, and each word stemmed by Porter's algorithm (Snowball's `porter`). It
serves for comparing only and is never shown. Scripts without case or Latin suffixes come through
untouched, their combining marks included; joiners, direction marks and variation selectors are
taken out. The underscore counts as a special character.

    >>> stem_tags(["Data-Analysis", "data analyses", "C++", "C#", "हिन्दी  अनुवाद", "🎉"])
    ['data analysi', 'data analys', 'c++', 'c#', 'हिन्दी अनुवाद', '']

It does not know languages: Porter's stemmer is for English and is wrong about a few English words too (above,
"analysis").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

import Stemmer

KEPT = "LN"
SIGNS = re.compile(r"[^\s+#]+(?:[+#]+(?![^\s+#]))?")
"""A word with the signs that end it, as in C++ and F#."""
PLAIN = re.compile(r"[^\s+#]+")


class CharacterMap(dict[int, str]):
    """What becomes of a character, found once per character: kept, taken out, or turned into a
    space.
    """

    def __missing__(self, code: int) -> str:
        char = chr(code)
        kind = unicodedata.category(char)
        invisible = kind in ("Cf", "Me") or 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
        kept = kind[0] in KEPT or kind in ("Mn", "Mc") or char in "+#"
        self[code] = "" if invisible else char if kept else " "
        return self[code]


CHARACTERS = CharacterMap()


def split_tag_words(tag: str, signs: bool = True) -> list[str]:
    """The lowercase words of a tag, unstemmed; with `signs`, `+` and `#` at a word's end belong to
    it.

    >>> split_tag_words("Spelling & Grammar-Check"), split_tag_words("C++", signs=False)
    (['spelling', 'grammar', 'check'], ['c'])
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", tag).casefold()).translate(
        CHARACTERS
    )
    found = (SIGNS if signs else PLAIN).findall(text)
    return [word for word in found if any(char.isalnum() for char in word)]


def join_tag_words(tag: str, signs: bool = True) -> str:
    """The words of a tag with one space between: what an encoder reads."""
    return " ".join(split_tag_words(tag, signs))


def stem_tags(tags: Iterable[str], signs: bool = True) -> list[str]:
    """The key of each tag; "" where a tag has no letter or digit."""
    stemmer = Stemmer.Stemmer("porter")
    return [" ".join(stemmer.stemWords(split_tag_words(tag, signs))) for tag in tags]
