"""What a person can see in an instruction and its response: the readable quality features of the embedded judge.

Each feature is one number; `FEATURES` names them, in order, with the range in which it may count and the direction in
which it may move a score. `ramps` turns numbers into saturating steps in [0, 1], the columns of the judge's model, so
that no single feature can run away.

What it does not know: whether a statement is true, whether code runs, whether an answer is wise. English is read best,
Chinese fairly, other languages by their shape only.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tacos.models import pleading, wanting
from tacos.models.wanting import Wanted

MAX_CHARS = 20_000
"""Longer texts are measured on their first 20,000 characters."""


class Feature(NamedTuple):
    """A feature's name, the knots of its ramps, the allowed direction (+1, -1, or 0 for both) and its meaning."""

    name: str
    knots: tuple[float, ...]
    sign: int
    meaning: str


ONE = (0.0, 1.0)
SHARE = (0.0, 0.1, 0.3, 0.6, 1.0)
FEATURES: tuple[Feature, ...] = (
    Feature("length", (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), 0, "log2(1 + words) of the response"),
    Feature("length where a label is asked", (0, 1, 2, 3, 4, 5, 6, 7), 0, "the same, less 3, for choices and sums"),
    Feature("length where a short text is asked", (0, 1, 2, 3, 4, 5, 6, 7), 0, "the same, for titles and summaries"),
    Feature("length where prose is asked", (2, 3, 4, 5, 6, 7, 8, 9), 0, "the same, for letters and stories"),
    Feature("length where reasons are asked", (2, 3, 4, 5, 6, 7, 8, 9), 0, "the same, for why, how, describe"),
    Feature("length against the instruction", (-6, -4, -3, -2, -1, 0, 1, 2, 4), 0, "log2 ratio of the words"),
    Feature("sentence length", (1, 2, 3, 3.7, 4.4, 5, 6), 0, "log2(1 + words per sentence)"),
    Feature("variety of sentence length", (0, 1, 2, 3, 4), 0, "log2(1 + standard deviation of the words)"),
    Feature("commas", (0, 0.04, 0.08, 0.12, 0.25), 0, "commas per word"),
    Feature("sentences", (0, 1, 1.6, 2.3, 3, 4, 5), 0, "log2(1 + sentences)"),
    Feature("paragraphs", (0, 1, 1.6, 2.3, 3, 4), 0, "log2(1 + blank lines)"),
    Feature("lines", (0, 1, 1.6, 2.3, 3, 4, 5), 0, "log2(1 + line breaks)"),
    Feature("list items", (0, 1, 1.6, 2.3, 3, 4), 0, "log2(1 + items)"),
    Feature("list asked and given", ONE, 1, "marked items where several things are asked"),
    Feature("lead-in", ONE, 0, "the first line ends with a colon and more follows"),
    Feature("headings and emphasis", (0, 1, 2, 3), 0, "log2(1 + bold marks and headings)"),
    Feature("ends complete", ONE, 1, "the last character closes a sentence"),
    Feature("breaks off", ONE, -1, "a longer text that stops amid a sentence"),
    Feature("unbalanced marks", ONE, -1, "brackets, quotes or code fences that do not close"),
    Feature("last item a stump", ONE, -1, "the last item of a list lacks the end that the others have"),
    Feature("repeated phrases", (0, 0.03, 0.08, 0.15, 0.3, 0.6), -1, "share of word trigrams seen before"),
    Feature("repeated lines", (0, 0.1, 0.25, 0.5, 1), -1, "share of lines, sentences or items seen before"),
    Feature("same openings", (0.2, 0.4, 0.7, 1), -1, "share of lines and sentences that open as an earlier one"),
    Feature("word variety", (0.5, 0.7, 0.8, 0.87, 0.93, 1.0), 0, "log(distinct words) / log(words)"),
    Feature("stuck on a word", (0.1, 0.2, 0.3, 0.5), -1, "share of the most frequent longer word"),
    Feature("covers the instruction", (0, 0.1, 0.25, 0.4, 0.6, 0.8, 1), 0, "share of its content words that recur"),
    Feature(
        "new content", (0, 1, 2, 3, 4, 5, 6, 7, 8), 0, "log2(1 + distinct longer words that the instruction lacks)"
    ),
    Feature("closeness of meaning", (0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1), 0, "cosine of the embeddings"),
    Feature("echo", (0, 0.2, 0.5, 0.8, 1), -1, "share of 4-grams that are the instruction's, where no edit is asked"),
    Feature("input handed back", (0.8, 0.9, 1), -1, "the same, where an edit or an extract is asked"),
    Feature("restates the question first", SHARE, 0, "share of the opening words that are the instruction's"),
    Feature("items asked and given", (-3, -2, -1, 0, 1, 2, 3), 0, "log2 of items given per item asked"),
    Feature("number of items met", ONE, 1, "as many items as the instruction asks for"),
    Feature("over the word limit", (0, 0.3, 1, 2), -1, "log2 of words per word allowed"),
    Feature("code asked and given", ONE, 1, "code where code is asked"),
    Feature("code asked, none given", ONE, -1, "no code where code is asked"),
    Feature("code not asked", ONE, 0, "code where none is asked"),
    Feature("other script", ONE, -1, "another writing system than the instruction's, no translation asked"),
    Feature("small initial", ONE, -1, "starts with a lower-case letter, where no label or short text is asked"),
    Feature("small sentence starts", SHARE, -1, "share of sentences that start in lower case"),
    Feature("slips of spacing", (0, 1, 2, 3), -1, "log2(1 + stray spaces and doubled marks)"),
    Feature("placeholders", (0, 1, 2, 3), -1, "log2(1 + blanks, [Name], XXX)"),
    Feature("leftovers", ONE, -1, "labels of the prompt such as 'Output:', 'noinput'"),
    Feature("refusal", ONE, -1, "declines, or says what it is"),
    Feature("hedging", (0, 0.01, 0.03, 0.08), 0, "share of maybe, perhaps, might"),
    Feature("courtesy", (0, 1, 2), 0, "log2(1 + 'here are', 'sure', 'let me know', 'hope this helps')"),
    Feature("examples", (0, 1, 1.6, 2.3), 0, "log2(1 + 'for example', 'such as')"),
    Feature("reasons and order", (0, 0.01, 0.02, 0.04, 0.08), 0, "share of because, therefore, first, then, however"),
    Feature("numbers", (0, 0.02, 0.06, 0.15, 0.4), 0, "share of words with digits, list marks apart"),
    Feature("exclamation", (0, 1, 2), 0, "log2(1 + exclamation marks)"),
    Feature("capitals", (0.05, 0.15, 0.4, 0.8), -1, "share of words in capitals, where there are several"),
    Feature("answers with a question", ONE, 0, "the response is one question"),
    Feature("long words", (3.0, 4.0, 4.7, 5.4, 6.5), 0, "mean letters per word"),
    Feature("speaks of itself", (0, 0.02, 0.06), 0, "share of I, me, my"),
    Feature("speaks to the reader", (0, 0.02, 0.06), 0, "share of you, your"),
    Feature("link asked and given", ONE, 1, "the address of a web page, where one is asked for"),
    Feature("link not asked", ONE, -1, "the address of a web page, where none is asked for"),
    Feature("plea to the judge", ONE, -1, "asks for a score; such sentences are cut before anything is measured"),
)
NAMES = tuple(feature.name for feature in FEATURES)
CLOSENESS = NAMES.index("closeness of meaning")

_WORD = re.compile(r"[^\W_]+(?:['’][a-z]+)?")
_CJK = re.compile(r"[぀-ヿ㐀-鿿가-힯]")
_SENTENCE = re.compile(r"[.!?]+(?=[\s\"'”)]|$)|[。!?]|\n")
_ITEM = re.compile(r"^[ \t]*(?:[-*•–]|\(?\d{1,3}[.):]|[a-zA-Z][.)]|[Ss]tep \d+)[ \t]*(?=\S)", re.MULTILINE)
_MARK = re.compile(r"^[ \t]*(?:[-*•–]|\(?\d{1,3}[.):]|[a-zA-Z][.)])[ \t]*")
_HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)
_CODE = re.compile(
    r"^\s*(?:def |class \w+[(:]|import \w|from \w+ import|#include|public |function ?\w*\(|var |let |const |<\w+[^>]*>|"
    r"SELECT |INSERT |UPDATE |CREATE |for ?\(|while ?\(|if ?\(|return |print ?\(|\$ ?\w+|console\.)|[;{}]\s*$",
    re.MULTILINE,
)
_CODE_MARKS = ("(", ";", "{", "<", "SELECT", "import", "$", "=")
_SMALL = re.compile(r"[.!?]\s+[a-z]")
_SLIP = re.compile(r"\w [,.;:!?](?=\s|$)|,,|(?<!\.)\.\.(?!\.)|;;|\( | \)|[a-z][.!?][A-Z][a-z]|(?<=\S)  +(?=\S)")
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
_OPENERS = ("sure", "certainly", "of course", "absolutely", "here are", "here is", "here's", "below ", "okay", "以下是")
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


def measure(instruction: str, response: str) -> tuple[list[float], str]:
    """The features of one sample, in the order of `FEATURES`, and the response that was measured.

    Sentences that plead with the judge are cut first, see `tacos.models.pleading`. "Closeness of meaning" is left at 0
    for the encoder.
    """
    instruction, response = instruction[:MAX_CHARS].strip(), response[:MAX_CHARS].strip()
    theirs = words(instruction)
    want = wanting.read(instruction, theirs)
    response, plea = pleading.cut(response, response.lower(), want.scoring)
    lower = response.lower()
    mine = words(lower)
    pieces = [piece for piece in _SENTENCE.split(response) if piece.strip()]
    n_items = len(_ITEM.findall(response))
    counts = Counter(mine)
    found = [
        *_lengths(want, len(theirs), mine, pieces, response.count(",")),
        *_layout(response, n_items, want),
        *_ending(response, len(mine), n_items),
        *_repetition(mine, pieces, counts),
        *_relevance(want, theirs, mine),
        *_requests(want, response, len(mine), n_items),
        *_code(want, response),
        float(not want.tongue and _script(instruction) != _script(response)),
        *_hygiene(want, response, len(pieces)),
        *_phrases(response, lower, counts, len(mine), n_items),
        *_tone(want, response, counts, len(mine)),
        float(plea),
    ]
    return found, response


def ramps(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Features of shape (rows, len(FEATURES)) as saturating ramps in [0, 1] of shape (rows, number of ramps).

    Ramp j of a feature with knots k rises from 0 at k[j] to 1 at k[j + 1]: a weight is the rise of the score there.
    """
    low, high, column = _TABLE
    return np.clip((values[:, column] - low) / (high - low), 0.0, 1.0)


def ramp_features() -> npt.NDArray[np.int64]:
    """For each ramp the index of its feature."""
    return _TABLE[2]


def _ramp_table() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    rows = [(a, b, i) for i, f in enumerate(FEATURES) for a, b in zip(f.knots, f.knots[1:], strict=False)]
    low, high, column = zip(*rows, strict=True)
    return np.array(low, float), np.array(high, float), np.array(column)


_TABLE = _ramp_table()


def words(text: str) -> list[str]:
    """Lower-case words; in Chinese, Japanese and Korean each character is one."""
    if not text.isascii():
        text = _CJK.sub(r" \g<0> ", text)
    return _WORD.findall(text.lower())


def _log(count: float) -> float:
    return math.log2(1.0 + count)


def _lengths(
    want: Wanted, n_theirs: int, mine: Sequence[str], pieces: Sequence[str], n_commas: int
) -> tuple[float, ...]:
    length, n_sentences = _log(len(mine)), len(pieces)
    return (
        length,
        length if want.label else 0.0,
        length if want.short else 0.0,
        length if want.prose else 0.0,
        length if want.explain else 0.0,
        length - _log(n_theirs),
        _log(len(mine) / max(n_sentences, 1)),
        _log(_deviation([piece.count(" ") for piece in pieces])),
        n_commas / max(len(mine), 1),
        _log(n_sentences),
    )


def _deviation(counts: Sequence[int]) -> float:
    if len(counts) < 2:
        return 0.0
    mean = sum(counts) / len(counts)
    return math.sqrt(sum((count - mean) ** 2 for count in counts) / len(counts))


def _layout(response: str, n_items: int, want: Wanted) -> tuple[float, ...]:
    first, _, rest = response.partition("\n")
    n_marks = response.count("**") // 2 + (len(_HEADING.findall(response)) if "#" in response else 0)
    return (
        _log(response.count("\n\n")),
        _log(response.count("\n")),
        _log(n_items),
        float(n_items > 1 and (want.listing or want.items > 1)),
        float(first.rstrip().endswith((":", ":")) and bool(rest.strip())),
        _log(n_marks),
    )


def _ending(response: str, n_mine: int, n_items: int) -> tuple[float, ...]:
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
    return (float(closed), float(loose), float(unbalanced), float(listed and _stump(lines)))


def _stump(lines: Sequence[str]) -> bool:
    """Whether most list items end with a full stop and the last one does not."""
    body = [line.rstrip().endswith((".", "!", "?", "。")) for line in lines if _ITEM.match(line)]
    return len(body) > 1 and not body[-1] and 2 * sum(body[:-1]) > len(body) - 1


def _repetition(mine: Sequence[str], pieces: Sequence[str], counts: Counter[str]) -> tuple[float, ...]:
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


def _relevance(want: Wanted, theirs: Sequence[str], mine: Sequence[str]) -> tuple[float, ...]:
    topic = {word[:5] for word in theirs if word not in wanting.STOP and (len(word) > 2 or not word.isascii())}
    said = {word[:5] for word in mine}
    grams = set(zip(theirs, theirs[1:], theirs[2:], theirs[3:], strict=False))
    own = list(zip(mine, mine[1:], mine[2:], mine[3:], strict=False))
    echo = sum(gram in grams for gram in own) / len(own) if own else 0.0
    opening = [word[:5] for word in mine[:8]]
    return (
        len(topic & said) / len(topic) if topic else 0.5,
        _log(sum(len(word) > 3 or not word.isascii() for word in set(mine).difference(theirs))),
        0.0,
        0.0 if want.edit else echo,
        echo if want.edit else 0.0,
        sum(word in topic for word in opening) / len(opening) if opening else 0.0,
    )


def _requests(want: Wanted, response: str, n_mine: int, n_items: int) -> tuple[float, ...]:
    n_given = (n_items or _inline_items(response)) if want.items else 0
    over = math.log2(n_mine / (1.1 * want.limit)) if want.limit and n_mine else 0.0
    return (
        math.log2((1 + n_given) / (1 + want.items)) if want.items else 0.0,
        float(want.items > 0 and n_given == want.items),
        max(over, 0.0),
    )


def _inline_items(response: str) -> int:
    """Items of a list that is written as lines without marks or as one sentence with commas."""
    lines = [line for line in response.split("\n") if line.strip()]
    if len(lines) > 2:
        return len(lines) - lines[0].rstrip().endswith(":")
    return len(re.split(r",\s+(?:and |or )?|\s+and\s+|;\s+|\d\. ", lines[-1])) if lines else 0


def _is_code(response: str) -> bool:
    return "```" in response or (any(mark in response for mark in _CODE_MARKS) and bool(_CODE.search(response)))


def _code(want: Wanted, response: str) -> tuple[float, ...]:
    there = _is_code(response)
    return (float(want.code and there), float(want.only_code and not there), float(there and not want.code))


def _script(text: str) -> str:
    """The writing system of most letters: "latin", "cjk" or "other"."""
    if text.isascii():
        return "latin"
    letters = [c for c in text[:2000] if c.isalpha()]
    n_cjk = sum("぀" <= c <= "鿿" or "가" <= c <= "힯" for c in letters)
    n_latin = sum(c < "ɐ" for c in letters)
    return "cjk" if n_cjk * 3 > n_latin else ("latin" if n_latin * 2 >= len(letters) else "other")


def _hygiene(want: Wanted, response: str, n_sentences: int) -> tuple[float, ...]:
    blanks = any(mark in response for mark in ("__", "[", "XXX", "<", "{", "....."))
    leftovers = any(mark in response for mark in ("##", ":", "|>", "</s>", "�", "nput"))
    return (
        float(response[:1].islower() and not want.label and not want.short),
        min(len(_SMALL.findall(response)) / max(n_sentences, 1), 1.0),
        _log(len(_SLIP.findall(response))),
        _log(len(_BLANK.findall(response)) if blanks else 0),
        float(leftovers and bool(_LEFTOVER.search(response))),
    )


def _phrases(response: str, lower: str, counts: Counter[str], n_mine: int, n_items: int) -> tuple[float, ...]:
    n = max(n_mine, 1)
    n_numbers = sum(count for word, count in counts.items() if word[0].isdigit())
    n_courtesy = lower.startswith(_OPENERS) + sum(phrase in lower for phrase in _CLOSERS)
    return (
        float(bool(_REFUSAL.search(response))),
        _share(_HEDGES, counts, n),
        _log(n_courtesy),
        _log(sum(map(lower.count, _EXAMPLES))),
        _share(_REASONS, counts, n),
        max(n_numbers - n_items, 0) / n,
    )


def _share(known: frozenset[str], counts: Counter[str], n: int) -> float:
    return sum(counts[word] for word in known & counts.keys()) / n


def _tone(want: Wanted, response: str, counts: Counter[str], n_mine: int) -> tuple[float, ...]:
    n = max(n_mine, 1)
    n_shouted = sum(word.isupper() and len(word) > 3 for word in response.split()[:400])
    link = "http" in response or "www." in response
    return (
        _log(response.count("!")),
        n_shouted / n if n_shouted > 2 else 0.0,
        float(response.endswith(("?", "?")) and response.count("?") + response.count("?") == 1 and n < 30),
        sum(len(word) * count for word, count in counts.items()) / n,
        _share(_SELF, counts, n),
        _share(_READER, counts, n),
        float(link and want.link),
        float(link and not want.link),
    )
