"""Text of people's data where it could be obeyed: a terminal, a page, JSON, a spreadsheet."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

CONTROL_CHARACTERS = (*range(32), *range(127, 160))
# Two that some programs take for ends of lines
SEPARATORS = (0x2028, 0x2029)
# Marks that reverse the direction of text, and can make one text look like another
CHANGES_OF_DIRECTION = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
# Halves of a character: no output can carry them
SURROGATES = tuple(range(0xD800, 0xE000))
# No characters at all, which XML refuses as it refuses most control characters
NONCHARACTERS = (0xFFFE, 0xFFFF)
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""A spreadsheet takes a cell that starts so for a formula."""
FORMULA_ESCAPE = "'"
SIGN = "\N{REPLACEMENT CHARACTER}"
UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's general categories of characters without a picture."""
JOINERS = "\u200c\u200d"

_IN_A_LINE = dict.fromkeys(
    [
        *CONTROL_CHARACTERS,
        *SEPARATORS,
        *CHANGES_OF_DIRECTION,
        *SURROGATES,
        *NONCHARACTERS,
    ],
    SIGN,
)
_IN_A_TEXT = {
    code: sign for code, sign in _IN_A_LINE.items() if chr(code) not in "\n\t"
}
# Inside a string of JSON, a character and its escape mean the same.
_IN_JSON = {
    code: f"\\u{code:04x}"
    for code in (*range(127, 160), *SEPARATORS, *CHANGES_OF_DIRECTION)
}


def clean_line(text: str) -> str:
    """A text for one line: its line breaks and tabs become signs, too.

    >>> clean_line("red: \\x1b[31m, two\\nlines")
    'red: �[31m, two�lines'
    """
    return text.translate(_IN_A_LINE)


def clean_text(text: str) -> str:
    """A text of several lines; line breaks and tabs are kept.

    >>> clean_text("user \\u202eadmin\\n")
    'user �admin\\n'
    """
    return text.translate(_IN_A_TEXT)


def find_unseen(text: str) -> str:
    """The first character that is not seen: a control character, a line break, a mark of
    direction, a sign without width; "" where there is none. The two joiners that letters of some
    scripts need (U+200C, U+200D) count as seen.

    >>> find_unseen("Cook\u200bing") == "\u200b", find_unseen("Cooking")
    (True, '')
    """
    for character in text:
        is_unseen = unicodedata.category(character) in UNSEEN_CATEGORIES
        if (is_unseen and character not in JOINERS) or ord(character) in NONCHARACTERS:
            return character
    return ""


def clean_texts(value: Any) -> Any:
    """A value of JSON with every text in it cleaned.

    >>> clean_texts({"data": [{"tag": "\x1b[2J", "n": 1}]})
    {'data': [{'tag': '�[2J', 'n': 1}]}
    """
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        return {name: clean_texts(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [clean_texts(each) for each in value]
    return value


def escape_json(text: str) -> str:
    """JSON in which no character is left that a terminal would obey; it means the same.

    >>> escape_json('"\\x9b31m"')
    '"\\\\u009b31m"'
    """
    return text.translate(_IN_JSON)


def escape_formula(text: str) -> str:
    """A cell of a table for people, such that a spreadsheet shows it and does not execute it.

    Tables of data, which programs read again, keep their cells as they are.

    Source: https://owasp.org/www-community/attacks/CSV_Injection

    >>> escape_formula("=1+1"), escape_formula("1+1")
    ("'=1+1", '1+1')
    """
    return FORMULA_ESCAPE + text if text.startswith(FORMULAS) else text
