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
    Feature("length when brevity is asked", (0, 1, 2, 3, 4, 5, 6, 7), 0, "the same, where a label or number is asked"),
    Feature("length when prose is asked", (1, 2, 3, 4, 5, 6, 7, 8, 9), 0, "the same, where text is to be composed"),
    Feature("length when explanation is asked", (1, 2, 3, 4, 5, 6, 7, 8, 9), 0, "the same, for why, how, describe"),
    Feature("length against the instruction", (-6, -4, -3, -2, -1, 0, 1, 2, 4), 0, "log2 ratio of the words"),
    Feature("sentence length", (1, 2, 3, 3.7, 4.4, 5, 6), 0, "log2 of words per sentence"),
    Feature("sentences", (0, 1, 1.6, 2.3, 3, 4, 5), 0, "log2(1 + sentences)"),
    Feature("paragraphs", (0, 1, 1.6, 2.3, 3, 4), 0, "log2(1 + blank lines)"),
    Feature("lines", (0, 1, 1.6, 2.3, 3, 4, 5), 0, "log2(1 + line breaks)"),
    Feature("list items", (0, 1, 1.6, 2.3, 3, 4), 0, "log2(1 + items)"),
    Feature("lead-in", ONE, 0, "the first line ends with a colon and more follows"),
    Feature("headings and emphasis", (0, 1, 2, 3), 0, "log2(1 + bold marks and headings)"),
    Feature("ends complete", ONE, 1, "the last character closes a sentence"),
    Feature("breaks off", ONE, -1, "a longer text that stops amid a sentence"),
    Feature("unbalanced marks", ONE, -1, "brackets, quotes or code fences that do not close"),
    Feature("closing line is whole", ONE, 1, "in lists: the last item is as complete as the others"),
    Feature("repeated phrases", (0, 0.03, 0.08, 0.15, 0.3, 0.6), -1, "share of word trigrams seen before"),
    Feature("repeated lines", (0, 0.1, 0.25, 0.5, 1), -1, "share of lines or sentences seen before"),
    Feature("word variety", (0.5, 0.7, 0.8, 0.87, 0.93, 1.0), 0, "log(distinct words) / log(words)"),
    Feature("stuck on a word", (0.1, 0.2, 0.3, 0.5), -1, "share of the most frequent longer word"),
    Feature("covers the instruction", (0, 0.1, 0.25, 0.4, 0.6, 0.8, 1), 0, "share of its content words that recur"),
    Feature("closeness of meaning", (0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9), 0, "cosine of the embeddings"),
    Feature("echo", (0, 0.2, 0.5, 0.8, 1), -1, "share of the response's 4-grams that are the instruction's"),
    Feature("pure echo", ONE, -1, "the response is a piece of the instruction, where none was asked for"),
    Feature("restates the question first", SHARE, 0, "share of the opening words that are the instruction's"),
    Feature("items asked and given", (-3, -2, -1, 0, 1, 2, 3), 0, "log2 of items given per item asked"),
    Feature("number of items met", ONE, 1, "as many items as the instruction asks for"),
    Feature("over the word limit", (0, 0.3, 1, 2), -1, "log2 of words per word allowed"),
    Feature("code asked and given", ONE, 1, "code where code is asked"),
    Feature("code asked, none given", ONE, -1, "no code where code is asked"),
    Feature("code not asked", ONE, 0, "code where none is asked"),
    Feature("code fence", ONE, 0, "a fenced block"),
    Feature("other script", ONE, -1, "another writing system than the instruction's, no translation asked"),
    Feature("small initial", ONE, -1, "starts with a lower-case letter"),
    Feature("small sentence starts", SHARE, -1, "share of sentences that start in lower case"),
    Feature("slips of spacing", (0, 1, 2, 3), -1, "log2(1 + stray spaces and doubled marks)"),
    Feature("stray spaces at line ends", (0, 1, 2, 3), -1, "log2(1 + lines that end in a space)"),
    Feature("placeholders", (0, 1, 2, 3), -1, "log2(1 + blanks, [Name], XXX)"),
    Feature("leftovers", ONE, -1, "labels of the prompt such as 'Output:', 'noinput'"),
    Feature("refusal", ONE, -1, "declines, or says what it is"),
    Feature("hedging", (0, 0.01, 0.03, 0.08), 0, "share of maybe, perhaps, might"),
    Feature("courtesy", (0, 1, 2), 0, "log2(1 + 'here are', 'sure', 'let me know', 'hope this helps')"),
    Feature("examples", (0, 1, 1.6, 2.3), 0, "log2(1 + 'for example', 'such as')"),
    Feature("reasons and order", (0, 0.01, 0.02, 0.04, 0.08), 0, "share of because, therefore, first, then, however"),
    Feature("numbers", (0, 0.02, 0.06, 0.15, 0.4), 0, "share of words with digits"),
    Feature("exclamation", (0, 1, 2), 0, "log2(1 + exclamation marks)"),
    Feature("capitals", (0.05, 0.15, 0.4, 0.8), -1, "share of words in capitals, where there are several"),
    Feature("answers with a question", ONE, 0, "the response is one question"),
    Feature("long words", (3.0, 4.0, 4.7, 5.4, 6.5), 0, "mean letters per word"),
    Feature("comma list instead of items", ONE, 0, "several items asked, given in one line"),
    Feature("speaks of itself", (0, 0.02, 0.06), 0, "share of I, me, my"),
    Feature("speaks to the reader", (0, 0.02, 0.06), 0, "share of you, your"),
    Feature("address of a web page", ONE, -1, "a link, where none is asked for"),
    Feature("plea to the judge", ONE, -1, "asks for a score; such sentences are cut before anything is measured"),
)
NAMES = tuple(feature.name for feature in FEATURES)

_WORD = re.compile(r"[^\W_]+(?:['’][a-z]+)?")
_CJK = re.compile(r"[぀-ヿ㐀-鿿가-힯]")
_SENTENCE = re.compile(r"[.!?]+(?=[\s\"'”)]|$)|[。!?]|\n")
_ITEM = re.compile(r"^[ \t]*(?:[-*•–]|\(?\d{1,3}[.):]|[a-zA-Z][.)]|step \d+)[ \t]*(?=\S)", re.MULTILINE | re.IGNORECASE)
_MARK = re.compile(r"^[ \t]*(?:[-*•–]|\(?\d{1,3}[.):]|[a-zA-Z][.)])[ \t]*")
_EMPHASIS = re.compile(r"\*\*[^*\n]+\*\*|^#{1,6} ", re.MULTILINE)
_FENCE = re.compile(r"```")
_CODE = re.compile(
    r"^\s*(?:def |class \w+[(:]|import \w|from \w+ import|#include|public |function ?\w*\(|var |let |const |<\w+[^>]*>|"
    r"SELECT |INSERT |UPDATE |CREATE |for ?\(|while ?\(|if ?\(|return |print ?\(|\$ ?\w+|console\.)|[;{}]\s*$",
    re.MULTILINE,
)
_SMALL = re.compile(r"(?:^|[.!?]\s+)[a-z]")
_SLIP = re.compile(r"\w [,.;:!?](?=\s|$)|,,|\.\.(?!\.)(?<!\.\.\.)|;;|\( | \)|[a-z][.!?][A-Z][a-z]|(?<=\S)  +(?=\S)")
_TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)
_BLANK = re.compile(
    r"_{3,}|\[(?!\d)[A-Za-z][^\]\n]{1,40}\](?!\()|\bX{3,}\b|<[A-Za-z][A-Za-z ]{2,30}>|\{\{?\w+\}?\}|\.{5,}"
)
_LEFTOVER = re.compile(
    r"###|(?:^|\n)\s*(?:instructions?|input|output|response|answer|human|assistant|user|q|a)\s*:|\bno ?input\b|<\|\w+\|>|"
    r"</s>|�",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\bas an? (?:ai|artificial|language)\b|\bi(?:'m| am) (?:sorry|unable|not able|not sure)|\bi (?:cannot|can't|can not|do not"
    r"|don't) (?:know|have|provide|understand|answer|help|access|assist|complete|generate)|\bnot possible to\b|\bsorry,|"
    r"\bi apologi[sz]e|无法|抱歉|对不起",
    re.IGNORECASE,
)
_HEDGE = re.compile(
    r"\b(?:maybe|perhaps|possibly|probably|might|i think|i guess|i believe|somewhat|sort of|kind of)\b", re.IGNORECASE
)
_COURTESY = re.compile(
    r"^(?:sure|certainly|of course|absolutely|here(?:'s| is| are)|below (?:is|are)|okay)\b|let me know|hope (?:this|that|it) "
    r"helps|feel free|以下是",
    re.IGNORECASE,
)
_EXAMPLE = re.compile(r"\b(?:for (?:example|instance)|such as|e\.g\.|including)\b|例如|比如", re.IGNORECASE)
_REASON = re.compile(
    r"\b(?:because|therefore|thus|hence|since|however|although|while|whereas|first(?:ly)?|second(?:ly)?|third(?:ly)?|next|then|"
    r"finally|additionally|furthermore|moreover|also|in order to|so that|as a result|due to|overall|in conclusion)\b",
    re.IGNORECASE,
)
_SELF = frozenset({"i", "me", "my", "mine", "myself", "i'm", "i've", "i'd", "i'll"})
_READER = frozenset({"you", "your", "yours", "yourself", "you're", "you'll", "you've"})
_LINK = re.compile(r"https?://|www\.\w")
_OPENING = re.compile(r"[(\[{]")
_CLOSING = re.compile(r"[)\]}]")
_PLEA = re.compile(
    r"(?:\b(?:ignore|disregard|forget|override)\b[^.!?\n]{0,40}\b(?:above|previous|prior|earlier|instructions?|rubric|criteria|"
    r"prompt|system)\b)|"
    r"(?:\b(?:give|award|assign|rate|grade|score|mark|rank|deserves?|output|return|choose|select|prefer|judge|evaluate|pick)\b"
    r"[^.!?\n]{0,60}(?:\b(?:score|rating|grade|marks?|points?|stars|verdict|winner|100|ten|10|five|5)\b|/ ?100|/ ?10\b)"
    r"[^.!?\n]{0,60}\b(?:this|response|answer|me|highest|perfect|full|maximum|top|best|100|10/10|winner)\b)|"
    r"(?:\b(?:this|my|the|above) (?:response|answer|output)\b[^.!?\n]{0,40}\b(?:deserves?|is worth|should (?:be|get|receive)|must "
    r"(?:be|get|receive)|is (?:the best|perfect|better|superior|flawless))\b)|"
    r"(?:\b(?:dear |note to (?:the )?|attention,? )(?:judge|evaluator|grader|reviewer|rater|annotator|assessor)s?\b)|"
    r"(?:\b(?:full|maximum|highest|perfect|top)[- ](?:marks?|score|points|grade|rating)\b)|"
    r"(?:\b(?:score|rating|grade)\s*[:=]\s*\d+(?:\s*/\s*\d+)?)|\b(?:100/100|10/10|5/5)\b",
    re.IGNORECASE,
)
_JUDGING = re.compile(r"\b(?:rate|rating|score|grade|review|evaluate|judge|rank|feedback|stars|marks?|points)\b", re.IGNORECASE)
_PIECE = re.compile(r"[^.!?\n]*(?:[.!?]+(?=\s|$)|\n|$)|[^\n]")

_NUMBERS = {
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
}
_ASKED = re.compile(
    r"\b(?:list|name|give|provide|write|generate|suggest|identify|find|create|describe|come up with|make|tell me|propose|"
    r"outline|state|recommend|brainstorm|explain|what are|show)\b[^.?!\n]{0,40}?\b(?P<n>\d{1,2}|two|three|four|five|six|seven|"
    r"eight|nine|ten) (?!words?\b|sentences?\b|paragraphs?\b|lines?\b|characters?\b|minutes?\b|years?\b|hours?\b|days?\b|"
    r"dollars?\b|stanzas?\b|percent\b|people\b|million\b|parts?\b)(?:[\w-]+ ){0,3}?[\w-]+s\b",
    re.IGNORECASE,
)
_LIMIT = re.compile(
    r"(?:\b(?:in|within|under|at most|no more than|less than|fewer than|maximum(?: of)?|max|up to|around|about|of)\s+"
    r"(?P<n>\d{1,4}|one|two|three|four|five|six|seven|eight|nine|ten)\s+words?\b)|\b(?P<m>\d{1,4})[- ]words?\b",
    re.IGNORECASE,
)
_BRIEF = re.compile(
    r"\b(?:classify|categori[sz]e|true or false|yes or no|label|multiple choice|how many|how much|calculate|compute|solve|"
    r"what is the (?:name|capital|value|sum|result|answer|year|date|word|correct|average|area|square)|choose|select|pick|which of|"
    r"identify the|one word|single word|convert|sentiment|positive or negative|who (?:is|was|wrote|invented)|when (?:did|was|is)|"
    r"where (?:is|was)|antonym|synonym|odd one|find the|detect|determine (?:whether|if)|tell (?:me )?(?:whether|if)|is (?:it|this|"
    r"the)|a title|headline|slogan|(?:one|a|single) sentence|briefly|(?:be|in) (?:brief|short))\b",
    re.IGNORECASE,
)
_PROSE = re.compile(
    r"\b(?:essay|story|poem|paragraph|letter|email|e-mail|article|blog|speech|dialogue|conversation|script|song|lyrics|haiku|"
    r"review|report|description|narrative|summary|post|message|plan|proposal|introduction|conclusion|script)\b",
    re.IGNORECASE,
)
_EXPLAIN = re.compile(
    r"\b(?:explain|why|how|describe|discuss|analy[sz]e|compare|contrast|elaborate|evaluate|outline|steps)\b", re.IGNORECASE
)
_EDIT = re.compile(
    r"\b(?:rewrite|edit|correct|fix|rephrase|paraphrase|proofread|grammar|spelling|extract|copy|repeat|sort|rearrange|"
    r"reorder|arrange|choose|select|which|highlight|find|identify|classify|insert|replace|remove|complete|fill|summari[sz]e|"
    r"translate|convert|change|turn|punctuat\w*|capitali[sz]\w*|output|reverse|pick|categori[sz]e|group|match|delete|add)\b",
    re.IGNORECASE,
)
_WANTS_CODE = re.compile(
    r"\b(?:code|function|program|script|sql|query|html|css|python|java|javascript|c\+\+|regex|regular expression|algorithm|"
    r"bash|command|pseudocode|class|loop|api|json)\b",
    re.IGNORECASE,
)
_MUST_CODE = re.compile(
    r"\b(?:write|create|generate|implement|develop|construct|design|build|provide|give)\b[^.\n]{0,60}\b(?:code|function|program|"
    r"sql|query|html|css|python|javascript|regex|regular expression|bash)\b",
    re.IGNORECASE,
)
_TRANSLATE = re.compile(
    r"translat|\bin(?:to)? (?:french|spanish|german|chinese|japanese|italian|russian|korean|arabic|hindi|latin|greek|"
    r"portuguese|mandarin|english)|语|译|english|chinese",
    re.IGNORECASE,
)
_WANTS_LINK = re.compile(r"\b(?:link|url|website|web page|site|source|reference|citation)s?\b|https?:", re.IGNORECASE)
_STOP = frozenset(
    "the a an of to in and for is are on with that this it as be by from at or your you what how which write give generate create "
    "describe explain provide list name make find identify following given using use sentence text please can could would should "
    "about into some each two three four five ten one any their its them they his her he she we i my me do does was were has have "
    "will not no than then these those there input output response answer".split()
)


def measure(instruction: str, response: str) -> list[float]:
    """The features of one sample, in the order of `FEATURES`; "closeness of meaning" is left at 0 for the encoder.

    Sentences that plead with the judge are cut first, unless the instruction itself speaks of scores.
    """
    instruction = instruction[:MAX_CHARS].strip()
    response, plea = cut_pleas(instruction, response[:MAX_CHARS].strip())
    asked, given = words(instruction), words(response)
    pieces = [piece for piece in _SENTENCE.split(response) if piece.strip()]
    return [
        *_lengths(instruction, asked, given, len(pieces)),
        *_layout(response, len(pieces)),
        *_ending(response, given),
        *_repetition(given, pieces),
        *_relevance(instruction, asked, given),
        *_requests(instruction, response, given),
        *_code(instruction, response),
        float(not _TRANSLATE.search(instruction) and _script(instruction) != _script(response)),
        *_hygiene(response, given, len(pieces)),
        *_phrases(response, given),
        *_tone(instruction, response, given),
        plea,
    ]


def ramps(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Features of shape (rows, len(FEATURES)) as saturating ramps in [0, 1] of shape (rows, number of ramps).

    Ramp j of a feature with knots k rises from 0 at k[j] to 1 at k[j + 1]: a weight is the rise of the score there.
    """
    low, high, column = _ramp_table()
    return np.clip((values[:, column] - low) / (high - low), 0.0, 1.0)


def ramp_features() -> npt.NDArray[np.int64]:
    """For each ramp the index of its feature."""
    return _ramp_table()[2]


def _ramp_table() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    rows = [(a, b, i) for i, f in enumerate(FEATURES) for a, b in zip(f.knots, f.knots[1:], strict=False)]
    low, high, column = zip(*rows, strict=True)
    return np.array(low, float), np.array(high, float), np.array(column)


def words(text: str) -> list[str]:
    """Lower-case words; in Chinese, Japanese and Korean each character is one."""
    if not text.isascii() and _CJK.search(text):
        text = _CJK.sub(r" \g<0> ", text)
    return _WORD.findall(text.lower())


def cut_pleas(instruction: str, response: str) -> tuple[str, float]:
    """The response without the sentences that plead for a score, and 1.0 if there were any."""
    if not _PLEA.search(response) or _JUDGING.search(instruction):
        return response, 0.0
    kept = "".join(piece for piece in _PIECE.findall(response) if not _PLEA.search(piece)).strip()
    return (kept, 1.0) if kept else ("", 1.0)


def _log(count: float) -> float:
    return math.log2(1.0 + count)


def _lengths(instruction: str, asked: Sequence[str], given: Sequence[str], n_sentences: int) -> tuple[float, ...]:
    length = _log(len(given))
    return (
        length,
        length if _BRIEF.search(instruction) else 0.0,
        length if _PROSE.search(instruction) else 0.0,
        length if _EXPLAIN.search(instruction) else 0.0,
        length - _log(len(asked)),
        _log(len(given) / max(n_sentences, 1)),
        _log(n_sentences),
    )


def _layout(response: str, n_sentences: int) -> tuple[float, ...]:
    first, _, rest = response.partition("\n")
    return (
        _log(response.count("\n\n")),
        _log(response.count("\n")),
        _log(len(_ITEM.findall(response))),
        float(first.rstrip().endswith((":", ":")) and bool(rest.strip())),
        _log(len(_EMPHASIS.findall(response))),
    )


def _ending(response: str, given: Sequence[str]) -> tuple[float, ...]:
    last = response[-1:]
    lines = [line for line in response.split("\n") if line.strip()]
    listed = len(lines) > 2 and bool(_ITEM.match(lines[-1]))
    closed = last in ".!?。!?…\"'”’)]}`;>*|:" and last not in ":" if last else False
    loose = bool(last) and not closed and len(given) > 12 and not listed and not _CODE.search(response)
    unbalanced = (
        len(_OPENING.findall(response)) > len(_CLOSING.findall(response))
        or response.count('"') % 2 == 1
        or len(_FENCE.findall(response)) % 2 == 1
    )
    return (float(closed), float(loose), float(unbalanced), float(listed and _like_the_others(lines)))


def _like_the_others(lines: Sequence[str]) -> bool:
    """Whether the last list item ends as the ones before it and is not a stump."""
    body = [_MARK.sub("", line).rstrip() for line in lines if _ITEM.match(line)]
    if len(body) < 2 or not body[-1]:
        return False
    stops = sum(item.endswith((".", "!", "?", "。")) for item in body[:-1]) * 2 > len(body) - 1
    return not stops or body[-1].endswith((".", "!", "?", "。"))


def _repetition(given: Sequence[str], pieces: Sequence[str]) -> tuple[float, ...]:
    n = len(given)
    trigrams = set(zip(given, given[1:], given[2:], strict=False))
    lines = [_MARK.sub("", piece).strip().lower() for piece in pieces]
    lines = [line for line in lines if line]
    counts = Counter(word for word in given if len(word) > 3)
    most = max(counts.values(), default=0)
    return (
        1.0 - len(trigrams) / (n - 2) if n > 5 else 0.0,
        1.0 - len(set(lines)) / len(lines) if len(lines) > 1 else 0.0,
        math.log(len(set(given))) / math.log(n) if n > 3 else 1.0,
        most / n if n > 8 and most > 2 else 0.0,
    )


def _relevance(instruction: str, asked: Sequence[str], given: Sequence[str]) -> tuple[float, ...]:
    topic = {word[:5] for word in asked if word not in _STOP and (len(word) > 2 or not word.isascii())}
    said = {word[:5] for word in given}
    theirs = set(zip(asked, asked[1:], asked[2:], asked[3:], strict=False))
    mine = list(zip(given, given[1:], given[2:], given[3:], strict=False))
    echo = sum(gram in theirs for gram in mine) / len(mine) if mine else 0.0
    opening = [word[:5] for word in given[:8]]
    edits = bool(_EDIT.search(instruction))
    return (
        len(topic & said) / len(topic) if topic else 0.5,
        0.0,
        0.0 if edits else echo,
        float(not edits and len(given) > 3 and " ".join(given) in " ".join(asked)),
        sum(word in topic for word in opening) / len(opening) if opening else 0.0,
    )


def _requests(instruction: str, response: str, given: Sequence[str]) -> tuple[float, ...]:
    n_asked = asked_items(instruction)
    n_given = len(_ITEM.findall(response)) or _inline_items(response)
    limit = _LIMIT.search(instruction)
    allowed = _number((limit["n"] or limit["m"])) if limit else 0
    over = math.log2(len(given) / (1.1 * allowed)) if allowed and given else 0.0
    return (
        math.log2((1 + n_given) / (1 + n_asked)) if n_asked else 0.0,
        float(n_asked > 0 and n_given == n_asked),
        max(over, 0.0),
    )


def asked_items(instruction: str) -> int:
    """How many things the instruction asks for ("name five rivers": 5), 0 where it does not say."""
    found = _ASKED.search(instruction)
    n = _number(found["n"]) if found else 0
    return n if n <= 30 else 0


def _number(text: str) -> int:
    return _NUMBERS.get(text.lower(), 0) or (int(text) if text.isdigit() else 0)


def _inline_items(response: str) -> int:
    """Items of a list that is written as lines without marks or as one sentence with commas."""
    lines = [line for line in response.split("\n") if line.strip()]
    if len(lines) > 2:
        return len(lines) - lines[0].rstrip().endswith(":")
    commas = re.split(r",\s+(?:and |or )?|\s+and\s+|;\s+|\d\. ", lines[-1]) if lines else []
    return len(commas)


def _code(instruction: str, response: str) -> tuple[float, ...]:
    wanted, needed = bool(_WANTS_CODE.search(instruction)), bool(_MUST_CODE.search(instruction))
    fence = bool(_FENCE.search(response))
    there = fence or bool(_CODE.search(response))
    return (float(wanted and there), float(needed and not there), float(there and not wanted), float(fence))


def _script(text: str) -> str:
    """The writing system of most letters: "latin", "cjk" or "other" ("" where there are too few)."""
    if text.isascii():
        return "latin"
    letters = [c for c in text[:2000] if c.isalpha()]
    n_cjk = sum("぀" <= c <= "鿿" or "가" <= c <= "힯" for c in letters)
    n_latin = sum(c < "ɐ" for c in letters)
    return "cjk" if n_cjk * 3 > n_latin else ("latin" if n_latin * 2 >= len(letters) else "other")


def _hygiene(response: str, given: Sequence[str], n_sentences: int) -> tuple[float, ...]:
    return (
        float(response[:1].islower()),
        min(len(_SMALL.findall(response)) / max(n_sentences, 1), 1.0),
        _log(len(_SLIP.findall(response))),
        _log(len(_TRAILING.findall(response))),
        _log(len(_BLANK.findall(response))),
        float(bool(_LEFTOVER.search(response))),
    )


def _phrases(response: str, given: Sequence[str]) -> tuple[float, ...]:
    n = max(len(given), 1)
    return (
        float(bool(_REFUSAL.search(response))),
        len(_HEDGE.findall(response)) / n,
        _log(len(_COURTESY.findall(response))),
        _log(len(_EXAMPLE.findall(response))),
        len(_REASON.findall(response)) / n,
        sum(any(c.isdigit() for c in word) for word in given) / n,
    )


def _tone(instruction: str, response: str, given: Sequence[str]) -> tuple[float, ...]:
    n = max(len(given), 1)
    shouted = sum(word.isupper() and len(word) > 3 for word in response.split()[:400])
    n_asked = asked_items(instruction)
    return (
        _log(response.count("!")),
        shouted / n if shouted > 2 else 0.0,
        float(response.endswith(("?", "?")) and response.count("?") + response.count("?") == 1 and len(given) < 30),
        sum(map(len, given)) / n,
        float(n_asked > 1 and "\n" not in response),
        sum(word in _SELF for word in given) / n,
        sum(word in _READER for word in given) / n,
        float(bool(_LINK.search(response)) and not _WANTS_LINK.search(instruction)),
    )
