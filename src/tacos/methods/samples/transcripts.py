"""Whole conversations in one text, with marks that say who speaks.

Each style is that of public data sets or of chat templates. A text is a transcript only if it
begins with a mark, apart from a short preamble where the marks cannot be mistaken for prose, and
holds a mark of each side; so an instruction that merely quotes a dialogue stays a text.

Marks that are plain words also occur in what people say. Of those, a system's counts at the
beginning alone, `### Input:` after an instruction alone, and after the first answer only marks that
occurred before it.
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
    is_plain: bool = False
    """Whether its marks are words that a text may hold, too."""


class MarkedTurn(NamedTuple):
    """What one mark begins; `mark` is how the text spells it."""

    role: Role
    text: str
    mark: str


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
        is_plain=True,
    ),
    TranscriptStyle(  # HH-RLHF
        re.compile(r"(?:^|\n\n)(Human|Assistant):"),
        has_preamble=False,
        is_plain=True,
    ),
    TranscriptStyle(  # Vicuna, Glaive
        re.compile(
            r"(?:^|(?<=\s)|(?<=</s>))(USER|ASSISTANT|SYSTEM|FUNCTION RESPONSE):"
        ),
        re.compile(r"</s>|<\|endoftext\|>"),
        is_plain=True,
    ),
    TranscriptStyle(
        re.compile(r"(?m)^(Human|User|Assistant|AI|Bot|System):"),
        has_preamble=False,
        is_plain=True,
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
ALPACA_QUESTIONS = ("Instruction", "Input")
PREAMBLE = "text before the first mark"
LLAMA_SYSTEM_MARK = "<<SYS>>"


def split_transcript(text: str) -> list[tuple[Role, str]] | None:
    """Role and text of each turn; None for a text that is no transcript.

    >>> split_transcript("### Human: Hi. ### Assistant: Hello.")
    [('user', 'Hi.'), ('assistant', 'Hello.')]
    >>> split_transcript("Write a dialogue. Human: Hi.") is None
    True
    """
    turns = _find_turns(text)
    return None if turns is None else _merge_same_speakers(turns)


def list_marks(text: str) -> dict[str, Role]:
    """Mark, as a transcript spells it, -> role; none for a text that is no transcript.

    >>> list_marks("### Human: Hi. ### Assistant: Hello.")
    {'### Human': 'user', '### Assistant': 'assistant'}
    """
    return {turn.mark: turn.role for turn in _find_turns(text) or ()}


def strip_marks(text: str) -> str:
    """A turn's text without the marks of MOSS, which its files keep around each turn.

    >>> strip_marks("<|Human|>: Hi.<eoh>")
    'Hi.'
    """
    return MOSS_MARKS.sub("", text).strip() if text.startswith("<|") else text


def _find_turns(text: str) -> list[MarkedTurn] | None:
    """What each mark of a transcript begins."""
    for style in STYLES:
        # Cheap for the nearly all texts that have no mark at all.
        if style.mark.search(text):
            turns = _split_by_style(text, style)
            if turns is not None:
                return turns
    return None


def _split_by_style(
    text: str,
    style: TranscriptStyle,
) -> list[MarkedTurn] | None:
    """The turns, if both sides have a mark."""
    marks = list(style.mark.finditer(text))
    if style.is_plain:
        marks = _choose_marks(marks)
    if not marks:
        return None
    first_mark = marks[0].start()
    preamble = _clean_text(text[:first_mark], style)
    if preamble and not style.has_preamble:
        return None

    turns: list[MarkedTurn] = []
    if preamble and not preamble.startswith(ALPACA_PREAMBLE):
        turns.append(MarkedTurn("system", preamble, PREAMBLE))
    # A turn goes from the end of its mark to the next mark.
    starts = [mark.end() for mark in marks]
    ends = [mark.start() for mark in marks]
    ends = [*ends[1:], len(text)]
    for mark, start, end in zip(marks, starts, ends, strict=True):
        role = _read_role(mark)
        if role is None:
            return None
        said = _clean_text(text[start:end], style)
        spelled = mark.group().strip().removesuffix(":")
        turns += _read_turn(role, said, spelled)
    roles = {turn.role for turn in turns}
    if not roles >= {"user", "assistant"}:
        return None
    return turns


def _choose_marks(marks: list[re.Match[str]]) -> list[re.Match[str]]:
    """The marks that begin a turn; the others are words of a text."""
    chosen: list[re.Match[str]] = []
    names: set[str] = set()
    last_role: Role | None = None
    has_answer = False
    for mark in marks:
        name = _get_name(mark)
        role = _read_role(mark)
        is_late_system = role == "system" and len(chosen) > 0
        is_stray_input = name == "Input" and last_role != "user"
        is_new_name = has_answer and role != "tool" and name not in names
        if is_late_system or is_stray_input or is_new_name:
            continue
        chosen.append(mark)
        names.add(name)
        last_role = role
        has_answer = has_answer or role == "assistant"
    # Alpaca's template does not end with a question.
    while chosen and _get_name(chosen[-1]) in ALPACA_QUESTIONS:
        chosen.pop()
    return chosen


def _clean_text(text: str, style: TranscriptStyle) -> str:
    """A turn's text without what stands after it."""
    if style.end is not None:
        text = style.end.sub("", text)
    return text.strip()


def _get_name(mark: re.Match[str]) -> str:
    """The speaker that a mark names."""
    return next(group for group in mark.groups() if group)


def _read_role(mark: re.Match[str]) -> Role | None:
    """The role of the speaker that a mark names."""
    speaker = _get_name(mark)
    return SPECIAL_ROLES.get(speaker) or find_role(speaker)


def _read_turn(
    role: Role,
    text: str,
    mark: str,
) -> list[MarkedTurn]:
    """A turn, and the system's text that stands in it in Llama 2's style."""
    system = LLAMA_SYSTEM.match(text) if role == "user" else None
    if system is None:
        return [MarkedTurn(role, text, mark)]
    rest = text[system.end() :]
    return [
        MarkedTurn("system", system[1].strip(), LLAMA_SYSTEM_MARK),
        MarkedTurn(role, rest.strip(), mark),
    ]


def _merge_same_speakers(turns: list[MarkedTurn]) -> list[tuple[Role, str]]:
    """One turn for an instruction and its input."""
    merged: list[tuple[Role, str]] = []
    last_role = ""
    for role, text, _ in turns:
        if role == last_role == "user":
            _, earlier = merged.pop()
            text = f"{earlier}\n\n{text}".strip()
        turn = (role, text)
        merged.append(turn)
        last_role = role
    return merged
