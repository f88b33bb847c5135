"""Whole conversations in one text, with marks that say who speaks.

Each style is that of public data sets or of chat templates. A text is a transcript only if it
begins with a mark, apart from a short preamble where the marks cannot be mistaken for prose, and
holds a mark of each side; so an instruction that merely quotes a dialogue stays a text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tacos.methods.samples.roles import Role, find_role


class TranscriptStyle(NamedTuple):
    """How the turns of a text are marked; the mark's group names the speaker."""

    mark: re.Pattern[str]
    end: re.Pattern[str] | None = None
    """What stands after a turn and is no part of it."""
    has_preamble: bool = True
    """Whether a text may come before the first mark: the system's."""


STYLES = (
    TranscriptStyle(  # ChatML
        re.compile(r"<\|im_start\|>(\w+)\n"),
        re.compile(r"<\|im_end\|>|<\|endoftext\|>"),
    ),
    TranscriptStyle(  # Llama 3
        re.compile(r"<\|start_header_id\|>(\w+)<\|end_header_id\|>\s*"),
        re.compile(r"<\|eot_id\|>|<\|end_of_text\|>|<\|begin_of_text\|>"),
    ),
    TranscriptStyle(  # Gemma
        re.compile(r"<start_of_turn>(\w+)\n"),
        re.compile(r"<end_of_turn>|<bos>|<eos>"),
    ),
    TranscriptStyle(  # Llama 2
        re.compile(r"(\[/?INST\])"),
        re.compile(r"</?s>"),
    ),
    TranscriptStyle(  # MOSS
        re.compile(r"<\|(Human|MOSS)\|>:|\[(Human|MOSS)\]:"),
        re.compile(r"<eo\w>"),
    ),
    TranscriptStyle(  # Zephyr, Phi, OASST
        re.compile(r"<\|(system|user|assistant|prompter)\|>:?\n?"),
        re.compile(r"<\|end\|>|<\|endoftext\|>|</s>"),
    ),
    TranscriptStyle(re.compile(r"\[\|(Human|AI)\|\]:?")),  # Baize
    TranscriptStyle(re.compile(r"<(human|bot)>:")),  # OIG
    TranscriptStyle(  # Guanaco, Alpaca's template
        re.compile(
            r"###\s*(Human|User|Assistant|System|Instruction|Input|Response)\s*:"
        ),
        re.compile(r"</s>|<\|endoftext\|>"),
    ),
    TranscriptStyle(  # HH-RLHF
        re.compile(r"(?:^|\n\n)(Human|Assistant):"),
        has_preamble=False,
    ),
    TranscriptStyle(  # Vicuna, Glaive
        re.compile(
            r"(?:^|(?<=\s)|(?<=</s>))(USER|ASSISTANT|SYSTEM|FUNCTION RESPONSE):"
        ),
        re.compile(r"</s>|<\|endoftext\|>"),
    ),
    TranscriptStyle(
        re.compile(r"(?m)^(Human|User|Assistant|AI|Bot|System):"),
        has_preamble=False,
    ),
)
SPECIAL_ROLES: dict[str, Role] = {
    "[INST]": "user",
    "[/INST]": "assistant",
    "Instruction": "user",
    "Input": "user",
    "Response": "assistant",
    "FUNCTION RESPONSE": "tool",
}
LLAMA_SYSTEM = re.compile(r"\s*<<SYS>>(.*?)<</SYS>>", re.DOTALL)
MOSS_MARKS = re.compile(r"^<\|(Human|MOSS)\|>:|<eo\w>\s*$")
ALPACA_PREAMBLE = "Below is an instruction that describes a task"


def split_transcript(text: str) -> list[tuple[Role, str]] | None:
    """Role and text of each turn; None for a text that is no transcript.

    >>> split_transcript("### Human: Hi. ### Assistant: Hello.")
    [('user', 'Hi.'), ('assistant', 'Hello.')]
    >>> split_transcript("Write a dialogue. Human: Hi.") is None
    True
    """
    for style in STYLES:
        # Cheap for the nearly all texts that have no mark at all.
        if style.mark.search(text):
            turns = _split_by_style(text, style)
            if turns is not None:
                return turns
    return None


def strip_marks(text: str) -> str:
    """A turn's text without the marks of MOSS, which its files keep around each turn.

    >>> strip_marks("<|Human|>: Hi.<eoh>")
    'Hi.'
    """
    return MOSS_MARKS.sub("", text).strip() if text.startswith("<|") else text


def _split_by_style(
    text: str,
    style: TranscriptStyle,
) -> list[tuple[Role, str]] | None:
    """The turns, if both sides have a mark."""
    marks = list(style.mark.finditer(text))
    first_mark = marks[0].start()
    preamble = _clean_text(text[:first_mark], style)
    if preamble and not style.has_preamble:
        return None

    turns: list[tuple[Role, str]] = []
    if preamble and not preamble.startswith(ALPACA_PREAMBLE):
        turns.append(("system", preamble))
    # A turn goes from the end of its mark to the next mark.
    starts = [mark.end() for mark in marks]
    ends = [mark.start() for mark in marks]
    ends = [*ends[1:], len(text)]
    for mark, start, end in zip(marks, starts, ends, strict=True):
        role = _read_role(mark)
        if role is None:
            return None
        said = _clean_text(text[start:end], style)
        turns += _read_turn(role, said)
    roles = {role for role, _ in turns}
    if not roles >= {"user", "assistant"}:
        return None
    return _merge_same_speakers(turns)


def _clean_text(text: str, style: TranscriptStyle) -> str:
    """A turn's text without what stands after it."""
    if style.end is not None:
        text = style.end.sub("", text)
    return text.strip()


def _read_role(mark: re.Match[str]) -> Role | None:
    """The role that a mark names."""
    speaker = next(group for group in mark.groups() if group)
    return SPECIAL_ROLES.get(speaker) or find_role(speaker)


def _read_turn(role: Role, text: str) -> list[tuple[Role, str]]:
    """A turn, and the system's text that stands in it in Llama 2's style."""
    system = LLAMA_SYSTEM.match(text) if role == "user" else None
    if system is None:
        return [(role, text)]
    rest = text[system.end() :]
    return [
        ("system", system[1].strip()),
        (role, rest.strip()),
    ]


def _merge_same_speakers(turns: list[tuple[Role, str]]) -> list[tuple[Role, str]]:
    """One turn for an instruction and its input."""
    merged: list[tuple[Role, str]] = []
    last_role = ""
    for role, text in turns:
        if role == last_role == "user":
            _, earlier = merged.pop()
            text = f"{earlier}\n\n{text}".strip()
        turn = (role, text)
        merged.append(turn)
        last_role = role
    return merged
