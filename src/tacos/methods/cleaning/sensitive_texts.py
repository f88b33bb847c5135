"""What rules find that must not be shown: where it stands in a text, and the text without it."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

SHOWN = 4
"""Characters of what was found that a reason shows at most, and never more than a quarter."""


class SensitivePlace(NamedTuple):
    """What stands in a text ("e-mail address"), and from where to where."""

    kind: str
    start: int
    end: int


FindPlaces = Callable[[str], list[SensitivePlace]]
"""Text -> its sensitive places, in order, none overlapping another."""


class SensitivePattern(NamedTuple):
    """A kind, what it looks like, and whether a match is one; group 1, where there is one, is what
    is sensitive.
    """

    kind: str
    pattern: re.Pattern[str]
    is_real: Callable[[str], bool] = bool


def find_places(
    text: str,
    patterns: Iterable[SensitivePattern],
) -> list[SensitivePlace]:
    """The places of a text that match; where two overlap, that of the earlier pattern."""
    places: list[SensitivePlace] = []
    for kind, pattern, is_real in patterns:
        group = 1 if pattern.groups else 0
        earlier = sorted(places, key=_read_start)
        for match in pattern.finditer(text):
            place = SensitivePlace(kind, *match.span(group))
            if not _overlaps(place, earlier) and is_real(match[group]):
                places.append(place)
    return sorted(places, key=_read_start)


def mask_places(text: str, places: Sequence[SensitivePlace]) -> str:
    """The text with the kind of each place in brackets in its stead.

    >>> mask_places("Call 911 now", [SensitivePlace("phone number", 5, 8)])
    'Call [PHONE NUMBER] now'
    """
    parts = []
    first = 0
    for kind, start, end in places:
        parts.append(text[first:start])
        parts.append(f"[{kind.upper()}]")
        first = end
    parts.append(text[first:])
    return "".join(parts)


def describe_place(text: str, place: SensitivePlace) -> str:
    """A place in words, with its first characters only.

    >>> text = "Write to jane@corp.org"
    >>> describe_place(text, SensitivePlace("e-mail address", 9, 22))
    'e-mail address: jan…'
    """
    length = place.end - place.start
    shown = text[place.start :][: min(SHOWN, length // 4)]
    return f"{place.kind}: {shown}…"


def _overlaps(place: SensitivePlace, others: Sequence[SensitivePlace]) -> bool:
    """Whether a place overlaps one of others, which are in order and apart."""
    following = bisect_left(others, place.end, key=_read_start)
    return following > 0 and others[following - 1].end > place.start


def _read_start(place: SensitivePlace) -> int:
    return place.start
