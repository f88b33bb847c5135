"""Reads instructions and responses once for all features of the judge: words, sentences, items."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tacos.models import (
    instruction_intent,
    persuasion_attacks,
    task_kinds,
    word_classes,
)
from tacos.models.instruction_intent import InstructionIntents, word_set
from tacos.models.word_columns import Flags, Numbers, WordMemory, Words, find_words

MAX_CHARS = 20_000
"""Longer texts are read up to their first 20,000 characters."""
# A pattern that begins with the characters it needs is found many times faster: one or more full
# stops before a blank, a quote or the end; or one of the others.
_SENTENCE = re.compile(
    r"[.!?。！？\n](?:(?<=[。！？\n])|[.!?]*(?<=[.!?])(?=[\s\"'”)]|$))"
)
ITEM = re.compile(
    r"^[ \t]*(?:[-*•–]|\(?\d{1,3}[.):]|[a-zA-Z][.)]|[Ss]tep \d+)[ \t]*(?=\S)",
    re.MULTILINE,
)
_DECLINING = word_set("i i'm sorry ai artificial language possible 抱 无 对")
_CLASSES = {
    **instruction_intent.CLASSES,
    **persuasion_attacks.CLASSES,
    **task_kinds.CLASSES,
    **word_classes.CLASSES,
    "declining": _DECLINING,
}


@dataclass(frozen=True)
class SampleTexts:
    """Samples as they are measured, `asked` the words of instructions, `own` those of responses.

    `lower` are the responses in small letters, `sentences` those of each response, `n_items` how
    many list items each has.
    """

    instructions: list[str]
    responses: list[str]
    lower: list[str]
    asked: Words
    own: Words
    intents: InstructionIntents
    sentences: list[list[str]]
    n_items: Numbers

    @cached_property
    def is_shared(self) -> Flags:
        """Which distinct words of responses their instructions have, too."""
        return self.own.distinct.within(self.asked.distinct)


class _Memory:
    """The words of this process; a lock lets only one thread look up new ones at a time."""

    lock = threading.Lock()
    words = WordMemory(_CLASSES)


def read_samples(instructions: Sequence[str], responses: Sequence[str]) -> SampleTexts:
    """Read samples, `word_columns.MAX_TEXTS` at most; pleas to the judge are cut from responses."""
    asked_texts = [text[:MAX_CHARS].strip() for text in instructions]
    own_texts = [text[:MAX_CHARS].strip() for text in responses]
    with _Memory.lock:
        if _Memory.words.is_full:
            _Memory.words = WordMemory(_CLASSES)
        memory = _Memory.words
        lower_asked = [text.lower() for text in asked_texts]
        lower = [text.lower() for text in own_texts]
        asked = memory.read(lower_asked)
        own = memory.read(lower)
        intents = instruction_intent.read_intents(lower_asked, asked)
        cut: list[int] = []
        for row in persuasion_attacks.find_suspects(own_texts, own, intents.scoring):
            kept = persuasion_attacks.cut_pleas(
                own_texts[row],
                frozenset(find_words(asked_texts[row])),
                bool(intents.scoring[row]),
            )
            if kept != own_texts[row]:
                cut.append(row)
                own_texts[row] = kept
                lower[row] = kept.lower()
        if cut:
            others = memory.read([lower[row] for row in cut])
            own = own.replace(np.array(cut), others)

    sentences = [
        [part for part in _SENTENCE.split(text) if part.strip()] for text in own_texts
    ]
    n_items = [len(ITEM.findall(text)) for text in own_texts]
    return SampleTexts(
        asked_texts,
        own_texts,
        lower,
        asked,
        own,
        intents,
        sentences,
        np.array(n_items, dtype=np.int64),
    )
