"""What the words of tags are to each other: interchangeable, empty, or exclusive.

The lists were written by hand from the words that are frequent in tags. They only say which words
are looked at alike; how much that counts is fitted (`tacos.methods.tags.tag_likeness`).
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

import Stemmer

SYNONYMS = """
creation generation writing composition construction crafting drafting authoring formulation
identification detection finding tagging labeling labelling
modification variation adaptation alteration adjustment
conversion transformation
rewriting rephrasing paraphrasing rewording reformulation
editing revision
constraint limit limitation restriction requirement output response answer format
recommendation suggestion advice tip guidance
analysis analytics
evaluation assessment appraisal
comparison comparing compare contrast
guide instruction
question inquiry request
list listing enumeration
calculation computation
math maths mathematics mathematical
story narrative tale
film movie
country nation
us usa american
uk british
profession occupation career
car automobile
benefit advantage
disadvantage drawback
url hyperlink
photo photograph picture image
tone style
industry sector
optimization optimisation
improvement enhancement
removal deletion elimination
replacement substitution
summary summarization summarisation synopsis
use usage utilization
handling processing manipulation
help assistance support
check checking
one single 1
two 2
three 3
four 4
five 5
19th nineteenth
20th twentieth
explanation clarification
test exam
scientific science
medicine medical
biblical bible
historical history
environmental environment
poem poetry
advertisement advertising ad
brainstorming ideation
buying purchasing
cost price
illness disease
continuation completion
"""
"""A line is a set of words that can stand for each other where the rest of two tags is the same."""
NUMBERS = ("one", "two", "three", "four", "five")
"""First words of the lines of numbers."""
CONNECTORS = """
of the and in for a an to on with or by from s
"""
"""Words that carry no meaning of their own in a tag."""
DIRECTIONS = frozenset({"to", "from", "into"})
"""Connectors that make the order of the words matter."""
LANGUAGES = """
english french german spanish italian portuguese russian chinese japanese korean arabic
hindi latin greek turkish dutch swedish norwegian danish finnish polish czech hungarian
hebrew persian urdu bengali tamil vietnamese thai indonesian malay swahili ukrainian
romanian bulgarian serbian croatian mandarin cantonese
"""
PROGRAMMING_LANGUAGES = """
python java javascript c c++ c# ruby rust go golang php perl swift kotlin scala haskell sql
html css typescript r matlab bash shell powershell lua dart fortran cobol lisp prolog julia
vba
"""
KIND_WORDS = frozenset({"language", "programming"})
"""Words that add nothing to the name of a language."""
EMPTY_WORDS = """
text task general skill item industry sector basic
constraint limit limitation restriction requirement output response answer format
"""
"""Words that often add nothing to a tag."""
OPPOSITES = """
positive negative
ascending descending
uppercase lowercase
upper lower
maximum minimum
max min
past present future
indoor outdoor
indoors outdoors
male female
men women
boys girls
north south east west
left right
hot cold
buying selling
gain loss
increase decrease
internal external
input output
input response
input format
odd even
first second third
vegetarian vegan
"""
"""A line is a set of words of which two tags that mean the same never have different ones."""
NEGATIONS = ("un", "in", "im", "non", "dis", "anti", "il", "ir", "mis", "de")
"""Prefixes that turn a word into its opposite."""


def _read_lines(text: str) -> list[list[str]]:
    """The words of each line."""
    return [line.split() for line in text.strip().splitlines()]


_CONNECTORS = frozenset(CONNECTORS.split())
_EMPTY_WORDS = frozenset(EMPTY_WORDS.split())
_LANGUAGES = frozenset(LANGUAGES.split())
_PROGRAMMING_LANGUAGES = frozenset(PROGRAMMING_LANGUAGES.split())
_OPPOSITE_SETS = [frozenset(words) for words in _read_lines(OPPOSITES)]
_STEMMER = Stemmer.Stemmer("porter")


def _number_synonyms() -> dict[str, str]:
    """Word -> a sign for its line, the first word with a mark that no word has."""
    signs: dict[str, str] = {}
    for words in _read_lines(SYNONYMS):
        signs |= dict.fromkeys(words, f"={words[0]}")
    return signs


_SIGNS = _number_synonyms()
_NUMBER_SIGNS = frozenset(f"={word}" for word in NUMBERS)


@cache
def read_concept(word: str) -> str:
    """What a word stands for: a sign for all its synonyms, or its stem.

    >>> read_concept("tips") == read_concept("advice")
    True
    >>> read_concept("cooking")
    'cook'
    """
    singular = word.removesuffix("s")
    sign = _SIGNS.get(word) or _SIGNS.get(singular)
    return sign or _STEMMER.stemWord(word)


def is_connector(word: str) -> bool:
    """Whether a word carries no meaning of its own in a tag."""
    return word in _CONNECTORS


def are_languages(words: Collection[str]) -> bool:
    """Whether all of some words are names of languages, programming languages included."""
    return bool(words) and (_LANGUAGES | _PROGRAMMING_LANGUAGES).issuperset(words)


def is_empty(word: str) -> bool:
    """Whether a word, or its singular, often adds nothing to a tag."""
    return word in _EMPTY_WORDS or word.removesuffix("s") in _EMPTY_WORDS


@cache
def is_number(word: str) -> bool:
    """Whether a word has a digit or names a small number."""
    has_digit = any(char.isdigit() for char in word)
    return has_digit or read_concept(word) in _NUMBER_SIGNS


def are_opposite(one: str, other: str) -> bool:
    """Whether two words are listed as opposites, or one negates the other by its prefix.

    >>> are_opposite("advantages", "disadvantage"), are_opposite("formal", "informal")
    (True, True)
    """
    if any(one in words and other in words for words in _OPPOSITE_SETS):
        return one != other
    stems = _STEMMER.stemWords([one, other])
    return _negates([one, other]) or _negates(stems)


def _negates(forms: list[str]) -> bool:
    """Whether one of two word forms is the other after a negating prefix."""
    shorter, longer = sorted(forms, key=len)
    return any(longer == prefix + shorter for prefix in NEGATIONS)


def name_other_kinds(
    one: Collection[str],
    other: Collection[str],
) -> bool:
    """Whether the words of two tags name different languages, or different numbers."""
    for kind in (_LANGUAGES, _PROGRAMMING_LANGUAGES):
        named = kind.intersection(one)
        others = kind.intersection(other)
        if named and others and named != others:
            return True
    numbers = {read_concept(word) for word in one if is_number(word)}
    others_numbers = {read_concept(word) for word in other if is_number(word)}
    return bool(numbers and others_numbers) and numbers != others_numbers
