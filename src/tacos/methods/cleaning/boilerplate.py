"""Finds responses in which a model refuses, and texts that a template or a chat's page left."""

from __future__ import annotations

import re

START = 200
"""Characters of a response in which a refusal must begin."""

# What a model says of itself when it declines; a person's "I'm sorry for the delay" is none.
REFUSAL = re.compile(
    r"\bas an? (?:ai|artificial intelligence)(?: (?:language )?(?:model|assistant))?\b"
    r"|\bas a (?:large )?language model\b"
    r"|\bi(?:'|’)?(?: a)?m (?:just|only) an? (?:ai|language model)\b"
    r"|\bi(?:'|’)?(?: a)?m (?:very )?sorry,? but (?:i|as an)\b"
    r"[^.]{0,40}\b(?:can(?:no|')?t|can’t|unable|not able|won't|don't)\b"
    r"|^(?:sorry,? )?i (?:can(?:no|')?t|can’t|am unable to|am not able to) "
    r"(?:assist|help|fulfil|comply|provide|generate|create|answer|write|do that)"
    r"|作为(?:一个|一款|一名)?(?:AI|人工智能|大?语言模型)"
    r"|(?:抱歉|对不起)，(?:但)?我(?:无法|不能)",
    re.IGNORECASE,
)
ABOUT_MODELS = re.compile(
    r"\b(?:ai|artificial intelligence|chat ?bot|assistant|language model|are you|can you"
    r"|do you|apolog\w+)\b"
    r"|人工智能|机器人|你是|道歉",
    re.IGNORECASE,
)
"""Questions to which such words may be the answer."""

BOILERPLATE = re.compile(
    r"<\|(?:im_start|im_end|endoftext|eot_id|start_header_id|end_header_id|assistant|user)\|>"
    r"|\[/?INST\]|<</?SYS>>|</s>\s*$"
    r"|</?no(?:in|out)put>"
    r"|^\s*(?:Regenerate response|Copy code|ChatGPT said:)\s*$"
    r"|^\s*###\s*(?:Instruction|Response|Human|Assistant):",
    re.MULTILINE | re.IGNORECASE,
)
"""Marks of templates, and the buttons of a chat's page."""


def find_refusal(instruction: str, response: str) -> str | None:
    """The words with which a response begins to refuse, or None.

    >>> find_refusal("Who won?", "I'm sorry, but as an AI language model I cannot know.")
    "I'm sorry, but as an AI language model I cannot"
    >>> find_refusal("Answer a complaint.", "I'm sorry for the delay.") is None
    True
    """
    found = REFUSAL.search(response[:START])
    if found is None or ABOUT_MODELS.search(instruction):
        return None
    return found[0]


def find_boilerplate(instruction: str, response: str) -> str | None:
    """The mark of a template or page that a text still has, or None.

    >>> find_boilerplate("Hi", "Hello!<|im_end|>")
    '<|im_end|>'
    """
    found = BOILERPLATE.search(response) or BOILERPLATE.search(instruction)
    return None if found is None else found[0].strip()
