"""Judges and their reasons in words."""

from __future__ import annotations

import re

import polars as pl

FAULTS = re.compile(r"[a-z][a-z ,-]* \(\d+%\)(, [a-z][a-z -]* \(\d+%\))*")
"""How the embedded judge names the faults that a sample may have, with their probabilities."""
EMBEDDED = frozenset({"embedded-judge", "embedded"})
"""What the judge is called that is shipped with tacos, alone and in a panel."""
NO_FACTS = (
    "the embedded judge checks no facts: correctness says how right an answer sounds, so a "
    "confident wrong one may score high"
)
SPOKEN = {
    "embedded-judge": "the embedded judge",
    "embedded": "the embedded judge",
    "": "the judge",
}


def name_judge(model: str | None) -> str:
    """What a sentence calls a judge.

    >>> name_judge("embedded-judge"), name_judge("gpt-x")
    ('the embedded judge', 'gpt-x')
    """
    name = model or ""
    return SPOKEN.get(name, name)


def clip_text(text: str, limit: int = 300) -> str:
    """The start of a text on one line."""
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    return line[:limit] + " ..."


def describe_reasons(grades: pl.DataFrame) -> list[str]:
    """What the judges said of a sample by itself, each with its judge's name if it has one.

    `grades` is a table GRADES of one sample.
    """
    reasons = []
    for entry in grades.filter(pl.col("reason") != "").to_dicts():
        name = f"{name_judge(entry['judge'])}: " if entry["judge"] else ""
        reasons.append(name + describe_reason(entry["reason"]))
    return reasons


def describe_reason(reason: str) -> str:
    """A judge's reason for a grade; faults of the embedded judge say what their numbers are.

    >>> describe_reason("incomplete (45%), unclear (23%)")
    'likely faults, with their probabilities: incomplete (45%), unclear (23%)'
    >>> describe_reason("no fault is likely")
    'no fault is likely'

    Earlier versions of the embedded judge named features instead.
    """
    text = clip_text(reason)
    if FAULTS.fullmatch(text):
        return f"likely faults, with their probabilities: {text}"
    if text.startswith(("+ ", "- ")):
        return f"what raised (+) or lowered (-) its grade: {text}"
    return text
