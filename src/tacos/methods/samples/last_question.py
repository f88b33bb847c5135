"""Finds what is asked last in the text that stands before an answer."""

from __future__ import annotations

import re

TURN = re.compile(r"(?:^|\n\n)(?=(?:System|User|Assistant|Tool): )")
"""Where a turn begins in a transcript (`sample_parsing.extract_instruction`)."""
ASKING = "User: "


def find_last_question(instruction: str) -> str:
    """The last question of a transcript of several turns; any other text as it is.

    >>> find_last_question("User: What is 2 + 2?\\n\\nAssistant: 4\\n\\nUser: And 3 + 3?")
    'And 3 + 3?'
    >>> find_last_question("Add 2 and 2.")
    'Add 2 and 2.'
    """
    # What stands before the first turn is empty in a transcript.
    before, *turns = TURN.split(instruction)
    questions = [turn for turn in turns if turn.startswith(ASKING)]
    if before or len(turns) < 2 or not questions:
        return instruction
    return questions[-1].removeprefix(ASKING)
