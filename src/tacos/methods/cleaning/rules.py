"""The rules by which `tacos clean` drops rows, and its presets.

Rules that read one row at a time are in `ROW_RULES`; the others compare rows with each other
(`normalised_texts`, `near_duplicates`), with evaluation sets (`contamination`) or with bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tacos.methods.cleaning.boilerplate import find_boilerplate, find_refusal
from tacos.methods.cleaning.broken_text import find_broken_text

RowRule = Callable[[str, str], str | None]
"""Instruction and response -> what is wrong with them, or None."""

ROW_RULES: Mapping[str, RowRule] = {
    "encoding": find_broken_text,
    "refusals": find_refusal,
    "boilerplate": find_boilerplate,
}
RULES = (*ROW_RULES, "lengths", "contamination", "duplicates", "near-duplicates")
PRESETS = {
    "light": ("encoding", "refusals", "duplicates"),
    "strict": (
        "encoding",
        "refusals",
        "boilerplate",
        "duplicates",
        "near-duplicates",
        "lengths",
    ),
}
"""Preset -> the rules that it applies; "contamination" comes with the files to compare with."""


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
