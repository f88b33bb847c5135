"""The rules by which `tacos clean` drops rows, and its presets.

Rules that read question and answer of one row are in `ROW_RULES`, those that read every text of a
row in `SENSITIVE_RULES`; the others compare rows with each other (`normalised_texts`,
`near_duplicates`, `paraphrases`, `tacos.pipeline.steps.worse_answers`), with evaluation sets
(`contamination`), with the languages that are wanted (`languages`) or with bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tacos.methods.cleaning.boilerplate import find_boilerplate, find_refusal
from tacos.methods.cleaning.broken_text import find_broken_text
from tacos.methods.cleaning.sensitive_rows import SENSITIVE_RULES

RowRule = Callable[[str, str], str | None]
"""Instruction and response -> what is wrong with them, or None."""

ROW_RULES: Mapping[str, RowRule] = {
    "encoding": find_broken_text,
    "refusals": find_refusal,
    "boilerplate": find_boilerplate,
}
RULES = (
    *SENSITIVE_RULES,
    *ROW_RULES,
    "lengths",
    "language",
    "contamination",
    "duplicates",
    "near-duplicates",
    "paraphrases",
    "same-instruction",
)
"""In the order in which they are applied: a row is dropped by the first that it breaks."""
PRESETS = {
    "light": ("secrets", "encoding", "refusals", "duplicates"),
    "strict": (
        "secrets",
        "encoding",
        "refusals",
        "boilerplate",
        "duplicates",
        "near-duplicates",
        "lengths",
    ),
}
"""Preset -> the rules that it applies; "contamination" and "language" come with what
they need to know.
"""


def find_row_fault(
    instruction: str,
    response: str,
    rules: frozenset[str],
) -> tuple[str, str] | None:
    """The first of the row rules that the row breaks, and how; None where it breaks none.

    >>> find_row_fault("Hi?", "As an AI language model, I cannot.", frozenset({"refusals"}))
    ('refusals', 'As an AI language model')
    """
    for name, find in ROW_RULES.items():
        if name not in rules:
            continue
        found = find(instruction, response)
        if found is not None:
            return name, found
    return None
