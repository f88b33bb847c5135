"""Measures what kind of task an instruction sets, and how its response goes about it.

These features stand beside those of `tacos.models.response_features`, which reads the words once
for both. A kernel machine reads them (`tacos.models.judge`), so that they need no direction of
their own: what length means, for instance, depends on the kind of task.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping, Sequence, Set
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tacos.models import instruction_intent
from tacos.models.instruction_intent import word_set
from tacos.models.word_classes import FUNCTION_WORDS, ClassCounts

Array = npt.NDArray[np.float64]

# The kind of task by the first word of the instruction.
_FIRST_WORDS = {
    "creates": "write create generate compose construct design develop make come",
    "explains": "describe explain discuss why how outline analyze analyse compare evaluate",
    "lists": "list name give provide suggest brainstorm identify find",
    "asks a fact": "what who when where which is are does do can",
    "edits": (
        "edit rewrite rephrase paraphrase convert change replace transform translate correct "
        "fill complete add rearrange sort arrange reword combine modify remove fix insert"
    ),
    "classifies": (
        "classify categorize categorise determine predict assign label choose select decide tell"
    ),
    "calculates": "calculate compute estimate solve evaluate count convert",
}
# The kind of task by any word of the instruction.
_ANY_WORDS = {
    "explains": "explain",
    "classifies": "sentiment",
    "calculates": "equation sum area average percent many square multiply divide",
    "programs": (
        "code function program python java javascript sql query html css regex algorithm script "
        "class"
    ),
    "shortens": "summarize summarise summary headline title caption tweet slogan tagline",
    "tells": (
        "story poem essay letter article blog dialogue speech paragraph song haiku email review "
        "report script"
    ),
}
KINDS = tuple(dict.fromkeys([*_FIRST_WORDS, *_ANY_WORDS]))
_KIND_FIRST = {kind: word_set(words) for kind, words in _FIRST_WORDS.items()}
_KIND_ANY = {kind: word_set(words) for kind, words in _ANY_WORDS.items()}

OPENING_WORDS = ["the", "a", "i", "this", "1", "yes", "no", "here", "to", "it", "in"]
"""Words that open many responses: one column for each."""
_WORD_COLUMN = {word: column for column, word in enumerate(OPENING_WORDS)}

_MARKS = (
    '"',
    "(",
    ":",
    ";",
    "-",
    "\n\n",
    "**",
    "`",
    "|",
    "=",
    "?",
    "!",
    "%",
    "$",
    "http",
)
_SUM = re.compile(
    r"(-?\d+(?:\.\d+)?)\s*([-+*/x×÷])\s*(-?\d+(?:\.\d+)?)\s*=\s*(-?\d+(?:\.\d+)?)"
)
# The letter stands first, because what begins with a letter is found faster.
_NAME = re.compile(r"[A-Z](?<=\b.)(?<![.!?:\n] .)(?<!^.)[a-z]{2,}")
_MISSING_INPUT = word_set(
    "image picture photo video audio link url website passage paragraph table"
)
_INCAPABLE = ("i'm sorry", "i cannot", "unable", "as an ai", "language model")
_SENTENCE_ENDS = frozenset(".!?。！？")
_CLAUSE_ENDS = frozenset(",;:，；：、")
_CLOSING_ENDS = frozenset("\"')]}`”’」』）")

_RAW = (
    *(f"task: {kind}" for kind in KINDS),
    "words of the input",
    "instruction's words used",
    "response's words from the instruction",
    "pairs of words shared",
    "response's words from the input",
    "input's words used",
    "numbers",
    "new numbers",
    "numbers given",
    "numbers given, none back",
    *(f"marks {mark!r}" for mark in _MARKS),
    "vague words, share",
    "hedges, share",
    "links, share",
    "function words, share",
    "vague words",
    "links",
    "distinct words, share",
    "content words",
    "new content words",
    "new content words, share",
    "longest sentence",
    "first sentence",
    "last sentence",
    "ends a sentence",
    "ends a clause",
    "ends in a letter",
    "ends in a closing mark",
    "starts with a capital",
    "starts with a digit",
    "sums right",
    "sums wrong",
    "a number of items is asked",
    "input said to be missing",
    "says it cannot",
    "input spoken of, none given",
    "instruction is a question",
    "instruction ends with a colon",
    "sentences of the instruction",
    "instruction beyond ASCII",
    "response beyond ASCII",
    "names",
    "new names, share",
    "bytes per byte compressed",
    "information",
    "information beyond the instruction",
    "information beyond the instruction, share",
    "opening word",
)
N_RAW = len(_RAW)
_N_KINDS = len(KINDS)
_INPUT_WORDS = _RAW.index("words of the input")
_BANDS = (1, 3, 6, 12, 25, 50, 100, 200)
NAMES = (
    *_RAW[:-1],
    *(f"length where the task {kind}" for kind in KINDS),
    "length squared",
    "length by the input's",
    "length per word of input",
    *(f"more than {band} words" for band in _BANDS),
    *(f"response opens with {word!r}" for word in OPENING_WORDS),
)
"""The names of the columns of `expand_features`."""


class WordSets(NamedTuple):
    """The distinct words of an instruction (`asked`) and of its response (`own`).

    `numbers` counts those words of the response that begin with a digit.
    """

    asked: Set[str]
    own: Set[str]
    numbers: Mapping[str, int]
    classes: ClassCounts


def measure_task(
    instruction: str,
    response: str,
    asked_words: Sequence[str],
    words: Sequence[str],
    distinct: WordSets,
    sentences: Sequence[str],
) -> list[float]:
    """Return the raw features of one sample, in the order of `_RAW`.

    `asked_words` and `words` are those of the instruction and of the response, in order;
    `sentences` are the response's.
    """
    asked, own, numbers, classes = distinct
    content = own - FUNCTION_WORDS
    head, _, tail = instruction.partition("\n")
    # The words of the first line come first: the rest is the input.
    n_input = len(asked_words) - len(head.split()) if tail.strip() else 0
    input_words = asked_words[-n_input:] if n_input > 0 else ()
    return [
        *_measure_kinds(asked_words, asked),
        _log_count(len(input_words)),
        *_measure_overlap(
            asked_words,
            words,
            distinct,
            content,
            frozenset(input_words),
        ),
        *_measure_numbers(asked, numbers),
        *[_log_count(response.count(mark)) for mark in _MARKS],
        *_measure_word_classes(classes, len(words)),
        *_measure_variety(len(own), content, asked, len(words)),
        *_measure_sentences(sentences),
        *_measure_edges(response),
        *_check_sums(response),
        *_measure_instruction(instruction, asked, bool(input_words), response),
        *_measure_names(response, asked, len(words)),
        *_measure_information(instruction, response),
        float(_WORD_COLUMN.get(words[0], -1)) if words else -1.0,
    ]


def expand_features(raw: Array, n_words: Array) -> Array:
    """Add products with length, bands of length and openings: float64 (n, len(NAMES)).

    `raw` (n, N_RAW) are rows of `measure_task`, `n_words` (n,) the words of each response.
    """
    length = np.log2(1 + n_words)[:, None]
    kinds = raw[:, :_N_KINDS]
    input_length = raw[:, _INPUT_WORDS, None]
    n_input = np.exp2(input_length) - 1
    per_input_word = np.minimum(n_words[:, None] / (n_input + 1), 8)
    bands = n_words[:, None] > np.array(_BANDS)
    openings = raw[:, -1, None] == np.arange(len(OPENING_WORDS))
    return np.concatenate(
        [
            raw[:, :-1],
            kinds * length,
            length**2 / 8,
            length * input_length / 6,
            np.where(n_input > 0, per_input_word, 0),
            bands,
            openings,
        ],
        axis=1,
    )


def _log_count(count: float) -> float:
    return math.log2(1.0 + count)


def _measure_kinds(
    asked_words: Sequence[str],
    asked: Set[str],
) -> list[float]:
    first = asked_words[0] if asked_words else ""
    flags: list[float] = []
    for kind in KINDS:
        opens = first in _KIND_FIRST.get(kind, ())
        mentions = not asked.isdisjoint(_KIND_ANY.get(kind, ()))
        flags.append(float(opens or mentions))
    return flags


def _measure_overlap(
    asked_words: Sequence[str],
    words: Sequence[str],
    distinct: WordSets,
    content: Set[str],
    given: Set[str],
) -> list[float]:
    """How much of the instruction, and of its input, the response uses."""
    asked, own, _, _ = distinct
    topic = asked - FUNCTION_WORDS
    asked_pairs = set(pairwise(asked_words))
    own_pairs = set(pairwise(words))
    from_input = 0.0
    input_used = 0.0
    if given:
        from_input = len(content & given) / (len(content) + 1)
        input_used = len(given & own) / (len(given) + 1)
    return [
        len(own & topic) / (len(topic) + 1),
        len(content & asked) / (len(content) + 1),
        len(asked_pairs & own_pairs) / (len(words) + 1),
        from_input,
        input_used,
    ]


def _measure_numbers(asked: Set[str], numbers: Mapping[str, int]) -> list[float]:
    given = {word for word in asked if word[0].isdigit()}
    n_numbers = sum(numbers.values())
    n_new = sum(count for word, count in numbers.items() if word not in given)
    return [
        _log_count(n_numbers),
        _log_count(n_new),
        _log_count(len(given)),
        float(bool(given) and not n_numbers),
    ]


def _measure_names(response: str, asked: Set[str], n_words: int) -> list[float]:
    """Count capitalised words within sentences, most of which are names."""
    names = _NAME.findall(response)
    new_names = {name.lower() for name in names} - asked
    return [_log_count(len(names)), len(new_names) / (n_words + 1)]


def _measure_information(instruction: str, response: str) -> list[float]:
    """Measure how much a response says, in bytes compressed, and how much the instruction did not.

    What a compressor finds in the instruction already, the response does not add.
    """
    asked = instruction.encode(errors="replace")
    own = response.encode(errors="replace")
    n_own = len(zlib.compress(own, 1))
    n_asked = len(zlib.compress(asked, 1))
    n_both = len(zlib.compress(asked + b"\n" + own, 1))
    n_new = max(n_both - n_asked, 0)
    return [
        n_own / (len(own) + 20),
        _log_count(n_own),
        _log_count(n_new),
        n_new / (n_own + 1),
    ]


def _measure_word_classes(classes: ClassCounts, n_words: int) -> list[float]:
    return [
        classes.vague / (n_words + 1),
        classes.hedges / (n_words + 1),
        classes.links / (n_words + 1),
        classes.function / (n_words + 1),
        _log_count(classes.vague),
        _log_count(classes.links),
    ]


def _measure_variety(
    n_distinct: int,
    content: Set[str],
    asked: Set[str],
    n_words: int,
) -> list[float]:
    n_content = len(content)
    n_new = len(content - asked)
    return [
        n_distinct / (n_words + 1),
        _log_count(n_content),
        _log_count(n_new),
        n_new / (n_content + 1),
    ]


def _measure_sentences(sentences: Sequence[str]) -> list[float]:
    # Blanks stand for words: they are counted much faster.
    lengths = [1 + sentence.strip().count(" ") for sentence in sentences]
    if not lengths:
        return [0.0, 0.0, 0.0]
    return [
        _log_count(max(lengths)),
        _log_count(lengths[0]),
        _log_count(lengths[-1]),
    ]


def _measure_edges(response: str) -> list[float]:
    first = response[:1]
    last = response[-1:]
    return [
        float(last in _SENTENCE_ENDS),
        float(last in _CLAUSE_ENDS),
        float(last.isalnum()),
        float(last in _CLOSING_ENDS),
        float(first.isupper()),
        float(first.isdigit()),
    ]


def _check_sums(response: str) -> list[float]:
    """Count the sums "a + b = c" in a response that are right and wrong."""
    if "=" not in response:
        return [0.0, 0.0]
    n_right = 0
    n_wrong = 0
    for left, sign, right, result in _SUM.findall(response):
        value = _calculate(float(left), sign, float(right))
        given = float(result)
        tolerance = 0.01 * max(1.0, abs(given))
        is_right = abs(value - given) <= tolerance
        n_right += is_right
        n_wrong += not is_right
    return [_log_count(n_right), _log_count(n_wrong)]


def _calculate(left: float, sign: str, right: float) -> float:
    """The value of a sum, infinite where something is divided by 0."""
    if sign == "+":
        return left + right
    if sign == "-":
        return left - right
    if sign in "*x×":
        return left * right
    return left / right if right else math.inf


def _measure_instruction(
    instruction: str,
    asked: Set[str],
    has_input: bool,
    response: str,
) -> list[float]:
    lower_start = response[:400].lower()
    names_count = not asked.isdisjoint(instruction_intent.NUMBERS) or any(
        word.isdecimal() for word in asked
    )
    speaks_of_input = not has_input and not asked.isdisjoint(_MISSING_INPUT)
    return [
        float(names_count),
        float("noinput" in asked),
        float(any(phrase in lower_start for phrase in _INCAPABLE)),
        float(speaks_of_input),
        float(instruction.endswith(("?", "？"))),
        float(instruction.endswith((":", "："))),
        _log_count(instruction.count(".") + instruction.count("。")),
        float(not instruction.isascii()),
        float(not response.isascii()),
    ]
