r"""Finds the prompt template around the instructions of a data set, and sets it aside.

A template is what nearly all questions share at their beginning and end, in whole lines or with a
label such as `### Human:`. A data set may have a few of them, as Alpaca's prompt with and without
an input. Taggers and encoders do without; judges read the whole text, since it
may say what the response must be, and rows leave as they came.

A shared beginning of a sentence ("Write a Python function that ...") is no template: it says what
to do.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tacos.records import Turn

N_READ = 2_000
"""Questions of a file that templates are looked for in, from its beginning."""
LEAST = 20
"""Fewer distinct questions have no template: they may be alike by chance."""
COVERED = 0.9
"""The share of questions that the templates together must be around."""
BRANCH = 0.03
"""The share of questions that each template must be around."""
SHARED = 0.95
"""Of the questions with the same beginning, the share that must go on alike."""
SHORTEST = 10
"""Characters of a template besides white space, both sides together."""
N_HEADINGS_CHARS = 60
"""Longer lines between the sides are no headings."""
N_SHOWN = 60
"""Characters of a template that its name shows."""

LABEL = re.compile(
    r"[\s#*_<|\[]*(human|user|question|q|instruction|input|prompt|problem|task|query"
    r"|assistant|gpt|bot|ai|model|response|answer|a|output|solution)[\s*_|>\]]*:[\s*_]*",
    re.IGNORECASE,
)
"""A label on the line of the text that it labels: `### Human: `."""
MARKUP = re.compile(r"(?:\s*(?:</?s>|<\|[^|<>\n]+\|>|\[/?[A-Z]+\]|<</?SYS>>))+\s*")
"""Marks of chat formats: `<s>[INST] `, `<|im_end|>`."""
N_LABEL_CHARS = 60
"""Labels and marks are no longer."""


class PromptTemplate(NamedTuple):
    """The text before and after what questions ask, and the headings between their parts."""

    prefix: str
    suffix: str
    headings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its beginning, on one line."""
        text = self.prefix.strip() or self.suffix.strip()
        return " ".join(text.split())[:N_SHOWN]


def find_templates(questions: Sequence[str]) -> list[PromptTemplate]:
    """The templates that nearly all of the questions have, the longest first; none if there is no
    such thing.

    >>> questions = [f"### Question:\\nWhat is {i}?\\n\\n### Answer:" for i in range(20)]
    >>> find_templates(questions)
    [PromptTemplate(prefix='### Question:\\n', suffix='\\n\\n### Answer:', headings=())]
    >>> find_templates([f"What is {i}?" for i in range(20)])
    []
    """
    distinct = list(dict.fromkeys(questions))
    if len(distinct) < LEAST:
        return []
    n_least = max(2, round(BRANCH * len(distinct)))
    templates = []
    n_covered = 0
    for group in _split_by_beginning(distinct, n_least):
        template = _find_template(group)
        if template is None:
            continue
        templates.append(template)
        n_covered += sum(_has_template(text, template) for text in group)
    if n_covered < COVERED * len(distinct):
        return []
    return sorted(set(templates), key=_order_by_length)


def strip_turns(
    turns: Sequence[Turn],
    templates: Sequence[PromptTemplate],
) -> tuple[tuple[Turn, ...], PromptTemplate | None]:
    """The turns with the user's texts out of their templates, and the template of the first such
    text (None: none has any).
    """
    stripped = []
    found = None
    for turn in turns:
        if turn.role == "user":
            text, template = strip_template(turn.text, templates)
            turn = turn._replace(text=text)
            found = found or template
        stripped.append(turn)
    return tuple(stripped), found


def strip_template(
    text: str,
    templates: Sequence[PromptTemplate],
) -> tuple[str, PromptTemplate | None]:
    """What a text asks, without the first template that it has, and that template.

    A text of which nothing would be left stays as it is.
    """
    for template in templates:
        if not _has_template(text, template):
            continue
        end = len(text) - len(template.suffix)
        inner = text[len(template.prefix) : end]
        lines = [
            line
            for line in inner.split("\n")
            if line.strip() not in template.headings or not line.strip()
        ]
        return "\n".join(lines).strip(), template
    return text, None


def _has_template(text: str, template: PromptTemplate) -> bool:
    """Whether a text has the template around something."""
    end = len(text) - len(template.suffix)
    if not text.startswith(template.prefix) or not text.endswith(template.suffix):
        return False
    return bool(text[len(template.prefix) : end].strip())


def _order_by_length(template: PromptTemplate) -> tuple[int, PromptTemplate]:
    return -len(template.prefix) - len(template.suffix), template


# Finding one


def _find_template(group: Sequence[str]) -> PromptTemplate | None:
    """The template of questions with the same beginning, or None."""
    prefix = _cut_to_lines(_share_beginning(group))
    rest = [text.removeprefix(prefix) for text in group]
    reversed_rest = [text[::-1] for text in rest]
    suffix = _cut_end_to_lines(_share_beginning(reversed_rest)[::-1])
    n_chars = len("".join((prefix + suffix).split()))
    if n_chars < SHORTEST:
        return None
    inner = [text.removesuffix(suffix) for text in rest]
    return PromptTemplate(prefix, suffix, _find_headings(inner))


def _split_by_beginning(texts: Sequence[str], n_least: int) -> Iterator[Sequence[str]]:
    """Groups of texts that begin alike, as far as nearly all of them do."""
    waiting = [(texts, 0)]
    while waiting:
        group, start = waiting.pop()
        length = _measure_shared(group, start)
        branches = _list_branches(group, length, n_least)
        n_branched = sum(len(branch) for branch in branches)
        # A few characters in common are chance: a template goes on in each branch.
        if len(branches) < 2 or n_branched < SHARED * len(group) or length < SHORTEST:
            yield group
            continue
        waiting += [(branch, length + 1) for branch in branches]


def _list_branches(
    group: Sequence[str], length: int, n_least: int
) -> list[Sequence[str]]:
    """The texts by their character at a place, where enough have the same."""
    by_character: dict[str, list[str]] = {}
    for text in group:
        by_character.setdefault(text[length : length + 1], []).append(text)
    return [texts for texts in by_character.values() if len(texts) >= n_least]


def _share_beginning(texts: Sequence[str]) -> str:
    """The beginning that nearly all texts share."""
    length = _measure_shared(texts, 0)
    beginnings = Counter(text[:length] for text in texts)
    return beginnings.most_common(1)[0][0]


def _measure_shared(texts: Sequence[str], start: int) -> int:
    """How many characters nearly all texts share, of which they share `start` already."""
    n_enough = SHARED * len(texts)
    alike = list(texts)
    length = start
    while True:
        counts = Counter(text[length : length + 1] for text in alike)
        character, count = counts.most_common(1)[0]
        if not character or count < n_enough:
            return length
        if count < len(alike):
            alike = [text for text in alike if text[length : length + 1] == character]
        length += 1


def _cut_to_lines(shared: str) -> str:
    """The whole lines of a shared beginning, and a label or marks of a chat format after them."""
    end = shared.rfind("\n") + 1
    last = shared[end:]
    for n_chars in range(min(len(last), N_LABEL_CHARS), 0, -1):
        if _is_label(last[:n_chars]):
            return shared[: end + n_chars]
    return shared[:end]


def _cut_end_to_lines(shared: str) -> str:
    """The whole lines of a shared end, from their line end on, and a label or marks before them."""
    start = shared.find("\n")
    if start < 0:
        start = len(shared)
    first = shared[:start]
    for n_chars in range(min(start, N_LABEL_CHARS), 0, -1):
        if _is_label(first[-n_chars:]):
            return shared[start - n_chars :]
    return shared[start:]


def _is_label(piece: str) -> bool:
    """Whether a piece of a line is a label or marks of a chat format."""
    return LABEL.fullmatch(piece) is not None or MARKUP.fullmatch(piece) is not None


def _find_headings(texts: Sequence[str]) -> tuple[str, ...]:
    """Lines that nearly all texts have, such as `### Input:`."""
    counts: Counter[str] = Counter()
    for text in texts:
        lines = {line.strip() for line in text.split("\n")}
        counts.update(lines)
    headings = [
        line
        for line, count in counts.items()
        if line and len(line) <= N_HEADINGS_CHARS and count >= SHARED * len(texts)
    ]
    return tuple(sorted(headings))
