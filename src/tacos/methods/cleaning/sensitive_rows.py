"""Finds and masks what must not be shown in the texts of a row, of whatever field: not only
question and answer are trained on, or published.

A row is its JSON text. Masking changes the strings in which something is found, and no other byte.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from tacos.methods.cleaning.personal_data import find_personal_data
from tacos.methods.cleaning.secret_keys import find_secret_keys
from tacos.methods.cleaning.sensitive_texts import (
    FindPlaces,
    describe_place,
    mask_places,
)

SENSITIVE_RULES: Mapping[str, FindPlaces] = {
    "secrets": find_secret_keys,
    "pii": find_personal_data,
}
"""Rule -> what finds its places in a text."""

# A string, and the colon that only a key has behind it.
STRING = re.compile(r'"((?:[^"\\]++|\\.)*+)"(\s*:)?', re.DOTALL)


def find_sensitive_text(row: str, rules: Iterable[str]) -> tuple[str, str] | None:
    """The first of the rules that a row breaks, and what was found, shortened; None for none.

    >>> find_sensitive_text('{"instruction": "Mail jane@corp.org", "n": 1}', ["secrets", "pii"])
    ('pii', 'e-mail address: jan…')
    """
    for rule in rules:
        find = SENSITIVE_RULES[rule]
        for text in _iterate_texts(row):
            for place in find(text):
                return rule, describe_place(text, place)
    return None


def mask_row(row: str, rules: Iterable[str]) -> tuple[str, Counter[str]]:
    """A row without what the rules find, and how many places of each kind it had.

    >>> mask_row('{"Q": "Mail jane@corp.org", "n": 1.50}', ["pii"])
    ('{"Q": "Mail [E-MAIL ADDRESS]", "n": 1.50}', Counter({'e-mail address': 1}))
    """
    finders = [SENSITIVE_RULES[rule] for rule in rules]
    counts: Counter[str] = Counter()

    def mask_string(match: re.Match[str]) -> str:
        if match[2] is not None:
            return match[0]
        text = _decode_string(match)
        masked = mask_text(text, finders, counts)
        return match[0] if masked == text else json.dumps(masked, ensure_ascii=False)

    return STRING.sub(mask_string, row), counts


def mask_text(
    text: str,
    finders: Iterable[FindPlaces],
    counts: Counter[str],
) -> str:
    """A text without what is found in it; `counts` has the places of each kind added."""
    for find in finders:
        places = find(text)
        counts.update(place.kind for place in places)
        text = mask_places(text, places)
    return text


def _iterate_texts(row: str) -> Iterator[str]:
    """The strings of a row that are no keys."""
    for match in STRING.finditer(row):
        if match[2] is None:
            yield _decode_string(match)


def _decode_string(match: re.Match[str]) -> str:
    text = match[1]
    return str(json.loads(f'"{text}"', strict=False)) if "\\" in text else text
