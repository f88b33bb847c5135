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
from tacos.models.character_columns import Characters, Phrases
from tacos.models.instruction_intent import InstructionIntents, word_set
from tacos.models.word_columns import Flags, Numbers, WordMemory, Words, find_words

MAX_CHARS = 20_000
"""Longer texts are read up to their first 20,000 characters."""
ITEM = re.compile(
    r"[ \t]*(?:[-*•–]|\(?\d{1,3}[.):]|[a-zA-Z][.)]|[Ss]tep \d+)[ \t]*(?=\S)"
)
"""What a line of a list starts with."""
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

    `lower` are the responses in small letters, `characters` theirs before that, `n_items` how many
    list items each has.
    """

    instructions: list[str]
    responses: list[str]
    lower: list[str]
    asked: Words
    own: Words
    intents: InstructionIntents
    characters: Characters
    n_items: Numbers

    @cached_property
    def is_shared(self) -> Flags:
        """Which distinct words of responses their instructions have, too."""
        return self.own.distinct.within(self.asked.distinct)

    @cached_property
    def phrases(self) -> Phrases:
        """Finds phrases in responses in small letters."""
        return Phrases(self.lower)

    @cached_property
    def links(self) -> Phrases:
        """Finds parts of addresses in responses."""
        return Phrases(self.responses)

    @cached_property
    def n_sentences(self) -> Numbers:
        """The number of sentences of each response."""
        texts = self.characters.sentences.texts
        return np.bincount(texts, minlength=len(self.responses))


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

    characters = Characters(own_texts)
    return SampleTexts(
        asked_texts,
        own_texts,
        lower,
        asked,
        own,
        intents,
        characters,
        _count_items(own_texts, characters),
    )


def _count_items(texts: Sequence[str], characters: Characters) -> Numbers:
    """Count the list items of each text."""
    starts = characters.line_starts
    may_be_item = characters.may_be_listed(starts)
    is_step = characters.is_one(starts, "Ss") & characters.is_one(starts + 1, "t")
    candidates = starts[may_be_item | is_step]
    rows = characters.texts[candidates]
    places = candidates - characters.starts[rows]
    n_items = np.zeros(len(texts), dtype=np.int64)
    for row, place in zip(rows.tolist(), places.tolist(), strict=True):
        if ITEM.match(texts[row], place):
            n_items[row] += 1
    return n_items
