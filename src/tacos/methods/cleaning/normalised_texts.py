"""Gives rows whose texts differ only in case, punctuation, white space or Unicode form one key."""

from __future__ import annotations

import hashlib
import re
import unicodedata

NO_WORD = re.compile(r"[\W_]+")
MEANINGFUL = re.compile(r"[+*/=<>^%&|~#$€£]|(?<!\w)-\s?(?=\w)")
"""Signs that tell sums and code apart; a text that has any keeps all that it says."""


def normalise_text(text: str) -> str:
    """The words of a text in one case, NFKC, a space between two; signs of sums and code stay.

    >>> normalise_text("  Hello,  WORLD! ")
    'hello world'
    >>> normalise_text("3 + 5") == normalise_text("3 - 5")
    False
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    if MEANINGFUL.search(folded):
        return " ".join(folded.split())
    words = NO_WORD.sub(" ", folded).strip()
    # A text of signs alone is what it is.
    return words or folded.strip()


def hash_normalised(instruction: str, response: str) -> str:
    """32 hex digits: the hash of both normalised texts."""
    both = f"{normalise_text(instruction)}\0{normalise_text(response)}"
    return hashlib.blake2b(both.encode(), digest_size=16).hexdigest()
