"""Counts the words of a response by class: hedges, reasons, function words and the like.

A word may be of several classes. All are counted in one pass over the distinct words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tacos.models.instruction_intent import word_set


class ClassCounts(NamedTuple):
    """How many words of a response are of each class; a word that occurs twice counts twice."""

    doubts: int
    reasons: int
    self: int
    reader: int
    vague: int
    hedges: int
    links: int
    function: int


FUNCTION_WORDS = word_set(
    "the a an of to and in is it for on with as by at from that this are be or was were which its "
    "their his her his your you i we they he she has have had not can will would should there "
    "these those if than then so also into about more most other such"
)
# The order is that of `ClassCounts`.
_CLASSES = (
    word_set("maybe perhaps possibly probably might somewhat guess"),
    word_set(
        "because therefore thus hence since however although while whereas first firstly second "
        "secondly third thirdly next then finally additionally furthermore moreover also overall"
    ),
    word_set("i me my mine myself i'm i've i'd i'll"),
    word_set("you your yours yourself you're you'll you've"),
    word_set(
        "various several many some certain different important good great better best nice thing "
        "things stuff etc significant numerous aspects factors ways overall generally often "
        "usually sometimes"
    ),
    word_set("may might could perhaps possibly probably seems appears likely somewhat"),
    word_set(
        "because therefore thus hence since however although while whereas so but instead unlike "
        "rather if unless"
    ),
    FUNCTION_WORDS,
)


def _list_classes() -> dict[str, list[int]]:
    """List the numbers of each word's classes."""
    classes: dict[str, list[int]] = {}
    for number, words in enumerate(_CLASSES):
        for word in words:
            classes.setdefault(word, []).append(number)
    return classes


_CLASSES_OF_WORD = _list_classes()


def count_classes(counts: Mapping[str, int]) -> ClassCounts:
    """Count the words of a response by class; `counts` says how often each word occurs.

    >>> count_classes({"the": 3, "because": 1}).function
    3
    """
    totals = [0] * len(_CLASSES)
    for word in _CLASSES_OF_WORD.keys() & counts.keys():
        count = counts[word]
        for number in _CLASSES_OF_WORD[word]:
            totals[number] += count
    return ClassCounts(*totals)
