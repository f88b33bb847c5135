"""What stands around the question of a row beside the chat template.

The authors of TACOS trained on rows whose question stood in the sentence of Stanford Alpaca, on one
line, inside the chat template of the model, and without the words "### Response:".
"""

from __future__ import annotations

from tacos.trainers.recipe import Frame

OPENING = "Below is an instruction that describes a task"
LINE = (
    f"{OPENING}. Write a response that appropriately completes the request. "
    "### Instruction: {instruction}"
)
LINE_WITH_INPUT = (
    f"{OPENING}, paired with an input that provides further context. "
    "Write a response that appropriately completes the request. "
    "### Instruction: {instruction} ### Input: {input}"
)


def frame_question(frame: Frame, question: str, input_: str = "") -> str:
    """The first question of a chat as the model reads it; one that is framed already stays.

    Args:
        frame: The recipe's frame.
        question: The whole question, or the instruction where `input_` holds the rest.
        input_: The input of the row, "" for none.

    >>> frame_question("alpaca-line", "Add.", "1 and 2")[-41:]
    ' ### Instruction: Add. ### Input: 1 and 2'
    """
    if frame == "none" or question.startswith(OPENING):
        return question
    form = LINE_WITH_INPUT if input_ else LINE
    # Not str.format: a question may hold braces.
    head, _, rest = form.partition("{instruction}")
    return head + question + rest.replace("{input}", input_)
