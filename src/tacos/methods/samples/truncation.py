"""Shortens long texts for a model, visibly and by one rule for all texts that are compared.

A text of more than `max_chars` characters loses its middle: two thirds of what may stay come from
its start, one third from its end, and a note between them says how many characters are missing.

A sample (instruction and response) shares one limit: the instruction may take a third of it, or
more where the response leaves room, and the response takes the rest. The limits of a sample depend
on that sample and `max_chars` alone, never on the sample it is compared with. So both sides of a
comparison are cut by the same rule, and swapping them changes nothing.

Lengths are in characters, not tokens.
"""

from __future__ import annotations

Sample = tuple[str, str]
"""Instruction and response."""


def truncate_text(
    text: str,
    max_chars: int,
) -> str:
    """`text`, or its start and end with a visible gap.

    The result is never longer than `max_chars` plus the note in the gap.

    >>> truncate_text("short", 10)
    'short'
    >>> truncate_text("abcdefghijkl", 6)
    'abcd\\n[... 6 characters left out ...]\\nkl'
    """
    if len(text) <= max_chars:
        return text
    n_missing = len(text) - max_chars
    n_tail = max_chars // 3
    n_head = max_chars - n_tail
    head = text[:n_head]
    # Not text[-n_tail:], which is the whole text when n_tail is 0.
    tail = text[len(text) - n_tail :]
    note = f"[... {n_missing:,} characters left out ...]"
    return f"{head}\n{note}\n{tail}"


def truncate_sample(
    instruction: str,
    response: str,
    max_chars: int,
) -> Sample:
    """Both texts of a sample within `max_chars` characters in all, plus at most two notes.

    >>> truncate_sample("i" * 3, "r" * 4, 10)
    ('iii', 'rrrr')
    >>> [len(text) for text in truncate_sample("i" * 900, "r" * 10, 300)]
    [325, 10]
    """
    # A short response leaves the instruction more than its third.
    share = max_chars // 3
    left_by_response = max_chars - len(response)
    instruction_limit = max(share, left_by_response)
    n_taken = min(len(instruction), instruction_limit)
    response_limit = max_chars - n_taken
    return (
        truncate_text(instruction, instruction_limit),
        truncate_text(response, response_limit),
    )


def truncate_pair(
    first: Sample,
    second: Sample,
    max_chars: int,
) -> tuple[Sample, Sample]:
    """Both samples of a comparison, each within `max_chars` by the rule above.

    >>> a, b = ("question", "a" * 90), ("question", "b" * 9)
    >>> truncate_pair(a, b, 60) == truncate_pair(b, a, 60)[::-1]
    True
    """
    return (
        truncate_sample(*first, max_chars),
        truncate_sample(*second, max_chars),
    )
