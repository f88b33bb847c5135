"""Finds the words of a question that say which task it is, by which two questions ask the same.

What any question may say tells nothing: articles, "of", "is" and the like; the words of asking with
which a sentence begins ("can you give me a list of five"); "ways", "tips" or "steps" beside "how".
Inflected forms are one word. All else counts, in its order: "from miles to kilometres" is another
task than "from kilometres to miles", and so is any with another "by", "not", number, name, or sign.
Text that a question quotes, or that follows a colon or a line end, counts word for word.

What it does not know: synonyms. Questions that ask the same may have different words here; hardly
those that ask different things the same ones.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache

FIND = "find"
EXPLAIN = "explain"
MAKE = "make"
KINDS = (FIND, EXPLAIN)
"""What may be asked of the same things, of which a question such as "what is" asks either."""
OPENINGS = {
    FIND: "calculate|compute|find|determine",
    EXPLAIN: "explain|describe|discuss|outline|elaborate on",
    MAKE: (
        "write|compose|create|generate|craft|draft|produce|make|construct|design|develop|build"
        "|formulate|devise"
    ),
    "": (
        "list|name|give|provide|suggest|tell|state|show|identify|recommend|propose|brainstorm"
        "|present|offer|share|mention|define|come up with|think of"
    ),
}
"""The verbs with which questions begin, by what they ask; the last ones may ask anything."""
NUMBERS = {
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
    "twelve": "12",
}
FUNCTION = re.compile(
    "a|an|the|of|for|with|and|what|which|whose|is|are|be|has|have|do|does|please|some|several"
    "|various"
)
"""Words that say nothing. All others may tell two tasks apart: by, to, about, I, it, was, not."""
SAME = {"reason": "why", "advantage": "benefit", "effect": "impact"}
N_ANSWER_WORDS = 6
"""An answer of fewer words does not tell an exercise with other numbers from another task."""

_QUALITY = (
    "(?:good|best|effective|easy|simple|possible|different|various|common|main|some) "
)
_WAYS = "(?:ways?|tips?|steps?|methods?|strateg(?:y|ies)|techniques?|approach(?:es)?)"
_COUNT = rf"(?:\d+|{'|'.join(NUMBERS)}|a few|some|several)"
_UNIT = (
    r"(?:seconds|minutes|hours|days|weeks|months|years|times|inches|feet|miles|degrees|dollars|euros"
    r"|pounds|ounces|cups|\w*grams|\w*(?:met|lit)(?:er|re)s)\b"
)
_VERBS = "|".join(OPENINGS.values())
OPENING = re.compile(
    r"(?P<before>^|[.!?;]\s+)(?:please |(?:can|could|would|will) you (?:please )?)?"
    rf"(?P<verb>{_VERBS})\b(?: and (?:{_VERBS})\b)?(?: me| us)?"
    r"(?P<many> an? (?:\w+ )?(?:list|set|series|collection) of)?"
    # A count, as in "five healthy snacks"; "give 3 hours in minutes" has none.
    rf"(?P<count> (?:at least )?{_COUNT}"
    rf"(?= (?!{_UNIT})(?:(?!(?:as|in|is|of|to) )\w+ ){{0,2}}?\w{{3,}}s\b))?"
)
"""The words of asking at the beginning of a sentence."""
COUNT_OF_WAYS = re.compile(rf"\b{_COUNT} (?=(?:\w+ )?{_WAYS}\b)")
HOW = re.compile(
    r"\bhow (?:to|(?:do|can|could|should|would) (?:i|you|we|one))\b"
    rf"|\b(?:{_QUALITY})*{_WAYS}\b(?: (?:to|of|for|on)\b)?"
)
"""What asks how something is done."""
FRAME = re.compile(
    r"\bthe (?:concept|idea|term|notion|definition|meaning|process) of\b"
    r"|(?P<code>\b(?:function|program|script|method|query)) (?:that|which|to)\b"
)
"""Words around what a question is about."""
CONTRACTION = re.compile(r"(?<=\w)['’](?:m|re|ve|ll|d|s)\b")
NAMED_A = re.compile(r"(?<=[\w,] )A\b")
"""No article: "vitamin A", "multiply A by B"."""
NOT = re.compile(r"(?<=\w)n['’]t\b|(?<=can)not\b")
LITERAL = re.compile(r"[\n:：\"“„«`]|(?<!\w)['‘]")
"""Where a text begins that is quoted, or that something is to be done to."""
PUNCTUATION = re.compile(
    r"(?<=[\w)\]\"”%])(?:[.,;:…?]|(?<!\d)!)+(?=\s|$)|[。，、；：！？「」《》]"
)
"""Signs behind the words of a sentence; all others count."""
TOKEN = re.compile(
    r"[^\W\d_]+|\d+(?:[.,:]\d+)*"
    # A hyphen is no sign, but a minus is: a word of letters is not on both sides of it.
    r"|(?<![^\W\d_]{2})[-−–]|[-−–](?![^\W\d_]{2})"
    r"|[^\w\s'’\"“”−–—-]|_"
)
LITERAL_TOKEN = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")
VOWEL = re.compile("[aeiouyà-ÿ]")


def hash_task(question: str, response: str) -> list[bytes]:
    """The keys of a row, 16 bytes each; rows that share one of them ask the same.

    A row has a key for what its question may ask (`KINDS`), and another one as an exercise: by the
    words of question and answer without their numbers, if the answer has words to speak of.
    """
    words = list_task_words(question)
    core = [word for word in words if word not in KINDS]
    kinds = [word for word in words if word in KINDS] or KINDS
    answer = _drop_numbers(TOKEN.findall(response.casefold()))
    keys = [_hash_words([kind, *core]) for kind in kinds]
    if sum(map(str.isalpha, answer)) >= N_ANSWER_WORDS:
        keys.append(_hash_words([*_drop_numbers(core), "\0", *answer]))
    return keys


def list_task_words(question: str) -> list[str]:
    """The words that say which task it is, in their order; "_" follows an A that is a name.

    >>> list_task_words("Can you give me five tips to reduce stress?")
    ['how', 'reduc', 'stres']
    >>> list_task_words("What are some ways of reducing stress?")
    ['how', 'reduc', 'stres']
    >>> list_task_words("Write a query that doesn't delete 3 rows: the rows of A")
    ['make', 'query', 'not', 'delet', '3', 'row', ':', 'the', 'rows', 'of', 'a', '_']
    """
    # The sign is a token, where an article is none.
    named = NAMED_A.sub("A_", question.strip())
    text = CONTRACTION.sub("", NOT.sub(" not", named.casefold()))
    literal = LITERAL.search(text)
    end = literal.start() if literal else len(text)
    asked = OPENING.sub(_shorten_opening, text[:end])
    asked = HOW.sub("how", COUNT_OF_WAYS.sub("", asked))
    asked = PUNCTUATION.sub(" ", FRAME.sub(r"\g<code>", asked))
    words = _list_content_words(asked) + LITERAL_TOKEN.findall(text[end:].rstrip(".!?"))
    return words or LITERAL_TOKEN.findall(text) or [text]


def _shorten_opening(opening: re.Match[str]) -> str:
    """What the words of asking say."""
    (kind,) = [
        kind for kind, verbs in OPENINGS.items() if opening["verb"] in verbs.split("|")
    ]
    # "Find 5 percent" counts nothing; "create a list" lists.
    count = opening["count"] or ""
    if kind == FIND or opening["verb"] == "write":
        return f"{opening['before']} {kind} {count}"
    return f"{opening['before']} {kind if not count and not opening['many'] else ''}"


def _list_content_words(text: str) -> list[str]:
    """The words of a text that are no function words, in their basic forms."""
    words: list[str] = []
    for token in TOKEN.findall(text):
        if FUNCTION.fullmatch(token):
            continue
        word = _find_base(token)
        # "Reasons why" and "ways how" say it twice.
        if not words or word != words[-1] or word not in ("how", "why"):
            words.append(word)
    if "how" in words or "why" in words:
        return [word for word in words if word != MAKE]
    return words


@lru_cache(maxsize=1 << 16)
def _find_base(word: str) -> str:
    """A word without the endings of plurals and verbs; the same for all of its forms."""
    if word in NUMBERS:
        return NUMBERS[word]
    if word in (FIND, EXPLAIN, MAKE, "news") or not word.isalpha():
        return word
    base = word
    if len(base) > 4 and base.endswith("ies"):
        base = base[:-3] + "y"
    elif len(base) > 3 and base.endswith("s") and not base.endswith("ss"):
        base = base[:-1]
    for ending in ("ing", "ed"):
        stem = base.removesuffix(ending)
        if stem != base and len(stem) > 2 and VOWEL.search(stem):
            base = stem
            break
    base = SAME.get(base, base)
    if len(base) > 3:
        base = base.removesuffix("e")
    if len(base) > 3 and base[-1] == base[-2]:
        base = base[:-1]
    return base


def _drop_numbers(words: Iterable[str]) -> list[str]:
    """The words that are no numbers."""
    return [word for word in words if not word[:1].isdigit()]


def _hash_words(words: Iterable[str]) -> bytes:
    """16 bytes."""
    content = " ".join(words).encode(errors="surrogatepass")
    return hashlib.blake2b(content, digest_size=16).digest()
