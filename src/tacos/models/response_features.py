"""Takes the readable features (`tacos.models.feature_ramps`) of one instruction and its response.

What it does not know: whether a statement is true, whether code runs, whether an answer is wise.
English is read best, Chinese fairly, other languages by their shape only.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from tacos.models import instruction_intent, persuasion_attacks
from tacos.models.instruction_intent import InstructionIntent

MAX_CHARS = 20_000
"""Longer texts are measured on their first 20,000 characters."""

_WORD = re.compile(r"[^\W_]+(?:['’][a-z]+)?")
_CJK = re.compile(r"[぀-ヿ㐀-鿿가-힯]")
_SENTENCE = re.compile(r"[.!?]+(?=[\s\"'”)]|$)|[。!?]|\n")
_ITEM = re.compile(
    r"^[ \t]*(?:[-*•–]|\(?\d{1,3}[.):]|[a-zA-Z][.)]|[Ss]tep \d+)[ \t]*(?=\S)", re.MULTILINE
)
_MARK = re.compile(r"^[ \t]*(?:[-*•–]|\(?\d{1,3}[.):]|[a-zA-Z][.)])[ \t]*")
_SHOUTED = re.compile(r"\b[A-Z]{4,}\b")
_NOTHING = re.compile(
    r"\W*(?:none|n/?a|null|nil|nan|no ?(?:output|answer|response|input))\W*", re.IGNORECASE
)
_HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)
_CODE = re.compile(
    r"^\s*(?:def |class \w+[(:]|import \w|from \w+ import|#include|public |function ?\w*\(|var |let |const |<\w+[^>]*>|"
    r"SELECT |INSERT |UPDATE |CREATE |for ?\(|while ?\(|if ?\(|return |print ?\(|\$ ?\w+|console\.)|[;{}]\s*$",
    re.MULTILINE,
)
_CODE_MARKS = ("(", ";", "{", "<", "SELECT", "import", "$", "=")
_SMALL = re.compile(r"[.!?]\s+[a-z]")
_SLIP = re.compile(r"\w [,.;:!?](?=\s|$)|,,|(?<!\.)\.\.(?!\.)|;;|\( | \)|(?<=\S)  +(?=\S)")
_SLIPS = (" ,", " .", " ;", " :", " !", " ?", ",,", "..", ";;", "( ", " )", "  ")
_JOINED = re.compile(r"[.!?](?<=[a-z].)[A-Z][a-z]")
_BLANK = re.compile(
    r"_{3,}|\[(?!\d)[A-Za-z][^\]\n]{1,40}\](?!\()|\bX{3,}\b|<[A-Za-z][A-Za-z ]{2,30}>|\{\{?\w+\}?\}|\.{5,}"
)
_LEFTOVER = re.compile(
    r"###|(?:^|\n)\s*(?:instructions?|input|output|response|answer|human|assistant|user|q|a)\s*:|\bno ?input\b|"
    r"<\|\w+\|>|</s>|�",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\bas an? (?:ai|artificial|language)\b|\bi(?:'m| am) (?:sorry|unable|not able|not sure)|"
    r"\bi (?:cannot|can't|can not|do not|don't) (?:know|have|provide|understand|answer|help|access|assist|complete|"
    r"generate)|\bnot possible to\b|\bsorry,|\bi apologi[sz]e|无法|抱歉|对不起",
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
_EXAMPLES = ("for example", "for instance", "such as", "e.g.", "including", "例如", "比如")
_HEDGES = frozenset(["maybe", "perhaps", "possibly", "probably", "might", "somewhat", "guess"])
_REASONS = frozenset(
    [
        "because",
        "therefore",
        "thus",
        "hence",
        "since",
        "however",
        "although",
        "while",
        "whereas",
        "first",
        "firstly",
        "second",
        "secondly",
        "third",
        "thirdly",
        "next",
        "then",
        "finally",
        "additionally",
        "furthermore",
        "moreover",
        "also",
        "overall",
    ]
)
_SELF = frozenset(["i", "me", "my", "mine", "myself", "i'm", "i've", "i'd", "i'll"])
_READER = frozenset(["you", "your", "yours", "yourself", "you're", "you'll", "you've"])


def measure_response(instruction: str, response: str) -> tuple[list[float], str]:
    """The features of one sample, in the order of `FEATURES`, and the response that was measured.

    Sentences that plead with the judge are cut first, see `tacos.models.persuasion_attacks`.
    "Closeness of meaning" is left at 0 for the encoder.
    """
    instruction, response = instruction[:MAX_CHARS].strip(), response[:MAX_CHARS].strip()
    theirs = find_words(instruction)
    want = instruction_intent.read_intent(instruction, theirs)
    mine = find_words(response)
    plea = False
    if persuasion_attacks.suspect_plea(response, mine, want.scoring):
        kept = persuasion_attacks.cut_pleas(response, frozenset(theirs), want.scoring)
        plea, response, mine = kept != response, kept, find_words(kept)
    pieces = [piece for piece in _SENTENCE.split(response) if piece.strip()]
    n_items = len(_ITEM.findall(response))
    counts = Counter(mine)
    found = [
        float(not mine or (len(mine) < 3 and bool(_NOTHING.fullmatch(response)))),
        *_measure_lengths(want, len(theirs), mine, pieces, response.count(",")),
        *_measure_layout(response, n_items, want),
        *_measure_ending(response, len(mine), n_items),
        *_measure_repetition(mine, pieces, counts),
        *_measure_relevance(want, theirs, mine),
        *_measure_compliance(want, response, len(mine), n_items),
        *_measure_code(want, response),
        float(not want.tongue and _detect_script(instruction) != _detect_script(response)),
        *_measure_hygiene(want, response, len(pieces)),
        *_measure_phrasing(response, counts, len(mine), n_items),
        *_measure_tone(want, response, counts, mine),
        *map(
            float,
            (want.label, want.short, want.prose, want.explain, want.listing, want.edit, want.code),
        ),
        _log_count(len(theirs)),
        float(plea),
    ]
    return found, response


def find_words(text: str) -> list[str]:
    """Lower-case words; in Chinese, Japanese and Korean each character is one."""
    if not text.isascii():
        text = _CJK.sub(r" \g<0> ", text)
    return _WORD.findall(text.lower())


def _log_count(count: float) -> float:
    return math.log2(1.0 + count)


def _measure_lengths(
    want: InstructionIntent,
    n_theirs: int,
    mine: Sequence[str],
    pieces: Sequence[str],
    n_commas: int,
) -> tuple[float, ...]:
    length, n_sentences = _log_count(len(mine)), len(pieces)
    return (
        length,
        length if want.label else 0.0,
        length if want.short else 0.0,
        length if want.prose else 0.0,
        length if want.explain else 0.0,
        length - _log_count(n_theirs),
        _log_count(len(mine) / max(n_sentences, 1)),
        _log_count(_standard_deviation([piece.count(" ") for piece in pieces])),
        n_commas / max(len(mine), 1),
        _log_count(n_sentences),
    )


def _standard_deviation(counts: Sequence[int]) -> float:
    if len(counts) < 2:
        return 0.0
    mean = sum(counts) / len(counts)
    return math.sqrt(sum((count - mean) ** 2 for count in counts) / len(counts))


def _measure_layout(response: str, n_items: int, want: InstructionIntent) -> tuple[float, ...]:
    first, _, rest = response.partition("\n")
    n_marks = response.count("**") // 2 + (
        len(_HEADING.findall(response)) if "#" in response else 0
    )
    return (
        _log_count(response.count("\n\n")),
        _log_count(response.count("\n")),
        _log_count(n_items),
        float(n_items > 1 and (want.listing or want.items > 1)),
        float(first.rstrip().endswith((":", ":")) and bool(rest.strip())),
        _log_count(n_marks),
    )


def _measure_ending(response: str, n_mine: int, n_items: int) -> tuple[float, ...]:
    last = response[-1:]
    lines = [line for line in response.split("\n") if line.strip()] if n_items else []
    listed = len(lines) > 2 and bool(_ITEM.match(lines[-1]))
    closed = bool(last) and last in ".!?。!?…\"'”’)]}`;>*|"
    unbalanced = (
        response.count("(") > response.count(")")
        or response.count("[") > response.count("]")
        or response.count('"') % 2 == 1
        or response.count("```") % 2 == 1
    )
    loose = bool(last) and not closed and n_mine > 12 and not listed and not _is_code(response)
    return (float(closed), float(loose), float(unbalanced), float(listed and _ends_in_stump(lines)))


def _ends_in_stump(lines: Sequence[str]) -> bool:
    """Whether most list items end with a full stop and the last one does not."""
    body = [line.rstrip().endswith((".", "!", "?", "。")) for line in lines if _ITEM.match(line)]
    return len(body) > 1 and not body[-1] and 2 * sum(body[:-1]) > len(body) - 1


def _measure_repetition(
    mine: Sequence[str], pieces: Sequence[str], counts: Counter[str]
) -> tuple[float, ...]:
    n = len(mine)
    trigrams = set(zip(mine, mine[1:], mine[2:], strict=False))
    lines = [_MARK.sub("", piece).strip().lower() for piece in pieces]
    if len(lines) < 4:
        lines = [item.strip() for line in lines for item in line.split(",")]
    openings = [line[:12] for line in lines]
    most = max((count for word, count in counts.items() if len(word) > 3), default=0)
    return (
        1.0 - len(trigrams) / (n - 2) if n > 5 else 0.0,
        1.0 - len(set(lines)) / len(lines) if len(lines) > 1 else 0.0,
        1.0 - len(set(openings)) / len(openings) if len(openings) > 2 else 0.0,
        math.log(len(counts)) / math.log(n) if n > 3 else 1.0,
        most / n if n > 8 and most > 2 else 0.0,
    )


def _measure_relevance(
    want: InstructionIntent, theirs: Sequence[str], mine: Sequence[str]
) -> tuple[float, ...]:
    topic = {
        word[:5]
        for word in theirs
        if word not in instruction_intent.STOP and (len(word) > 2 or not word.isascii())
    }
    said = {word[:5] for word in mine}
    grams = set(zip(theirs, theirs[1:], theirs[2:], theirs[3:], strict=False))
    own = list(zip(mine, mine[1:], mine[2:], mine[3:], strict=False))
    echo = sum(map(grams.__contains__, own)) / len(own) if own else 0.0
    opening = [word[:5] for word in mine[:8]]
    return (
        len(topic & said) / len(topic) if topic else 0.5,
        _log_count(
            sum(len(word) > 3 or not word.isascii() for word in set(mine).difference(theirs))
        ),
        0.0,
        0.0 if want.edit else echo,
        echo if want.edit else 0.0,
        sum(word in topic for word in opening) / len(opening) if opening else 0.0,
    )


def _measure_compliance(
    want: InstructionIntent, response: str, n_mine: int, n_items: int
) -> tuple[float, ...]:
    n_given = (n_items or _count_inline_items(response)) if want.items else 0
    over = math.log2(n_mine / (1.1 * want.limit)) if want.limit and n_mine else 0.0
    return (
        math.log2((1 + n_given) / (1 + want.items)) if want.items else 0.0,
        float(want.items > 0 and n_given == want.items),
        max(over, 0.0),
    )


def _count_inline_items(response: str) -> int:
    """Items of a list that is written as lines without marks or as one sentence with commas."""
    lines = [line for line in response.split("\n") if line.strip()]
    if len(lines) > 2:
        return len(lines) - lines[0].rstrip().endswith(":")
    return len(re.split(r",\s+(?:and |or )?|\s+and\s+|;\s+|\d\. ", lines[-1])) if lines else 0


def _is_code(response: str) -> bool:
    return "```" in response or (
        any(mark in response for mark in _CODE_MARKS) and bool(_CODE.search(response))
    )


def _measure_code(want: InstructionIntent, response: str) -> tuple[float, ...]:
    there = _is_code(response)
    return (
        float(want.code and there),
        float(want.only_code and not there),
        float(there and not want.code),
    )


def _detect_script(text: str) -> str:
    """The writing system of most letters: "latin", "cjk" or "other"."""
    if text.isascii():
        return "latin"
    letters = [c for c in text[:2000] if c.isalpha()]
    n_cjk = sum("぀" <= c <= "鿿" or "가" <= c <= "힯" for c in letters)
    n_latin = sum(c < "ɐ" for c in letters)
    return "cjk" if n_cjk * 3 > n_latin else ("latin" if n_latin * 2 >= len(letters) else "other")


def _measure_hygiene(want: InstructionIntent, response: str, n_sentences: int) -> tuple[float, ...]:
    blanks = any(mark in response for mark in ("__", "[", "XXX", "<", "{", "....."))
    slips = any(mark in response for mark in _SLIPS)
    leftovers = any(mark in response for mark in ("##", ":", "|>", "</s>", "�", "nput"))
    return (
        float(response[:1].islower() and not want.label and not want.short),
        min(len(_SMALL.findall(response)) / max(n_sentences, 1), 1.0),
        _log_count(len(_JOINED.findall(response)) + (len(_SLIP.findall(response)) if slips else 0)),
        _log_count(len(_BLANK.findall(response)) if blanks else 0),
        float(leftovers and bool(_LEFTOVER.search(response))),
    )


def _measure_phrasing(
    response: str, counts: Counter[str], n_mine: int, n_items: int
) -> tuple[float, ...]:
    n = max(n_mine, 1)
    n_numbers = sum(count for word, count in counts.items() if word[0].isdigit())
    lower = response.lower()
    n_courtesy = lower.startswith(_OPENERS) + sum(phrase in lower for phrase in _CLOSERS)
    return (
        float(not _DECLINING.isdisjoint(counts) and bool(_REFUSAL.search(lower))),
        _word_share(_HEDGES, counts, n),
        _log_count(n_courtesy),
        _log_count(sum(map(lower.count, _EXAMPLES))),
        _word_share(_REASONS, counts, n),
        max(n_numbers - n_items, 0) / n,
    )


def _word_share(known: frozenset[str], counts: Counter[str], n: int) -> float:
    return sum(counts[word] for word in known & counts.keys()) / n


def _measure_tone(
    want: InstructionIntent, response: str, counts: Counter[str], mine: Sequence[str]
) -> tuple[float, ...]:
    n = max(len(mine), 1)
    n_shouted = len(_SHOUTED.findall(response))
    link = "http" in response or "www." in response
    return (
        _log_count(response.count("!")),
        n_shouted / n if n_shouted > 2 else 0.0,
        float(
            response.endswith(("?", "?"))
            and response.count("?") + response.count("?") == 1
            and n < 30
        ),
        len("".join(mine)) / n,
        _word_share(_SELF, counts, n),
        _word_share(_READER, counts, n),
        float(link and want.link),
        float(link and not want.link),
    )
