"""Measures the judge's readable features of instructions and their responses.

`tacos.models.feature_names` names them. They cannot tell whether a statement is true, whether code
runs or whether an answer is wise. English is read best, Chinese fairly, other languages by their
shape only.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tacos.models import sample_texts, sorted_keys, task_features, word_columns
from tacos.models.character_columns import (
    BLANK,
    CAPITAL,
    SMALL,
    STOP,
    Characters,
)
from tacos.models.chunk_numbers import Chunks
from tacos.models.instruction_intent import InstructionIntents
from tacos.models.sample_texts import ITEM, SampleTexts
from tacos.models.word_columns import Array, Flags, Numbers, Words, log_counts

Features = tuple[float, ...]


_MARK = re.compile(r"^[ \t]*(?:[-*•–]|\(?\d{1,3}[.):]|[a-zA-Z][.)])[ \t]*")
_FULL_STOPS = (".", "!", "?", "。", "！", "？")
_QUESTION_MARKS = "?？"
_CLOSING_MARKS = tuple(".!?。！？…\"'”’)]}`;>*|")
_ITEM_SEPARATOR = re.compile(r",\s+(?:and |or )?|\s+and\s+|;\s+|\d\. ")
# A pattern that begins with the letters it needs is found many times faster than one that begins
# with `\b`, so what stands before the first letter is looked up behind it.
_SHOUTED = re.compile(r"[A-Z](?<=\b.)[A-Z]{3,}\b")
# Empty answers, layout, code.
_NOTHING = re.compile(
    r"\W*(?:none|n/?a|null|nil|nan|no ?(?:output|answer|response|input))\W*",
    re.IGNORECASE,
)
_HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)
_CODE = re.compile(
    # How a line of code may begin ...
    r"^\s*(?:def |class \w+[(:]|import \w|from \w+ import|#include|public |function ?\w*\("
    r"|var |let |const |<\w+[^>]*>|SELECT |INSERT |UPDATE |CREATE |for ?\(|while ?\(|if ?\("
    r"|return |print ?\(|\$ ?\w+|console\.)"
    # ... or end.
    r"|[;{}]\s*$",
    re.MULTILINE,
)
_CODE_MARKS = ("(", ";", "{", "<", "SELECT", "import", "$", "=")
# Hygiene: each pattern is slow, so cheaper tests for its marks come first.
_SLIP = re.compile(
    r"\w [,.;:!?](?=\s|$)|,,|(?<!\.)\.\.(?!\.)|;;|\( | \)|(?<=\S)  +(?=\S)"
)
_BLANK = re.compile(
    r"_{3,}|\[(?!\d)[A-Za-z][^\]\n]{1,40}\](?!\()|\bX{3,}\b|<[A-Za-z][A-Za-z ]{2,30}>"
    r"|\{\{?\w+\}?\}|\.{5,}"
)
# At the start of a line
_LEFTOVER_LABEL = re.compile(
    r"\s*(?:instructions?|input|output|response|answer|human|assistant|user|q|a)\s*:",
    re.IGNORECASE,
)
_LEFTOVER = re.compile(r"###|\bno ?input\b|<\|\w+\|>|</s>|�", re.IGNORECASE)
_LEFTOVER_MARKS = ("##", "|>", "</s>", "�", "nput")
# Phrasing.
_REFUSAL = re.compile(
    r"[ains无抱对](?:(?<=\ba)s an? (?:ai|artificial|language)\b"
    r"|(?<=\bi)(?:'m| am) (?:sorry|unable|not able|not sure)"
    r"|(?<=\bi) (?:cannot|can't|can not|do not|don't) "
    r"(?:know|have|provide|understand|answer|help|access|assist|complete|generate)"
    r"|(?<=\bn)ot possible to\b|(?<=\bs)orry,|(?<=\bi) apologi[sz]e"
    r"|(?<=无)法|(?<=抱)歉|(?<=对)不起)"
)
_OPENERS = (
    "sure",
    "certainly",
    "of course",
    "absolutely",
    "here are",
    "here is",
    "here's",
    "below ",
    "okay",
    "以下是",
)
_LINKS = ("http", "www.")
_CLOSERS = ("let me know", "hope this", "hope that helps", "feel free")
_EXAMPLES = (
    "for example",
    "for instance",
    "such as",
    "e.g.",
    "including",
    "例如",
    "比如",
)


class Measured(NamedTuple):
    """The features of samples, (n, FEATURES + N_RAW), and the responses measured.

    `chunks` are what stands between the blanks of the instructions and of these responses in small
    letters, None where there are too many samples for one batch.
    """

    features: Array
    responses: list[str]
    chunks: tuple[Chunks, Chunks] | None


def measure_responses(
    instructions: Sequence[str],
    responses: Sequence[str],
) -> Measured:
    """Measure the features of samples.

    Sentences that plead with the judge are removed from responses first, see
    `tacos.models.persuasion_attacks`. "Closeness of meaning" is left at 0 for the encoder.
    """
    blocks: list[Array] = []
    kept: list[str] = []
    chunks: list[tuple[Chunks, Chunks]] = []
    # One batch at least, so that no samples have columns, too.
    for start in range(0, max(len(instructions), 1), word_columns.MAX_TEXTS):
        batch = slice(start, start + word_columns.MAX_TEXTS)
        samples = sample_texts.read_samples(instructions[batch], responses[batch])
        base = _measure_samples(samples)
        task = task_features.measure_tasks(samples)
        blocks.append(np.concatenate([base, task], axis=1))
        kept += samples.responses
        chunks.append((samples.asked.chunks, samples.own.chunks))
    return Measured(
        np.concatenate(blocks), kept, chunks[0] if len(chunks) == 1 else None
    )


def _measure_samples(samples: SampleTexts) -> Array:
    """The features of one batch, (n, FEATURES), each group as a loop of its own.

    A short loop over all samples runs much faster than one sample through all of the code.
    """
    responses = samples.responses
    intents = samples.intents
    n_words = samples.own.counts
    n_asked_words = samples.asked.counts
    n_sentences = samples.n_sentences
    n_commas = samples.characters.count(",")
    has_code = np.fromiter(map(_is_code, responses), np.bool_, len(responses))
    scripts = zip(samples.instructions, responses, strict=True)
    other_script = [_detect_script(a) != _detect_script(b) for a, b in scripts]
    # The order is that of `FEATURES`.
    return np.column_stack(
        [
            _says_nothing(responses, n_words),
            _measure_lengths(samples),
            n_commas / np.maximum(n_words, 1),
            log_counts(n_sentences),
            _measure_layouts(samples),
            _measure_endings(samples, has_code),
            _measure_repetition(samples),
            _measure_relevance(samples),
            _measure_compliance(samples),
            _measure_code(has_code, intents),
            np.array(other_script, dtype=np.bool_) & ~intents.tongue,
            _measure_hygiene(samples),
            _measure_phrasing(samples),
            _measure_tone(samples),
            intents.label,
            intents.short,
            intents.prose,
            intents.explain,
            intents.listing,
            intents.edit,
            intents.code,
            log_counts(n_asked_words),
        ]
    )


def _stack_rows(rows: Sequence[Sequence[float]], width: int) -> Array:
    """Rows as an array (n, width), which no rows have, too."""
    return np.array(rows, dtype=np.float64).reshape(-1, width)


def _says_nothing(responses: Sequence[str], n_words: Numbers) -> Flags:
    nothing: Flags = n_words == 0
    for row in np.flatnonzero((n_words > 0) & (n_words < 3)).tolist():
        nothing[row] = _NOTHING.fullmatch(responses[row]) is not None
    return nothing


def _measure_lengths(samples: SampleTexts) -> Array:
    intents = samples.intents
    n_words = samples.own.counts
    length = log_counts(n_words)
    n_sentences = samples.n_sentences
    words_per_sentence = n_words / np.maximum(n_sentences, 1)
    return np.column_stack(
        [
            length,
            np.where(intents.label, length, 0),
            np.where(intents.short, length, 0),
            np.where(intents.prose, length, 0),
            np.where(intents.explain, length, 0),
            length - log_counts(samples.asked.counts),
            _log_numbers(words_per_sentence),
            _log_numbers(_deviate_lengths(samples.characters, n_sentences)),
        ]
    )


def _log_numbers(numbers: Array) -> Array:
    """Compute log2(1 + number) as `math.log2` does, to the last bit."""
    return np.array(list(map(math.log2, (1.0 + numbers).tolist())))


def _deviate_lengths(characters: Characters, n_sentences: Numbers) -> Array:
    """The standard deviation of the lengths of each text's sentences, (texts,)."""
    texts, starts, ends, _, _ = characters.sentences
    n = np.maximum(n_sentences, 1)
    # Blanks stand for words here: they are counted much faster.
    lengths = characters.n_spaces[ends] - characters.n_spaces[starts]
    # `bincount` adds up in the order of the sentences, whatever stands beside a text.
    means = np.bincount(texts, lengths, len(n)) / n
    squares = (lengths - means[texts]) ** 2
    return np.sqrt(np.bincount(texts, squares, len(n)) / n)


def _measure_layouts(samples: SampleTexts) -> Array:
    list_asked = samples.intents.listing | (samples.intents.items > 1)
    characters = samples.characters
    n_breaks = characters.count("\n")
    n_marks = characters.count_runs("*", 2) // 2
    for row in np.flatnonzero(characters.count("#")).tolist():
        n_marks[row] += len(_HEADING.findall(samples.responses[row]))
    lead_in = np.zeros(len(n_marks), dtype=np.bool_)
    for row in np.flatnonzero((n_breaks > 0) & (characters.count(":") > 0)).tolist():
        # No response ends in a blank, so something follows the first line.
        first_line, _, _ = samples.responses[row].partition("\n")
        lead_in[row] = first_line.rstrip().endswith(":")
    return np.column_stack(
        [
            log_counts(characters.count_runs("\n", 2)),
            log_counts(n_breaks),
            log_counts(samples.n_items),
            (samples.n_items > 1) & list_asked,
            lead_in,
            log_counts(n_marks),
        ]
    )


def _measure_endings(samples: SampleTexts, has_code: Flags) -> Array:
    characters = samples.characters
    complete = np.array(
        [response.endswith(_CLOSING_MARKS) for response in samples.responses],
        dtype=np.bool_,
    )
    ends_in_list = np.zeros(len(complete), dtype=np.bool_)
    ends_in_stump = np.zeros(len(complete), dtype=np.bool_)
    for row in np.flatnonzero(samples.n_items).tolist():
        lines = _find_filled_lines(samples.responses[row])
        ends_in_list[row] = len(lines) > 2 and bool(ITEM.match(lines[-1]))
        ends_in_stump[row] = ends_in_list[row] and _ends_in_stump(lines)
    may_break_off = (samples.own.counts > 12) & ~complete & ~ends_in_list
    has_unbalanced_marks = (
        (characters.count("(") > characters.count(")"))
        | (characters.count("[") > characters.count("]"))
        | (characters.count('"') % 2 == 1)
        | (characters.count_runs("`", 3) % 2 == 1)
    )
    return np.column_stack(
        [complete, may_break_off & ~has_code, has_unbalanced_marks, ends_in_stump]
    )


def _find_filled_lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


def _ends_in_stump(lines: Sequence[str]) -> bool:
    """Say whether most list items end with a full stop and the last one does not."""
    closed: list[bool] = []
    for line in lines:
        if ITEM.match(line):
            item = line.rstrip()
            closed.append(item.endswith(_FULL_STOPS))
    if len(closed) < 2:
        return False
    *earlier, last = closed
    if last:
        return False
    return 2 * sum(earlier) > len(earlier)


def _measure_repetition(samples: SampleTexts) -> Array:
    own = samples.own
    n_words = own.counts
    distinct = own.distinct
    # Phrases, by their trigrams
    n_trigrams = np.maximum(n_words - 2, 1)
    n_distinct_trigrams = own.count_keys(sorted_keys.sort_distinct(own.key_phrases(3)))
    repeated_phrases = 1.0 - n_distinct_trigrams / n_trigrams

    lines = list(map(_measure_lines, _list_lines(samples)))

    # Words
    n_distinct = own.count_texts(distinct.texts)
    word_variety = np.ones(len(n_words))
    is_long = n_words > 3
    shares = _log_naturally(n_distinct[is_long]) / _log_naturally(n_words[is_long])
    word_variety[is_long] = shares
    largest_counts = np.zeros(len(n_words), dtype=np.int64)
    is_longer = own.memory.lengths[distinct.numbers] > 3
    longer = distinct.texts[is_longer]
    if len(longer):
        starts = sorted_keys.find_starts(longer)
        counts = distinct.counts[is_longer]
        largest_counts[longer[starts]] = np.maximum.reduceat(counts, starts)
    is_stuck = (n_words > 8) & (largest_counts > 2)
    return np.column_stack(
        [
            np.where(n_words > 5, repeated_phrases, 0),
            _stack_rows(lines, 2),
            word_variety,
            np.where(is_stuck, largest_counts / np.maximum(n_words, 1), 0),
        ]
    )


def _log_naturally(counts: Numbers) -> Array:
    """Compute ln(count) of counts from 1 as `math.log` does, to the last bit."""
    return np.array(list(map(math.log, counts.tolist())))


def _list_lines(samples: SampleTexts) -> list[list[str]]:
    """List the sentences of each response in lower case, without the marks of lists."""
    characters = samples.characters
    joined = characters.joined
    _, starts, ends, first, last = characters.sentences
    lines = [
        joined[place:end].lower()
        for place, end in zip(first.tolist(), (last + 1).tolist(), strict=True)
    ]
    for number in np.flatnonzero(characters.may_be_listed(first)).tolist():
        line = joined[starts[number] : ends[number]]
        lines[number] = _MARK.sub("", line).strip().lower()
    ends_of_texts = np.cumsum(samples.n_sentences).tolist()
    starts_of_texts = [0, *ends_of_texts]
    return [
        lines[start:end]
        for start, end in zip(starts_of_texts, ends_of_texts, strict=False)
    ]


def _measure_lines(lines: list[str]) -> tuple[float, float]:
    """The shares of lines, and of their beginnings, that repeat others."""
    parts = lines
    if lines and len(lines) <= 3:
        # In a short response the items between commas may repeat each other.
        parts = [item.strip() for item in ",".join(lines).split(",")]
    repeated = 0.0
    if len(parts) > 1:
        repeated = _share_of_repeats(parts)
    same_openings = 0.0
    if len(parts) > 2:
        same_openings = _share_of_repeats([line[:12] for line in parts])
    return repeated, same_openings


def _share_of_repeats(parts: Sequence[str]) -> float:
    return 1.0 - len(set(parts)) / len(parts)


def _measure_relevance(samples: SampleTexts) -> Array:
    own = samples.own
    asked = samples.asked
    # Words are compared by their first letters, so that endings make no difference.
    topics = asked.distinct
    is_content = _find_content(asked, topics.numbers, topics.flags)
    topic_stems = sorted_keys.sort_distinct(
        asked.key_stems(topics.texts[is_content], topics.numbers[is_content])
    )
    distinct = own.distinct
    own_stems = sorted_keys.sort_keys(own.key_stems(distinct.texts, distinct.numbers))
    is_covered = word_columns.contains(own_stems, topic_stems)
    stem_texts = word_columns.split_texts(topic_stems)
    n_topic = own.count_texts(stem_texts)
    n_covered = own.count_texts(stem_texts[is_covered])
    # An instruction without content words is covered neither well nor badly.
    covered = np.where(n_topic > 0, n_covered / np.maximum(n_topic, 1), 0.5)

    is_new = ~samples.is_shared & (
        (own.memory.lengths[distinct.numbers] > 3) | own.find(distinct.flags, "foreign")
    )
    n_new = own.count_texts(distinct.texts[is_new])

    is_opening = own.places < 8
    opening_texts = own.texts[is_opening]
    opening_stems = own.key_stems(opening_texts, own.numbers[is_opening])
    is_restated = word_columns.contains(topic_stems, opening_stems)
    n_restated = own.count_texts(opening_texts[is_restated])
    restated = n_restated / np.clip(own.counts, 1, 8)

    # An edit must repeat most of its input, so its echo is a feature of its own.
    echo = _measure_echo(asked, own)
    is_edit = samples.intents.edit
    return np.column_stack(
        [
            covered,
            log_counts(n_new),
            np.zeros(len(covered)),  # closeness of meaning, for the encoder
            np.where(is_edit, 0, echo),
            np.where(is_edit, echo, 0),
            restated,
        ]
    )


def _find_content(words: Words, numbers: Numbers, flags: word_columns.Keys) -> Flags:
    """Which words say something about the topic."""
    is_long = words.memory.lengths[numbers] > 2
    is_foreign = words.find(flags, "foreign")
    return ~words.find(flags, "stop") & (is_long | is_foreign)


def _measure_echo(asked: Words, own: Words) -> Array:
    """Return the share of each response's 4-grams that are the instruction's."""
    asked_grams = sorted_keys.sort_keys(asked.key_phrases(4))
    own_grams = own.key_phrases(4)
    is_echoed = word_columns.contains(asked_grams, own_grams)
    n_echoed = own.count_keys(own_grams[is_echoed])
    return np.asarray(n_echoed / np.maximum(own.counts - 3, 1))


def _measure_compliance(samples: SampleTexts) -> Array:
    intents = samples.intents
    rows: list[Features] = []
    for response, n_words, n_items, n_asked, limit in zip(
        samples.responses,
        samples.own.counts.tolist(),
        samples.n_items.tolist(),
        intents.items.tolist(),
        intents.limits.tolist(),
        strict=True,
    ):
        items_ratio = 0.0
        items_met = False
        if n_asked:
            n_given = n_items or _count_inline_items(response)
            # 1 is added to both, because none may be given.
            items_ratio = math.log2((1 + n_given) / (1 + n_asked))
            items_met = n_given == n_asked
        excess = 0.0
        if limit and n_words:
            # A tenth above the limit still counts as met.
            excess = math.log2(n_words / (1.1 * limit))
        rows.append((items_ratio, items_met, max(excess, 0.0)))
    return _stack_rows(rows, 3)


def _count_inline_items(response: str) -> int:
    """Count the items of a list written as lines without marks or as a sentence with commas."""
    lines = _find_filled_lines(response)
    if not lines:
        return 0
    if len(lines) > 2:
        first_line = lines[0].rstrip()
        has_lead_in = first_line.endswith(":")
        return len(lines) - has_lead_in
    items = _ITEM_SEPARATOR.split(lines[-1])
    return len(items)


def _is_code(response: str) -> bool:
    if "```" in response:
        return True
    if not any(mark in response for mark in _CODE_MARKS):
        return False
    return bool(_CODE.search(response))


def _measure_code(has_code: Flags, intents: InstructionIntents) -> Array:
    return np.column_stack(
        [
            has_code & intents.code,
            intents.only_code & ~has_code,
            has_code & ~intents.code,
        ]
    )


def _detect_script(text: str) -> str:
    """Return the writing system of most letters: "latin", "cjk" or "other"."""
    if text.isascii():
        return "latin"
    n_letters = 0
    n_latin = 0
    n_cjk = 0
    for character, count in Counter(text[:2000]).items():
        if not character.isalpha():
            continue
        n_letters += count
        if character < "ɐ":
            n_latin += count
        elif "぀" <= character <= "鿿" or "가" <= character <= "힯":
            n_cjk += count
    # A Chinese character says about as much as three letters.
    if 3 * n_cjk > n_latin:
        return "cjk"
    if 2 * n_latin >= n_letters:
        return "latin"
    return "other"


def _measure_hygiene(samples: SampleTexts) -> Array:
    characters = samples.characters
    intents = samples.intents
    small_initial = np.array(
        [response[:1].islower() for response in samples.responses], dtype=np.bool_
    )
    before, after = characters.blank_runs
    small_starts = before[
        characters.is_kind(before, STOP) & characters.is_kind(after, SMALL)
    ]
    n_small_starts = characters.count_places(small_starts)
    sentence_asked = ~intents.label & ~intents.short
    return np.column_stack(
        [
            small_initial & sentence_asked,
            np.minimum(n_small_starts / np.maximum(samples.n_sentences, 1), 1),
            log_counts(_count_slips(samples)),
            log_counts(_count_blanks(samples)),
            _find_leftovers(samples),
        ]
    )


# A pattern is tried only in texts where its marks occur.


def _count_slips(samples: SampleTexts) -> Numbers:
    """Count slips of spacing, and sentences that are joined without a blank."""
    characters = samples.characters
    stops = characters.find(STOP)
    joined = stops[
        characters.is_kind(stops - 1, SMALL)
        & characters.is_kind(stops + 1, CAPITAL)
        & characters.is_kind(stops + 2, SMALL)
    ]
    n_slips = characters.count_places(joined)
    before, after = characters.blank_runs
    is_odd = (
        characters.is_one(after, ",.;:!?)")
        | characters.is_one(before, "(")
        # Two spaces side by side, or blanks that may hold them
        | (characters.is_one(after - 1, " ") & characters.is_one(after - 2, " "))
        | (characters.is_one(before + 1, " ") & characters.is_one(before + 2, " "))
        | (after - before > 4)
    )
    marks = np.concatenate(
        [stops, characters.find_mark(","), characters.find_mark(";")]
    )
    is_doubled = characters.codes[marks] == characters.codes[marks + 1]
    odd = characters.mention(np.concatenate([before[is_odd], marks[is_doubled]]))
    for row in np.flatnonzero(odd).tolist():
        n_slips[row] += len(_SLIP.findall(samples.responses[row]))
    return n_slips


def _count_blanks(samples: SampleTexts) -> Numbers:
    """Count what is left to fill in."""
    count = samples.characters.count
    may_have = (count("_") > 1) | (count("X") > 2)
    for mark in "[<{":
        may_have |= count(mark) > 0
    stops = samples.characters.find(STOP)
    may_have |= samples.characters.mention(
        stops[samples.characters.is_kind(stops + 2, STOP)]
    )
    n_blanks = np.zeros(len(may_have), dtype=np.int64)
    for row in np.flatnonzero(may_have).tolist():
        n_blanks[row] = len(_BLANK.findall(samples.responses[row]))
    return n_blanks


def _find_leftovers(samples: SampleTexts) -> Flags:
    """Find labels and marks of prompts in responses."""
    characters = samples.characters
    has_colon = characters.count(":") > 0
    found = np.zeros(len(has_colon), dtype=np.bool_)
    starts = characters.line_starts
    is_candidate = has_colon[characters.texts[starts]] & (
        characters.is_one(starts, "iIoOrRaAhHuUqQ") | characters.is_kind(starts, BLANK)
    )
    for place in starts[is_candidate].tolist():
        if _LEFTOVER_LABEL.match(characters.joined, place):
            found[characters.texts[place]] = True
    may_have = (characters.count("#") > 1) | (characters.count("<") > 0)
    may_have |= samples.phrases.mention(["nput", "�"])
    for row in np.flatnonzero(may_have & ~found).tolist():
        response = samples.responses[row]
        if has_colon[row] or any(map(response.__contains__, _LEFTOVER_MARKS)):
            found[row] = _LEFTOVER.search(response) is not None
    return found


def _measure_phrasing(samples: SampleTexts) -> Array:
    own = samples.own
    refuses = own.mention("declining")
    for row in np.flatnonzero(refuses).tolist():
        refuses[row] = _REFUSAL.search(samples.lower[row]) is not None
    phrases = samples.phrases
    openers = [lower.startswith(_OPENERS) for lower in samples.lower]
    n_courtesy = np.array(openers, dtype=np.int64)
    for phrase in _CLOSERS:
        n_courtesy += phrases.mention([phrase])
    n_examples = phrases.count(_EXAMPLES)
    n_words = np.maximum(own.counts, 1)
    n_numbers = np.maximum(own.count("digit") - samples.n_items, 0)
    return np.column_stack(
        [
            refuses,
            own.count("doubts") / n_words,
            log_counts(n_courtesy),
            log_counts(n_examples),
            own.count("reasons") / n_words,
            n_numbers / n_words,
        ]
    )


def _measure_tone(samples: SampleTexts) -> Array:
    own = samples.own
    characters = samples.characters
    capitals = characters.find(CAPITAL)
    is_run = characters.is_kind(capitals + 1, CAPITAL)
    is_run &= characters.is_kind(capitals + 2, CAPITAL)
    n_shouted = np.zeros(len(own.counts), dtype=np.int64)
    for row in np.flatnonzero(characters.mention(capitals[is_run])).tolist():
        n_shouted[row] = len(_SHOUTED.findall(samples.responses[row]))
    is_question = characters.is_one(characters.ends - 1, _QUESTION_MARKS)
    has_link = samples.links.mention(_LINKS)
    n_words = np.maximum(own.counts, 1)
    lengths = own.memory.lengths[own.numbers]
    n_letters = np.bincount(own.texts, lengths, len(own.counts))
    link_asked = samples.intents.link
    return np.column_stack(
        [
            log_counts(characters.count("!")),
            np.where(n_shouted > 2, n_shouted / n_words, 0),
            is_question & (samples.n_sentences == 1),
            n_letters / n_words,
            own.count("self") / n_words,
            own.count("reader") / n_words,
            has_link & link_asked,
            has_link & ~link_asked,
        ]
    )
