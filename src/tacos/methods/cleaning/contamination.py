"""Finds rows that contain the prompts of evaluation sets, verbatim or lightly edited.

The words of a prompt that stand in runs of three words which the row has, too, are covered. A row
contains a prompt if the covered words have `COVERED` of the weight of all; a word weighs the more,
the fewer rows have it: "write a short story about" is in many rows, and proves nothing. A prompt of
fewer than `SHORT` words must be covered whole, by a line that is hardly longer.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

RUN = 3
"""Words of a run."""
COVERED = 0.75
SHORT = 6
ROOM = 2
"""Words that a line may have beside those of a short prompt."""
MAX_QUOTED = 120
"""Characters of the matched text that are shown."""
PROMPTS = (
    "prompt",
    "instruction",
    "question",
    "query",
    "problem",
    "text",
    "turns",
    "conversations",
    "messages",
)
"""Fields of evaluation sets that hold prompts, in any case; the first that a row has counts."""
ANSWERERS = frozenset({"assistant", "gpt", "system", "bot", "model"})
SPEAKERS = ("role", "from")
CONTENTS = ("content", "value", "text")

_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")

Words = tuple[str, ...]


class Prompt(NamedTuple):
    """A prompt of an evaluation set, and the file and row that it is from."""

    source: str
    words: Words


class Contamination(NamedTuple):
    """The prompt that a row contains, the share that is covered, and the covered words."""

    prompt: Prompt
    covered: float
    matched: str


def is_long_enough(prompt: Prompt) -> bool:
    """Whether a prompt can be looked for: a word or two may be in any row.

    >>> is_long_enough(Prompt("a:0", ("hello", "there")))
    False
    """
    return len(prompt.words) >= RUN


def list_evaluation_prompts(row: Mapping[str, Any]) -> list[str]:
    """The prompts of one row of an evaluation set; of a conversation, what users say.

    >>> list_evaluation_prompts({"turns": ["Name a poet.", "Now another."], "id": 3})
    ['Name a poet.', 'Now another.']
    >>> list_evaluation_prompts({"id": 3})
    []
    """
    fields = {name.casefold(): value for name, value in row.items()}
    for name in PROMPTS:
        texts = _list_texts(fields.get(name), alternate=name == "conversations")
        if texts:
            return texts
    return []


def split_words(text: str) -> Words:
    """The words of a text, in one case; a character of Chinese is a word.

    >>> split_words("Don't say 你好!")
    ('don', 't', 'say', '你', '好')
    """
    return tuple(WORD.findall(text.casefold()))


class PromptIndex:
    """The prompts of evaluation sets by their runs of words.

    `n_rows_with` says of how many of `n_rows` rows each word is a part.
    """

    def __init__(
        self,
        prompts: Iterable[Prompt],
        n_rows_with: Mapping[str, int],
        n_rows: int,
    ) -> None:
        self._prompts = [prompt for prompt in prompts if is_long_enough(prompt)]
        self._weights = [
            [_weigh(n_rows_with.get(word, 0), n_rows) for word in prompt.words]
            for prompt in self._prompts
        ]
        self._fewest = [
            _count_fewest_runs(prompt.words, weights)
            for prompt, weights in zip(self._prompts, self._weights, strict=True)
        ]
        self._numbers: defaultdict[Words, set[int]] = defaultdict(set)
        for number, prompt in enumerate(self._prompts):
            for run in _list_runs(prompt.words):
                self._numbers[run].add(number)

    def find(self, text: str) -> Contamination | None:
        """The prompt that a text contains, the most covered one; None if it contains none."""
        words = split_words(text)
        runs = set(_list_runs(words)) & self._numbers.keys()
        n_shared: Counter[int] = Counter()
        for run in runs:
            n_shared.update(self._numbers[run])
        found = []
        for number in sorted(n_shared):
            # Most prompts share a common run or two, which cannot be enough.
            if n_shared[number] < self._fewest[number]:
                continue
            contamination = self._compare(number, runs, text)
            if contamination is not None:
                found.append(contamination)
        return max(found, key=_read_coverage, default=None)

    def _compare(
        self,
        number: int,
        runs: set[Words],
        text: str,
    ) -> Contamination | None:
        """How the text with these runs contains a prompt, or None."""
        prompt = self._prompts[number]
        weights = self._weights[number]
        places = _list_covered_places(prompt.words, runs)
        covered = sum(weights[place] for place in places) / sum(weights)
        if len(prompt.words) < SHORT:
            if not _has_line(text, prompt.words):
                return None
        elif covered < COVERED:
            return None
        matched = " ".join(prompt.words[place] for place in sorted(places))
        cut = "..." if len(matched) > MAX_QUOTED else ""
        return Contamination(prompt, covered, matched[:MAX_QUOTED] + cut)


def _list_runs(words: Words) -> list[Words]:
    """All runs of `RUN` words."""
    return [words[first : first + RUN] for first in range(len(words) - RUN + 1)]


def _count_fewest_runs(words: Words, weights: Sequence[float]) -> int:
    """The fewest different runs that can cover as much of a prompt as is needed."""
    repeats = max(Counter(_list_runs(words)).values())
    needed = COVERED * sum(weights)
    covered = 0.0
    # At best a run covers the heaviest words, wherever it stands.
    for n_words, weight in enumerate(sorted(weights, reverse=True), 1):
        covered += weight
        if covered >= needed:
            return math.ceil(n_words / (RUN * repeats))
    return 1


def _has_line(text: str, words: Words) -> bool:
    """Whether a line of the text is the words, but for `ROOM` more."""
    wanted = set(_list_runs(words))
    for line in text.splitlines():
        own = split_words(line)
        is_short = len(own) <= len(words) + ROOM
        if is_short and wanted <= set(_list_runs(own)):
            return True
    return False


def _list_covered_places(words: Words, runs: set[Words]) -> set[int]:
    """The places of words that stand in one of the runs."""
    places: set[int] = set()
    for first, run in enumerate(_list_runs(words)):
        if run in runs:
            places.update(range(first, first + RUN))
    return places


def _weigh(n_with: int, n_rows: int) -> float:
    """The inverse document frequency, smoothed."""
    return math.log((n_rows + 2) / (n_with + 1))


def _read_coverage(contamination: Contamination) -> float:
    return contamination.covered


def _list_texts(value: Any, *, alternate: bool) -> list[str]:
    """The texts of users in a field: one text, a list of texts, or of messages."""
    if isinstance(value, str):
        return [value] if value.strip() else []
    if not isinstance(value, Sequence):
        return []
    texts = []
    # In a conversation of plain texts, users and models take turns.
    step = 2 if alternate and all(isinstance(turn, str) for turn in value) else 1
    for turn in value[::step]:
        if isinstance(turn, str):
            texts.append(turn)
        elif isinstance(turn, Mapping):
            texts.extend(_list_user_texts(turn))
    return texts


def _list_user_texts(message: Mapping[str, Any]) -> list[str]:
    """The text of a message, if a user says it."""
    speaker = next((message[name] for name in SPEAKERS if name in message), "")
    if str(speaker).casefold() in ANSWERERS:
        return []
    contents = [message[name] for name in CONTENTS if name in message]
    return [content for content in contents[:1] if isinstance(content, str)]
