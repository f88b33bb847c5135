"""How texts look on a page that shows a sign for what a browser would obey or leave out."""

import re

UNSHOWN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
SIGN = re.compile("[\N{REPLACEMENT CHARACTER}\u2400-\u241f]|⟨U\\+[0-9A-F]{4}⟩")


def make_comparable(text: str) -> str:
    """A text in one line, in which each sign looks the same."""
    shown = SIGN.sub(
        "\N{REPLACEMENT CHARACTER}", UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", text)
    )
    return " ".join(shown.split())
