"""Measures what kind of task an instruction sets, and how its response goes about it.

These features stand beside those of `tacos.models.response_features`, of the same samples. A kernel
machine reads them (`tacos.models.judge`), so that they need no direction of their own: what length
means, for instance, depends on the kind of task.
"""

from __future__ import annotations

import math
import re
import zlib

import numpy as np

from tacos.models import sorted_keys, task_kinds, word_columns
from tacos.models.character_columns import CAPITAL, GAPS, SMALL
from tacos.models.sample_texts import SampleTexts
from tacos.models.word_columns import Array, Flags, Numbers, Words

_QUESTION_MARKS = frozenset("?？")
_COLONS = frozenset(":：")

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
_NAME = re.compile(r"[A-Z][a-z]+")
_INCAPABLE = ("i'm sorry", "i cannot", "unable", "as an ai", "language model")
_SENTENCE_ENDS = frozenset(".!?。！？")
_CLAUSE_ENDS = frozenset(",;:，；：、")
_CLOSING_ENDS = frozenset("\"')]}`”’」』）")

_RAW = (
    *(f"task: {kind}" for kind in task_kinds.KINDS),
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
_N_KINDS = len(task_kinds.KINDS)
_INPUT_WORDS = _RAW.index("words of the input")
_BANDS = (1, 3, 6, 12, 25, 50, 100, 200)
NAMES = (
    *_RAW[:-1],
    *(f"length where the task {kind}" for kind in task_kinds.KINDS),
    "length squared",
    "length by the input's",
    "length per word of input",
    *(f"more than {band} words" for band in _BANDS),
    *(f"response opens with {word!r}" for word in task_kinds.OPENING_WORDS),
)
"""The names of the columns of `expand_features`."""


def measure_tasks(samples: SampleTexts) -> Array:
    """Return the raw features of samples, (n, N_RAW), in the order of `_RAW`."""
    own = samples.own
    distinct = own.distinct
    is_content = ~own.find(distinct.flags, "function")
    n_shared = own.count_texts(distinct.texts[is_content & samples.is_shared])
    n_content = own.count_texts(distinct.texts[is_content])
    input_lengths = _find_inputs(samples)
    edges = list(map(_measure_edges, samples.responses))
    marks = [_count_mark(samples, mark) for mark in _MARKS]
    return np.column_stack(
        [
            *_measure_kinds(samples.asked),
            word_columns.log_counts(input_lengths),
            _measure_overlap(samples, input_lengths, n_shared, n_content),
            _measure_numbers(samples),
            word_columns.log_counts(np.column_stack(marks)),
            _measure_word_classes(own),
            _measure_variety(samples, n_shared, n_content),
            _measure_sentences(samples),
            np.array(edges, dtype=np.float64).reshape(-1, 6),
            np.array([_check_sums(text) for text in samples.responses]).reshape(-1, 2),
            _measure_instructions(samples, input_lengths > 0),
            _measure_names(samples),
            _measure_information(samples),
            _number_openings(own),
        ]
    )


def _count_mark(samples: SampleTexts, mark: str) -> Numbers:
    """Count a mark of one or two equal characters, or a word in small letters."""
    if len(mark) == 1:
        return samples.characters.count(mark)
    if mark[0] == mark[1] and len(mark) == 2:
        return samples.characters.count_runs(mark[0], 2)
    return samples.links.count([mark])


def expand_features(raw: Array, n_words: Array) -> Array:
    """Add products with length, bands of length and openings: float64 (n, len(NAMES)).

    `raw` (n, N_RAW) are rows of `measure_tasks`, `n_words` (n,) the words of each response.
    """
    length = np.log2(1 + n_words)[:, None]
    kinds = raw[:, :_N_KINDS]
    input_length = raw[:, _INPUT_WORDS, None]
    n_input = np.exp2(input_length) - 1
    per_input_word = np.minimum(n_words[:, None] / (n_input + 1), 8)
    bands = n_words[:, None] > np.array(_BANDS)
    openings = raw[:, -1, None] == np.arange(len(task_kinds.OPENING_WORDS))
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


def _measure_kinds(asked: Words) -> list[Flags]:
    columns: list[Flags] = []
    for kind in task_kinds.KINDS:
        fits = np.zeros(len(asked.counts), dtype=np.bool_)
        if f"first: {kind}" in task_kinds.CLASSES:
            fits |= asked.find(asked.first_flags, f"first: {kind}")
        if f"any: {kind}" in task_kinds.CLASSES:
            fits |= asked.mention(f"any: {kind}")
        columns.append(fits)
    return columns


def _find_inputs(samples: SampleTexts) -> Numbers:
    """Count the words of each instruction's input: what follows the first line."""
    lengths: list[int] = []
    rows = zip(samples.instructions, samples.asked.counts.tolist(), strict=True)
    for instruction, n_words in rows:
        head, _, tail = instruction.partition("\n")
        # The words of the first line come first: the rest is the input.
        length = n_words - len(head.split()) if tail.strip() else 0
        lengths.append(max(length, 0))
    return np.array(lengths, dtype=np.int64)


def _measure_overlap(
    samples: SampleTexts,
    input_lengths: Numbers,
    n_shared: Numbers,
    n_content: Numbers,
) -> Array:
    """How much of the instruction, and of its input, the response uses, (n, 5)."""
    asked = samples.asked
    own = samples.own
    is_topic = ~asked.find(asked.distinct.flags, "function")
    n_topic = asked.count_texts(asked.distinct.texts[is_topic])

    asked_pairs = sorted_keys.sort_distinct(asked.key_phrases(2))
    own_pairs = sorted_keys.sort_distinct(own.key_phrases(2))
    is_shared = word_columns.contains(asked_pairs, own_pairs)
    n_pairs = own.count_keys(own_pairs[is_shared])

    is_input = asked.places >= (asked.counts - input_lengths)[asked.texts]
    given = asked.list_distinct(is_input)
    is_used = given.within(own.distinct)
    is_content = ~own.find(given.flags, "function")
    n_used = own.count_texts(given.texts[is_used])
    n_used_content = own.count_texts(given.texts[is_used & is_content])
    n_given = own.count_texts(given.texts)
    has_input = n_given > 0
    return np.column_stack(
        [
            n_shared / (n_topic + 1),
            n_shared / (n_content + 1),
            n_pairs / (own.counts + 1),
            np.where(has_input, n_used_content / (n_content + 1), 0),
            np.where(has_input, n_used / (n_given + 1), 0),
        ]
    )


def _measure_numbers(samples: SampleTexts) -> Array:
    asked = samples.asked
    own = samples.own.distinct
    n = len(asked.counts)
    is_number = asked.find(own.flags, "digit")
    is_new = is_number & ~samples.is_shared
    n_numbers = np.bincount(own.texts[is_number], own.counts[is_number], n)
    n_new = np.bincount(own.texts[is_new], own.counts[is_new], n)
    is_given = asked.find(asked.distinct.flags, "digit")
    n_given = asked.count_texts(asked.distinct.texts[is_given])
    return np.column_stack(
        [
            word_columns.log_counts(n_numbers),
            word_columns.log_counts(n_new),
            word_columns.log_counts(n_given),
            (n_given > 0) & (n_numbers == 0),
        ]
    )


def _measure_names(samples: SampleTexts) -> Array:
    """Count capitalised words within sentences, most of which are names, (n, 2)."""
    characters = samples.characters
    capitals = characters.find(CAPITAL)
    is_name = characters.is_kind(capitals + 1, SMALL)
    is_name &= characters.is_kind(capitals + 2, SMALL)
    # Within a word, at the start of the text or of a sentence, or after a colon, it is none.
    is_name &= ~characters.is_kind(capitals - 1, SMALL | CAPITAL | GAPS)
    is_name &= ~(
        characters.is_one(capitals - 1, " ") & characters.is_one(capitals - 2, ".!?:\n")
    )
    found: list[tuple[int, str]] = []
    places = capitals[is_name]
    rows = characters.texts[places].tolist()
    for row, place in zip(rows, places.tolist(), strict=True):
        before = characters.joined[place - 1]
        if before.isalnum() or before == "_":
            continue
        name = _NAME.match(characters.joined, place)
        assert name is not None
        found.append((row, name[0].lower()))
    distinct = dict.fromkeys(found)
    asked = samples.asked
    rows_of_names = np.array([row for row, _ in distinct], dtype=np.int64)
    numbers = asked.memory.find_numbers([name for _, name in distinct])
    is_new = ~asked.have(rows_of_names, numbers)
    n_names = asked.count_texts(np.array([row for row, _ in found], dtype=np.int64))
    n_new = asked.count_texts(rows_of_names[is_new])
    return np.column_stack(
        [
            word_columns.log_counts(n_names),
            n_new / (samples.own.counts + 1),
        ]
    )


def _measure_information(samples: SampleTexts) -> Array:
    """Measure how much responses say, in bytes compressed, and how much instructions did not.

    What a compressor finds in the instruction already, the response does not add. Shape (n, 4).
    """
    sizes: list[tuple[int, int, int, int]] = []
    for instruction, response in zip(
        samples.instructions, samples.responses, strict=True
    ):
        asked = instruction.encode(errors="replace")
        own = response.encode(errors="replace")
        n_own = len(zlib.compress(own, 1))
        n_asked = len(zlib.compress(asked, 1))
        n_both = len(zlib.compress(asked + b"\n" + own, 1))
        sizes.append((len(own), n_own, n_asked, n_both))
    table = np.array(sizes, dtype=np.int64).reshape(-1, 4)
    n_bytes, sizes_own, sizes_asked, sizes_both = table.T
    n_new = np.maximum(sizes_both - sizes_asked, 0)
    return np.column_stack(
        [
            sizes_own / (n_bytes + 20),
            word_columns.log_counts(sizes_own),
            word_columns.log_counts(n_new),
            n_new / (sizes_own + 1),
        ]
    )


def _measure_word_classes(own: Words) -> Array:
    n_vague = own.count("vague")
    n_links = own.count("links")
    return np.column_stack(
        [
            n_vague / (own.counts + 1),
            own.count("hedges") / (own.counts + 1),
            n_links / (own.counts + 1),
            own.count("function") / (own.counts + 1),
            word_columns.log_counts(n_vague),
            word_columns.log_counts(n_links),
        ]
    )


def _measure_variety(
    samples: SampleTexts, n_shared: Numbers, n_content: Numbers
) -> Array:
    n_distinct = samples.own.count_texts(samples.own.distinct.texts)
    n_new = n_content - n_shared
    return np.column_stack(
        [
            n_distinct / (samples.own.counts + 1),
            word_columns.log_counts(n_content),
            word_columns.log_counts(n_new),
            n_new / (n_content + 1),
        ]
    )


def _measure_sentences(samples: SampleTexts) -> Array:
    """Measure the longest, the first and the last sentence, (n, 3)."""
    _, _, _, first, last = samples.characters.sentences
    # Blanks stand for words: they are counted much faster.
    n_spaces = samples.characters.n_spaces
    lengths = 1 + n_spaces[last] - n_spaces[first]
    n_sentences = samples.n_sentences
    counts = np.zeros((len(n_sentences), 3), dtype=np.int64)
    is_filled = n_sentences > 0
    if is_filled.any():
        ends = np.cumsum(n_sentences)[is_filled]
        starts = ends - n_sentences[is_filled]
        counts[is_filled, 0] = np.maximum.reduceat(lengths, starts)
        counts[is_filled, 1] = lengths[starts]
        counts[is_filled, 2] = lengths[ends - 1]
    return word_columns.log_counts(counts)


def _measure_edges(response: str) -> tuple[bool, ...]:
    first = response[:1]
    last = response[-1:]
    return (
        last in _SENTENCE_ENDS,
        last in _CLAUSE_ENDS,
        last.isalnum(),
        last in _CLOSING_ENDS,
        first.isupper(),
        first.isdigit(),
    )


def _number_openings(own: Words) -> Numbers:
    """The column of each response's first word, -1 for any that has none."""
    openings = np.full(len(own.counts), -1)
    for column in range(len(task_kinds.OPENING_WORDS)):
        openings[own.find(own.first_flags, f"opening {column}")] = column
    return openings


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
    return [math.log2(1 + n_right), math.log2(1 + n_wrong)]


def _calculate(left: float, sign: str, right: float) -> float:
    """The value of a sum, infinite where something is divided by 0."""
    if sign == "+":
        return left + right
    if sign == "-":
        return left - right
    if sign in "*x×":
        return left * right
    return left / right if right else math.inf


def _measure_instructions(samples: SampleTexts, has_input: Flags) -> Array:
    asked = samples.asked
    says_it_cannot = np.zeros(len(asked.counts), dtype=np.bool_)
    for phrase in _INCAPABLE:
        rows, places = samples.phrases.find(phrase)
        says_it_cannot[rows[places <= 400 - len(phrase)]] = True
    ends: list[tuple[bool, bool, int, bool]] = []
    for instruction in samples.instructions:
        n_stops = instruction.count(".") + instruction.count("。")
        last = instruction[-1:]
        ends.append(
            (
                last in _QUESTION_MARKS,
                last in _COLONS,
                n_stops,
                not instruction.isascii(),
            )
        )
    table = np.array(ends, dtype=np.int64).reshape(-1, 4)
    is_question, is_colon, counts, is_foreign = table.T
    return np.column_stack(
        [
            asked.mention("numeral") | asked.mention("decimal"),
            asked.mention("noinput"),
            says_it_cannot,
            ~has_input & asked.mention("missing input"),
            is_question,
            is_colon,
            word_columns.log_counts(counts),
            is_foreign,
            [not response.isascii() for response in samples.responses],
        ]
    )
