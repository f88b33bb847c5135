"""The column names that public data sets use, and how a row's columns are looked up by them.

Names are compared without case, surrounding blanks, or the difference of blanks, hyphens and
underscores: `Instruction `, `SYSTEM PROMPT` and `system_prompt` are the usual names, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import product

MAX_SHOWN = 60
"""Characters of a name that a message shows."""

Columns = tuple[str, ...]

SEPARATORS = str.maketrans(" -", "__")

CONVERSATIONS = (
    "conversations",
    "messages",
    "conversation",
    "contents",
)
MAYBE_CONVERSATIONS = (
    "dialogue",
    "dialog",
    "dialogues",
    "chat",
    "data",
)
"""Names that often mean something else, so columns of questions and answers go before them."""
TRANSCRIPTS = (
    "items",
    "turns",
    "text",
    "chosen",
    "plain_text",
    "input",
    "prompt",
    "instruction",
)
"""Names of columns that may hold a whole conversation where nothing else does: messages, or one
text with marks such as "Human:".
"""
DEFINITIONS = ("definition",)
"""A task's definition is an instruction whose input may be called `inputs`."""
INSTRUCTIONS = (
    "instruction",
    "prompt",
    "question",
    "query",
    "problem",
    "instructions",
    "user_prompt",
    *DEFINITIONS,
)
QUESTIONS = (
    "question",
    "query",
    "problem",
)
"""Beside an instruction, what it is to be done with."""
GENERAL_INSTRUCTIONS = (
    "instruction",
    "instructions",
    *DEFINITIONS,
)
"""Names of instructions that may say what to do with a question."""
CONTEXTS = (
    "input",
    "context",
    "passage",
)
WORKED_ANSWERS = (
    "solution",
    "generated_solution",
    "generation",
)
FINAL_ANSWERS = (
    "answer",
    "target",
    "final_answer",
)
"""Beside a worked answer, these hold its last line alone, such as "7"."""
REASONINGS = (
    "rationale",
    "reasoning",
    "cot",
    "chain_of_thought",
)
"""What leads to a final answer that stands beside it."""
EXPLANATIONS = (
    "explanation",
    "exp",
    "thinking",
    "thought",
    "thoughts",
    "reasoning_content",
    "complex_cot",
    "steps",
    "reasoning_steps",
)
"""What leads to a bare answer, such as "7", that stands beside it."""
CHOSEN = "chosen"
SIDES = (
    "answer",
    "response",
    "output",
    "completion",
    "message",
    "messages",
    "text",
)
"""What the names of the two sides of a preference are made with."""
SIDE_WORDS = {
    CHOSEN: ("rejected", "reject"),
    "preferred": ("dispreferred", "non_preferred", "rejected"),
    "accepted": ("rejected",),
    "better": ("worse",),
    "winner": ("loser",),
    "winning": ("losing",),
}
"""Word for the better answer -> words for the worse one."""
SIDE_LETTERS = {
    "j": "k",
    "w": "l",
}
"""The same for the ends of names, as in response_w."""


def _iterate_preferences() -> Iterator[tuple[str, str]]:
    """The names of the better and the worse answer: words alone come first."""
    for word, opposites in SIDE_WORDS.items():
        for opposite in opposites:
            yield word, opposite
    for word, opposites in SIDE_WORDS.items():
        for opposite, side in product(opposites, SIDES):
            yield f"{word}_{side}", f"{opposite}_{side}"
            yield f"{side}_{word}", f"{side}_{opposite}"
    for letter, opposite in SIDE_LETTERS.items():
        for side in SIDES:
            yield f"{side}_{letter}", f"{side}_{opposite}"


PREFERENCES = tuple(_iterate_preferences())
"""Names of the better and the worse answer of a preference."""
CHOSEN_ANSWERS = tuple(dict.fromkeys(better for better, _ in PREFERENCES))
REJECTED = tuple(dict.fromkeys(worse for _, worse in PREFERENCES))
SAMPLED_ANSWERS = (
    "completions",
    "responses",
    "generations",
    "outputs",
)
"""Several answers of models, in no order."""
RESPONSES = (
    "output",
    "response",
    "completion",
    *WORKED_ANSWERS,
    CHOSEN,
    "answer",
    "target",
    "answers",
    "targets",
    "chosen_response",
    "preferred_output",
    "final_answer",
    *SAMPLED_ANSWERS,
)
COUPLES = (
    ("user", "assistant"),
    ("human", "assistant"),
    ("human", "bot"),
    ("human", "gpt"),
    ("user", "bot"),
    ("source", "target"),
    ("inputs_pretokenized", "targets_pretokenized"),
    ("inputs", "targets"),
    ("input_text", "output_text"),
    ("message_1", "message_2"),
    ("questions", "answers"),
    ("q", "a"),
    ("ask", "answer"),
    ("patient", "doctor"),
    ("content", "summary"),
    ("指令", "输出"),
    ("问题", "回答"),
    ("问题", "答案"),
)
"""Names that mean question and answer only together."""
SYSTEMS = (
    "system",
    "system_prompt",
    "systeminstruction",
    "system_instruction",
    "meta_instruction",
)
CHOICES = (
    "choices",
    "options",
    "answer_choices",
)
"""The choices of a question."""
MAYBE_CHOICES = (
    "candidates",
    "endings",
)
"""Choices, where the answer is the letter or the number of one."""
HISTORIES = (
    "history",
    "chat_history",
)
TREES = ("prompt",)
"""Columns that may hold a tree of messages."""
REPLIES = ("replies",)
"""The column of a row that is the first message of a tree."""


def find_first_column(
    names: Iterable[str],
    columns: Columns,
    used: Columns = (),
) -> str:
    """The column with the first of the names that is one and not used yet, or "".

    >>> find_first_column(("instruction", "prompt"), ("Prompt ", "Output"))
    'Prompt '
    """
    by_name = _index_columns(columns)
    for name in names:
        column = by_name.get(name, "")
        if column and column not in used:
            return column
    return ""


@lru_cache(maxsize=1024)
def list_preferences(columns: Columns) -> tuple[tuple[str, str], ...]:
    """The columns of a better and a worse answer, the usual names first; cached, as rows repeat
    columns.

    >>> list_preferences(("prompt", "answer", "Chosen Answer", "rejected_answer"))
    (('Chosen Answer', 'rejected_answer'),)
    """
    by_name = _index_columns(columns)
    return tuple(
        (by_name[better], by_name[worse])
        for better, worse in PREFERENCES
        if better in by_name and worse in by_name
    )


def list_found_columns(names: Iterable[str], columns: Columns) -> Columns:
    """The columns that have one of the names, in the order of the names."""
    by_name = _index_columns(columns)
    return tuple(by_name[name] for name in names if name in by_name)


def join_names(names: Iterable[object]) -> str:
    """Names in a row as a message shows them: long ones clipped.

    >>> join_names(["question", 3])
    'question, 3'
    """
    return ", ".join(map(clip_name, names))


def clip_name(name: object) -> str:
    """A name as a message shows it: at most `MAX_SHOWN` characters.

    >>> clip_name("x" * 100_000)[-7:]
    'xxxx...'
    """
    text = str(name)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


@lru_cache(maxsize=4096)
def normalise_name(column: object) -> str:
    """How a column's name is compared.

    >>> normalise_name(" System Prompt")
    'system_prompt'
    """
    # A byte order mark sticks to the first header of some files.
    name = str(column).strip(" \t\r\n\ufeff")
    return name.lower().translate(SEPARATORS)


@lru_cache(maxsize=1024)
def _index_columns(columns: Columns) -> Mapping[str, str]:
    """Compared name -> column; cached, as rows repeat columns."""
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(normalise_name(column), column)
    # Of two that differ in case alone, the usual spelling is meant.
    for column in columns:
        if column in by_name:
            by_name[column] = column
    return by_name
