"""Measures the judge's readable features of one instruction and its response.

`tacos.models.feature_names` names them. They cannot tell whether a statement is true, whether code
runs or whether an answer is wise. English is read best, Chinese fairly, other languages by their
shape only.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set

from tacos.models import instruction_intent, persuasion_attacks, task_features
from tacos.models.instruction_intent import InstructionIntent
from tacos.models.word_classes import ClassCounts, count_classes

MAX_CHARS = 20_000
"""Longer texts are measured on their first 20,000 characters."""

Features = tuple[float, ...]


# Words, sentences, list items.
_WORD = re.compile(r"[^\W_]+(?:['’][a-z]+)?")
_CJK = re.compile(r"[぀-ヿ㐀-鿿가-힯]")
_SENTENCE = re.compile(r"[.!?]+(?=[\s\"'”)]|$)|[。！？]|\n")
_ITEM = re.compile(
    r"^[ \t]*(?:[-*•–]|\(?\d{1,3}[.):]|[a-zA-Z][.)]|[Ss]tep \d+)[ \t]*(?=\S)",
    re.MULTILINE,
)
_MARK = re.compile(r"^[ \t]*(?:[-*•–]|\(?\d{1,3}[.):]|[a-zA-Z][.)])[ \t]*")
_FULL_STOPS = (".", "!", "?", "。", "！", "？")
_QUESTION_MARKS = ("?", "？")
_CLOSING_MARKS = ".!?。！？…\"'”’)]}`;>*|"
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
    r"\b(?:as an? (?:ai|artificial|language)\b|i(?:'m| am) (?:sorry|unable|not able|not sure)"
    r"|i (?:cannot|can't|can not|do not|don't) "
    r"(?:know|have|provide|understand|answer|help|access|assist|complete|generate)"
    r"|not possible to\b|sorry,|i apologi[sz]e)|无法|抱歉|对不起",
    re.IGNORECASE,
)
_DECLINING = frozenset(
    ("i", "i'm", "sorry", "ai", "artificial", "language", "possible", "抱", "无", "对")
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


def measure_response(
    instruction: str,
    response: str,
) -> tuple[list[float], str]:
    """Return the features of one sample, in the order of `FEATURES`, and the response measured.

    Sentences that plead with the judge are removed from the response first, see
    `tacos.models.persuasion_attacks`. "Closeness of meaning" is left at 0 for the encoder.
    """
    instruction = instruction[:MAX_CHARS].strip()
    response = response[:MAX_CHARS].strip()
    asked_words = find_words(instruction)
    asked = frozenset(asked_words)
    n_asked_words = len(asked_words)
    intent = instruction_intent.read_intent(instruction, asked_words)

    words = find_words(response)
    if persuasion_attacks.suspect_plea(response, words, intent.scoring):
        kept = persuasion_attacks.cut_pleas(response, asked, intent.scoring)
        response = kept
        words = find_words(kept)

    n_words = len(words)
    n_commas = response.count(",")
    n_items = len(_ITEM.findall(response))
    sentences = [part for part in _SENTENCE.split(response) if part.strip()]
    n_sentences = len(sentences)
    counts = Counter(words)
    classes = count_classes(counts)
    numbers = {word: count for word, count in counts.items() if word[0].isdigit()}
    other_script = _detect_script(instruction) != _detect_script(response)

    # The order is that of `FEATURES`.
    features = [
        float(_says_nothing(words, response)),
        *_measure_lengths(
            intent,
            n_asked_words,
            n_words,
            sentences,
        ),
        _divide(n_commas, n_words),
        _log_count(n_sentences),
        *_measure_layout(response, n_items, intent),
        *_measure_ending(response, n_words, n_items),
        *_measure_repetition(words, sentences, counts),
        *_measure_relevance(intent, asked_words, asked, words, counts.keys()),
        *_measure_compliance(intent, response, n_words, n_items),
        *_measure_code(intent, response),
        float(other_script and not intent.tongue),
        *_measure_hygiene(intent, response, n_sentences),
        *_measure_phrasing(response, counts, classes, numbers, n_words, n_items),
        *_measure_tone(intent, response, classes, words, n_sentences),
        float(intent.label),
        float(intent.short),
        float(intent.prose),
        float(intent.explain),
        float(intent.listing),
        float(intent.edit),
        float(intent.code),
        _log_count(n_asked_words),
    ]
    features += task_features.measure_task(
        instruction,
        response,
        asked_words,
        words,
        task_features.WordSets(asked, counts.keys(), numbers, classes),
        sentences,
    )
    return features, response


def find_words(text: str) -> list[str]:
    """Split a text into lower-case words; each Chinese, Japanese or Korean character is one."""
    if not text.isascii():
        text = _CJK.sub(r" \g<0> ", text)
    return _WORD.findall(text.lower())


def _log_count(count: float) -> float:
    return math.log2(1.0 + count)


def _divide(count: float, total: int) -> float:
    """Divide by a total that may be 0."""
    return count / max(total, 1)


def _says_nothing(words: Sequence[str], response: str) -> bool:
    if not words:
        return True
    return len(words) < 3 and bool(_NOTHING.fullmatch(response))


def _measure_lengths(
    intent: InstructionIntent,
    n_asked_words: int,
    n_words: int,
    sentences: Sequence[str],
) -> Features:
    length = _log_count(n_words)
    # Blanks stand for words here: they are counted much faster.
    spaces = [sentence.count(" ") for sentence in sentences]
    words_per_sentence = _divide(n_words, len(sentences))
    return (
        length,
        length if intent.label else 0.0,
        length if intent.short else 0.0,
        length if intent.prose else 0.0,
        length if intent.explain else 0.0,
        length - _log_count(n_asked_words),
        _log_count(words_per_sentence),
        _log_count(_standard_deviation(spaces)),
    )


def _standard_deviation(counts: Sequence[int]) -> float:
    n = len(counts)
    if n < 2:
        return 0.0
    mean = sum(counts) / n
    squares = [(count - mean) ** 2 for count in counts]
    return math.sqrt(sum(squares) / n)


def _measure_layout(
    response: str,
    n_items: int,
    intent: InstructionIntent,
) -> Features:
    first_line, _, rest = response.partition("\n")
    lead_in = first_line.rstrip().endswith(":") and bool(rest.strip())
    list_asked = intent.listing or intent.items > 1
    n_marks = response.count("**") // 2
    if "#" in response:
        n_marks += len(_HEADING.findall(response))
    return (
        _log_count(response.count("\n\n")),
        _log_count(response.count("\n")),
        _log_count(n_items),
        float(n_items > 1 and list_asked),
        float(lead_in),
        _log_count(n_marks),
    )


def _measure_ending(
    response: str,
    n_words: int,
    n_items: int,
) -> Features:
    lines: list[str] = []
    if n_items:
        lines = _find_filled_lines(response)
    ends_in_list = len(lines) > 2 and bool(_ITEM.match(lines[-1]))
    complete = response.endswith(tuple(_CLOSING_MARKS))
    may_break_off = n_words > 12 and not complete and not ends_in_list
    breaks_off = may_break_off and not _is_code(response)
    return (
        float(complete),
        float(breaks_off),
        float(_has_unbalanced_marks(response)),
        float(ends_in_list and _ends_in_stump(lines)),
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
        if _ITEM.match(line):
            item = line.rstrip()
            closed.append(item.endswith(_FULL_STOPS))
    if len(closed) < 2:
        return False
    *earlier, last = closed
    if last:
        return False
    return 2 * sum(earlier) > len(earlier)


def _measure_repetition(
    words: Sequence[str],
    sentences: Sequence[str],
    counts: Counter[str],
) -> Features:
    n_words = len(words)
    # Phrases, by their trigrams
    repeated_phrases = 0.0
    if n_words > 5:
        n_trigrams = n_words - 2
        distinct_trigrams = set(
            zip(
                words,
                words[1:],
                words[2:],
                strict=False,
            )
        )
        repeated_phrases = 1.0 - len(distinct_trigrams) / n_trigrams

    # Lines, without the marks and numbers of lists
    lines = _normalise_lines(sentences)
    repeated_lines = 0.0
    if len(lines) > 1:
        repeated_lines = _share_of_repeats(lines)
    same_openings = 0.0
    if len(lines) > 2:
        openings = [line[:12] for line in lines]
        same_openings = _share_of_repeats(openings)

    # Words
    word_variety = 1.0
    if n_words > 3:
        word_variety = math.log(len(counts)) / math.log(n_words)
    longer_counts = [count for word, count in counts.items() if len(word) > 3]
    largest_count = max(longer_counts, default=0)
    stuck = 0.0
    if n_words > 8 and largest_count > 2:
        stuck = largest_count / n_words
    return (
        repeated_phrases,
        repeated_lines,
        same_openings,
        word_variety,
        stuck,
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


def _measure_relevance(
    intent: InstructionIntent,
    asked_words: Sequence[str],
    asked: Set[str],
    words: Sequence[str],
    own: Set[str],
) -> Features:
    # Words are compared by their first five letters, so that endings make no difference.
    topic = {word[:5] for word in asked if _is_content_word(word)}
    stems = {word[:5] for word in own}
    # An instruction without content words is covered neither well nor badly.
    covered = 0.5
    if topic:
        shared = topic & stems
        covered = len(shared) / len(topic)

    new_words = [word for word in own - asked if len(word) > 3 or not word.isascii()]
    n_new = len(new_words)

    opening = [word[:5] for word in words[:8]]
    restated = 0.0
    if opening:
        n_restated = sum(stem in topic for stem in opening)
        restated = n_restated / len(opening)

    # An edit must repeat most of its input, so its echo is a feature of its own.
    echo = _measure_echo(asked_words, words)
    echo_of_edit = 0.0
    if intent.edit:
        echo_of_edit = echo
        echo = 0.0
    return (
        covered,
        _log_count(n_new),
        0.0,  # closeness of meaning, for the encoder
        echo,
        echo_of_edit,
        restated,
    )


def _is_content_word(word: str) -> bool:
    if word in instruction_intent.STOP:
        return False
    return len(word) > 2 or not word.isascii()


def _measure_echo(
    asked_words: Sequence[str],
    words: Sequence[str],
) -> float:
    """Return the share of the response's 4-grams that are the instruction's."""
    n_grams = len(words) - 3
    if n_grams < 1 or len(asked_words) < 4:
        return 0.0
    asked_grams = set(_iterate_four_grams(asked_words))
    n_echoed = sum(map(asked_grams.__contains__, _iterate_four_grams(words)))
    return n_echoed / n_grams


def _iterate_four_grams(words: Sequence[str]) -> Iterator[tuple[str, str, str, str]]:
    return zip(
        words,
        words[1:],
        words[2:],
        words[3:],
        strict=False,
    )


def _measure_compliance(
    intent: InstructionIntent,
    response: str,
    n_words: int,
    n_items: int,
) -> Features:
    items_ratio = 0.0
    items_met = False
    if intent.items:
        n_given = n_items or _count_inline_items(response)
        # 1 is added to both, because none may be given.
        items_ratio = math.log2((1 + n_given) / (1 + intent.items))
        items_met = n_given == intent.items

    excess = 0.0
    if intent.limit and n_words:
        # A tenth above the limit still counts as met.
        excess = math.log2(n_words / (1.1 * intent.limit))
    return (
        items_ratio,
        float(items_met),
        max(excess, 0.0),
    )


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


def _measure_code(intent: InstructionIntent, response: str) -> Features:
    has_code = _is_code(response)
    return (
        float(has_code and intent.code),
        float(intent.only_code and not has_code),
        float(has_code and not intent.code),
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
    intent: InstructionIntent,
    response: str,
    n_sentences: int,
) -> Features:
    small_initial = response[:1].islower()
    sentence_asked = not intent.label and not intent.short
    n_small_starts = len(_SMALL.findall(response))
    small_starts = _divide(n_small_starts, n_sentences)

    # A pattern is tried only if one of its marks occurs.
    n_slips = len(_JOINED.findall(response))
    if any(mark in response for mark in _SLIPS):
        n_slips += len(_SLIP.findall(response))
    n_blanks = 0
    if any(mark in response for mark in _BLANK_MARKS):
        n_blanks = len(_BLANK.findall(response))
    has_colon = ":" in response
    has_mark = any(mark in response for mark in _LEFTOVER_MARKS)
    leftovers = False
    if has_colon:
        leftovers = bool(_LEFTOVER_LABEL.search(response))
    if not leftovers and (has_colon or has_mark):
        leftovers = bool(_LEFTOVER.search(response))
    return (
        float(small_initial and sentence_asked),
        min(small_starts, 1.0),
        _log_count(n_slips),
        _log_count(n_blanks),
        float(leftovers),
    )


def _measure_phrasing(
    response: str,
    counts: Counter[str],
    classes: ClassCounts,
    numbers: Mapping[str, int],
    n_words: int,
    n_items: int,
) -> Features:
    lower = response.lower()
    refuses = False
    if not _DECLINING.isdisjoint(counts):
        refuses = bool(_REFUSAL.search(lower))
    n_courtesy = sum(phrase in lower for phrase in _CLOSERS)
    n_courtesy += lower.startswith(_OPENERS)
    n_examples = sum(map(lower.count, _EXAMPLES))
    n_numbers = sum(numbers.values())
    return (
        float(refuses),
        _divide(classes.doubts, n_words),
        _log_count(n_courtesy),
        _log_count(n_examples),
        _divide(classes.reasons, n_words),
        _divide(max(n_numbers - n_items, 0), n_words),
    )


def _measure_tone(
    intent: InstructionIntent,
    response: str,
    classes: ClassCounts,
    words: Sequence[str],
    n_sentences: int,
) -> Features:
    n_words = len(words)
    n_letters = len("".join(words))
    n_shouted = len(_SHOUTED.findall(response))
    shouted = 0.0
    if n_shouted > 2:
        shouted = _divide(n_shouted, n_words)
    has_link = "http" in response or "www." in response
    return (
        _log_count(response.count("!")),
        shouted,
        float(n_sentences == 1 and response.endswith(_QUESTION_MARKS)),
        _divide(n_letters, n_words),
        _divide(classes.self, n_words),
        _divide(classes.reader, n_words),
        float(has_link and intent.link),
        float(has_link and not intent.link),
    )
