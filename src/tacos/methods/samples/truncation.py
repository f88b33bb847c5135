"""Cutting long texts so that a question fits a model: visibly, and alike for every text that is
compared.

The rule, in full: a text of more than `max_chars` characters loses its middle. Two thirds of what
may stay are taken from its start, one third from its end, and between them stands how many
characters are missing. In a sample (instruction and response) the instruction may take a third of
the limit, or more where the response leaves room, and the response the rest. The limits of a sample
depend on that sample and `max_chars` alone, never on the sample it is compared with, so both sides
of a comparison are cut by the same rule and swapping them changes nothing.

It does not know tokens: it counts characters.
"""

from __future__ import annotations


def truncate_text(text: str, max_chars: int) -> str:
    """`text`, or its start and end with a visible gap; never longer than `max_chars` plus the gap's
    own words.

    >>> truncate_text("short", 10)
    'short'
    >>> truncate_text("abcdefghijkl", 6)
    'abcd\\n[... 6 characters left out ...]\\nkl'
    """
    if len(text) <= max_chars:
        return text
    n_tail = max_chars // 3
    n_head = max_chars - n_tail
    tail = text[len(text) - n_tail :]
    return f"{text[:n_head]}\n[... {len(text) - max_chars:,} characters left out ...]\n{tail}"


def truncate_sample(instruction: str, response: str, max_chars: int) -> tuple[str, str]:
    """A sample's two texts within `max_chars` characters in all (plus the words of at most two
    gaps).

    >>> truncate_sample("i" * 3, "r" * 4, 10)
    ('iii', 'rrrr')
    >>> [len(text) for text in truncate_sample("i" * 900, "r" * 10, 300)]
    [325, 10]
    """
    for_instruction = max(max_chars // 3, max_chars - len(response))
    cut = truncate_text(instruction, for_instruction)
    return cut, truncate_text(response, max_chars - min(len(instruction), for_instruction))


Sample = tuple[str, str]
"""Instruction and response."""


def truncate_pair(first: Sample, second: Sample, max_chars: int) -> tuple[Sample, Sample]:
    """Both samples (instruction, response) of a comparison, each within `max_chars` by the rule
    above.

    >>> a, b = ("question", "a" * 90), ("question", "b" * 9)
    >>> truncate_pair(a, b, 60) == truncate_pair(b, a, 60)[::-1]
    True
    """
    return truncate_sample(*first, max_chars), truncate_sample(*second, max_chars)
