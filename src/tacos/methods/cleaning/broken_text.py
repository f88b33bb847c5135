"""Finds texts whose encoding was broken on the way: replacement characters, control characters,
and UTF-8 that was read as Latin-1 or Windows-1252 ("Ã©" for "é").
"""

from __future__ import annotations

import re

CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Control characters that no text needs; tabs and line breaks are left alone."""
# The second bytes of UTF-8 are 80..BF: as Latin-1 itself, or as Windows-1252 shows 80..9F.
_SECOND = "\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
MISREAD = re.compile(
    f"[ÂÃ][{_SECOND}]"  # two bytes: é, ü, ß, a hard space
    f"|â[€\x80][{_SECOND}]"  # three bytes: quotation marks and dashes
    f"|ï¿½|ðŸ[{_SECOND}]"  # the replacement character; emoji
)
"""What UTF-8 becomes when it is read as an encoding of one byte per character."""


def find_broken_text(instruction: str, response: str) -> str | None:
    """What shows that a text's encoding is broken, or None.

    >>> find_broken_text("Translate: cafÃ©", "coffee")
    "UTF-8 read as Latin-1: 'Ã©'"
    >>> find_broken_text("Traduis : SÃO PAULO, “déjà vu”", "fine") is None
    True
    """
    for text in (instruction, response):
        if "\ufffd" in text:
            return "the replacement character U+FFFD"
        control = CONTROL.search(text)
        if control:
            return f"the control character U+{ord(control[0]):04X}"
        misread = MISREAD.search(text)
        if misread:
            return f"UTF-8 read as Latin-1: {misread[0]!r}"
    return None
