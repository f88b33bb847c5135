"""Counts in words, as messages and summaries write them."""

from __future__ import annotations


def count_words(count: int, noun: str) -> str:
    """A count and its noun, which takes an s unless there is one.

    >>> count_words(1, "row"), count_words(0, "row"), count_words(2500, "usable row")
    ('1 row', '0 rows', '2,500 usable rows')
    """
    return f"1 {noun}" if count == 1 else f"{count:,} {noun}s"
