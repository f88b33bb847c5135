"""Measures the judge's readable features of instructions and their responses.

`tacos.models.feature_names` names them. They cannot tell whether a statement is true, whether code
runs or whether an answer is wise. English is read best, Chinese fairly, other languages by their
shape only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from tacos.models import sample_texts, task_features, word_columns
from tacos.models.instruction_intent import InstructionIntents
from tacos.models.sample_texts import ITEM, SampleTexts
from tacos.models.word_columns import Array, Flags, Numbers, Words, log_counts

Features = tuple[float, ...]


_MARK = re.compile(r"^[ \t]*(?:[-*•–]|\(?\d{1,3}[.):]|[a-zA-Z][.)])[ \t]*")
_FULL_STOPS = (".", "!", "?", "。", "！", "？")
_QUESTION_MARKS = ("?", "？")
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
_SMALL = re.compile(r"[.!?]\s+[a-z]")
_SLIP = re.compile(
    r"\w [,.;:!?](?=\s|$)|,,|(?<!\.)\.\.(?!\.)|;;|\( | \)|(?<=\S)  +(?=\S)"
)
_SLIPS = (" ,", " .", " ;", " :", " !", " ?", ",,", "..", ";;", "( ", " )", "  ")
_JOINED = re.compile(r"[.!?](?<=[a-z].)[A-Z][a-z]")
_BLANK = re.compile(
    r"_{3,}|\[(?!\d)[A-Za-z][^\]\n]{1,40}\](?!\()|\bX{3,}\b|<[A-Za-z][A-Za-z ]{2,30}>"
    r"|\{\{?\w+\}?\}|\.{5,}"
)
_BLANK_MARKS = ("__", "[", "XXX", "<", "{", ".....")
_LEFTOVER_LABEL = re.compile(
    r"^\s*(?:instructions?|input|output|response|answer|human|assistant|user|q|a)\s*:",
    re.IGNORECASE | re.MULTILINE,
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


def measure_responses(
    instructions: Sequence[str],
    responses: Sequence[str],
) -> tuple[Array, list[str]]:
    """Return the features of samples, (n, FEATURES + N_RAW), and the responses measured.

    Sentences that plead with the judge are removed from responses first, see
    `tacos.models.persuasion_attacks`. "Closeness of meaning" is left at 0 for the encoder.
    """
    blocks: list[Array] = []
    kept: list[str] = []
    # One batch at least, so that no samples have columns, too.
    for start in range(0, max(len(instructions), 1), word_columns.MAX_TEXTS):
        batch = slice(start, start + word_columns.MAX_TEXTS)
        samples = sample_texts.read_samples(instructions[batch], responses[batch])
        base = _measure_samples(samples)
        task = task_features.measure_tasks(samples)
        blocks.append(np.concatenate([base, task], axis=1))
        kept += samples.responses
    return np.concatenate(blocks), kept


def _measure_samples(samples: SampleTexts) -> Array:
    """The features of one batch, (n, FEATURES), each group as a loop of its own.

    A short loop over all samples runs much faster than one sample through all of the code.
    """
    responses = samples.responses
    intents = samples.intents
    n_words = samples.own.counts
    n_asked_words = samples.asked.counts
    n_sentences = np.array(list(map(len, samples.sentences)), dtype=np.int64)
    n_commas = np.array([text.count(",") for text in responses], dtype=np.int64)
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
            _measure_endings(samples),
            _measure_repetition(samples),
            _measure_relevance(samples),
            _measure_compliance(samples),
            _measure_code(responses, intents),
            np.array(other_script, dtype=np.bool_) & ~intents.tongue,
            _measure_hygiene(responses, intents, n_sentences),
            _measure_phrasing(samples),
            _measure_tone(samples, n_sentences),
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


def _log_count(count: float) -> float:
    return math.log2(1.0 + count)


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
    sentence_lengths: list[tuple[float, float]] = []
    for n_own, sentences in zip(n_words.tolist(), samples.sentences, strict=True):
        # Blanks stand for words here: they are counted much faster.
        spaces = [sentence.count(" ") for sentence in sentences]
        words_per_sentence = n_own / max(len(sentences), 1)
        sentence_lengths.append(
            (_log_count(words_per_sentence), _log_count(_standard_deviation(spaces)))
        )
    return np.column_stack(
        [
            length,
            np.where(intents.label, length, 0),
            np.where(intents.short, length, 0),
            np.where(intents.prose, length, 0),
            np.where(intents.explain, length, 0),
            length - log_counts(samples.asked.counts),
            _stack_rows(sentence_lengths, 2),
        ]
    )


def _standard_deviation(counts: Sequence[int]) -> float:
    n = len(counts)
    if n < 2:
        return 0.0
    mean = sum(counts) / n
    squares = [(count - mean) ** 2 for count in counts]
    return math.sqrt(sum(squares) / n)


def _measure_layouts(samples: SampleTexts) -> Array:
    list_asked = samples.intents.listing | (samples.intents.items > 1)
    rows: list[tuple[int, int, bool, int]] = []
    for response in samples.responses:
        first_line, _, rest = response.partition("\n")
        lead_in = first_line.rstrip().endswith(":") and bool(rest.strip())
        n_marks = response.count("**") // 2
        if "#" in response:
            n_marks += len(_HEADING.findall(response))
        rows.append((response.count("\n\n"), response.count("\n"), lead_in, n_marks))
    n_blank, n_breaks, lead_in, n_marks = _stack_rows(rows, 4).T
    return np.column_stack(
        [
            log_counts(n_blank),
            log_counts(n_breaks),
            log_counts(samples.n_items),
            (samples.n_items > 1) & list_asked,
            lead_in,
            log_counts(n_marks),
        ]
    )


def _measure_endings(samples: SampleTexts) -> Array:
    rows = [
        _measure_ending(response, n_words, n_items)
        for response, n_words, n_items in zip(
            samples.responses,
            samples.own.counts.tolist(),
            samples.n_items.tolist(),
            strict=True,
        )
    ]
    return _stack_rows(rows, 4)


def _measure_ending(response: str, n_words: int, n_items: int) -> Features:
    lines: list[str] = []
    if n_items:
        lines = _find_filled_lines(response)
    ends_in_list = len(lines) > 2 and bool(ITEM.match(lines[-1]))
    complete = response.endswith(_CLOSING_MARKS)
    may_break_off = n_words > 12 and not complete and not ends_in_list
    breaks_off = may_break_off and not _is_code(response)
    return (
        complete,
        breaks_off,
        _has_unbalanced_marks(response),
        ends_in_list and _ends_in_stump(lines),
    )


def _find_filled_lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


def _has_unbalanced_marks(response: str) -> bool:
    return (
        response.count("(") > response.count(")")
        or response.count("[") > response.count("]")
        or response.count('"') % 2 == 1
        or response.count("```") % 2 == 1
    )


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
    n_distinct_trigrams = own.count_keys(word_columns.sort_distinct(own.key_phrases(3)))
    repeated_phrases = 1.0 - n_distinct_trigrams / n_trigrams

    # Lines, without the marks and numbers of lists
    lines: list[tuple[float, float]] = []
    for sentences in samples.sentences:
        normalised = _normalise_lines(sentences)
        repeated = 0.0
        if len(normalised) > 1:
            repeated = _share_of_repeats(normalised)
        same_openings = 0.0
        if len(normalised) > 2:
            same_openings = _share_of_repeats([line[:12] for line in normalised])
        lines.append((repeated, same_openings))

    # Words
    n_distinct = own.count_texts(distinct.texts)
    word_variety = np.ones(len(n_words))
    for row in np.flatnonzero(n_words > 3).tolist():
        word_variety[row] = math.log(n_distinct[row]) / math.log(n_words[row])
    largest_counts = np.zeros(len(n_words), dtype=np.int64)
    is_longer = own.memory.lengths[distinct.numbers] > 3
    longer = distinct.texts[is_longer]
    if len(longer):
        texts, starts = np.unique(longer, return_index=True)
        counts = distinct.counts[is_longer]
        largest_counts[texts] = np.maximum.reduceat(counts, starts)
    is_stuck = (n_words > 8) & (largest_counts > 2)
    return np.column_stack(
        [
            np.where(n_words > 5, repeated_phrases, 0),
            _stack_rows(lines, 2),
            word_variety,
            np.where(is_stuck, largest_counts / np.maximum(n_words, 1), 0),
        ]
    )


def _normalise_lines(sentences: Sequence[str]) -> list[str]:
    """Return sentences in lower case without list marks, or the items of a short response."""
    lines = [_MARK.sub("", sentence).strip().lower() for sentence in sentences]
    if not lines or len(lines) > 3:
        return lines
    # In a short response the items between commas may repeat each other.
    items = ",".join(lines).split(",")
    return [item.strip() for item in items]


def _share_of_repeats(parts: Sequence[str]) -> float:
    return 1.0 - len(set(parts)) / len(parts)


def _measure_relevance(samples: SampleTexts) -> Array:
    own = samples.own
    asked = samples.asked
    # Words are compared by their first letters, so that endings make no difference.
    topics = asked.distinct
    is_content = _find_content(asked, topics.numbers, topics.flags)
    topic_stems = word_columns.sort_distinct(
        asked.key_stems(topics.texts[is_content], topics.numbers[is_content])
    )
    distinct = own.distinct
    own_stems = np.sort(own.key_stems(distinct.texts, distinct.numbers))
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
    asked_grams = np.sort(asked.key_phrases(4))
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


def _measure_code(responses: Sequence[str], intents: InstructionIntents) -> Array:
    has_code = np.fromiter(map(_is_code, responses), np.bool_, len(responses))
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
    for character in text[:2000]:
        if not character.isalpha():
            continue
        n_letters += 1
        if character < "ɐ":
            n_latin += 1
        elif "぀" <= character <= "鿿" or "가" <= character <= "힯":
            n_cjk += 1
    # A Chinese character says about as much as three letters.
    if 3 * n_cjk > n_latin:
        return "cjk"
    if 2 * n_latin >= n_letters:
        return "latin"
    return "other"


def _measure_hygiene(
    responses: Sequence[str],
    intents: InstructionIntents,
    n_sentences: Numbers,
) -> Array:
    rows = [
        (
            response[:1].islower(),
            len(_SMALL.findall(response)),
            _count_slips(response),
            _count_blanks(response),
            _has_leftovers(response),
        )
        for response in responses
    ]
    small_initial, n_small_starts, n_slips, n_blanks, leftovers = _stack_rows(rows, 5).T
    sentence_asked = ~intents.label & ~intents.short
    return np.column_stack(
        [
            small_initial * sentence_asked,
            np.minimum(n_small_starts / np.maximum(n_sentences, 1), 1),
            log_counts(n_slips),
            log_counts(n_blanks),
            leftovers,
        ]
    )


# A pattern is tried only if one of its marks occurs.


def _count_slips(response: str) -> int:
    n_slips = len(_JOINED.findall(response))
    if any(map(response.__contains__, _SLIPS)):
        n_slips += len(_SLIP.findall(response))
    return n_slips


def _count_blanks(response: str) -> int:
    if not any(map(response.__contains__, _BLANK_MARKS)):
        return 0
    return len(_BLANK.findall(response))


def _has_leftovers(response: str) -> bool:
    has_colon = ":" in response
    if has_colon and _LEFTOVER_LABEL.search(response):
        return True
    if not has_colon and not any(map(response.__contains__, _LEFTOVER_MARKS)):
        return False
    return _LEFTOVER.search(response) is not None


def _measure_phrasing(samples: SampleTexts) -> Array:
    own = samples.own
    may_decline = own.mention("declining").tolist()
    rows: list[tuple[float, ...]] = []
    for lower, declining in zip(samples.lower, may_decline, strict=True):
        refuses = declining and _REFUSAL.search(lower) is not None
        n_courtesy = sum(map(lower.__contains__, _CLOSERS))
        n_courtesy += lower.startswith(_OPENERS)
        rows.append((refuses, n_courtesy, sum(map(lower.count, _EXAMPLES))))
    refuses, n_courtesy, n_examples = _stack_rows(rows, 3).T
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


def _measure_tone(samples: SampleTexts, n_sentences: Numbers) -> Array:
    own = samples.own
    rows = [
        (
            response.count("!"),
            len(_SHOUTED.findall(response)),
            response.endswith(_QUESTION_MARKS),
            "http" in response or "www." in response,
        )
        for response in samples.responses
    ]
    n_marks, n_shouted, is_question, has_link = _stack_rows(rows, 4).T
    n_words = np.maximum(own.counts, 1)
    lengths = own.memory.lengths[own.numbers]
    n_letters = np.bincount(own.texts, lengths, len(own.counts))
    link_asked = samples.intents.link
    return np.column_stack(
        [
            log_counts(n_marks),
            np.where(n_shouted > 2, n_shouted / n_words, 0),
            is_question * (n_sentences == 1),
            n_letters / n_words,
            own.count("self") / n_words,
            own.count("reader") / n_words,
            has_link * link_asked,
            has_link * ~link_asked,
        ]
    )
