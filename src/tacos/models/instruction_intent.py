"""Reads what an instruction asks for: a label, a short text, prose, a list, code, an edit.

It knows word lists and a few patterns, in English and (only the few words below) in Chinese. It
does not parse: "Describe a title fight" counts as asking for a title.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tacos.models.character_columns import Phrases
from tacos.models.word_columns import Flags, Numbers, Words


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text that are separated by blanks."""
    return frozenset(text.split())


# The kind of answer, by words of the instruction.
LABEL = word_set(
    "classify categorize categorise label calculate compute solve choose select pick detect "
    "determine sentiment antonym synonym odd convert which true false whether correct identify "
    "predict 分类 计算"
)
SHORT = word_set(
    "title headline slogan tagline caption hook tweet username nickname acronym pun haiku motto "
    "bio hashtag hashtags phrase briefly brief concise shorten shorter summarize summarise "
    "summary 标题"
)
PROSE = word_set(
    "essay story poem paragraph paragraphs letter email e-mail article blog speech dialogue "
    "conversation script song lyrics review report narrative proposal introduction conclusion "
    "monologue scene memo post plot 故事 文章"
)
EXPLAIN = word_set(
    "explain why how describe discuss analyze analyse compare contrast elaborate evaluate outline "
    "steps process difference differences explanation 解释 描述"
)
LIST = word_set(
    "list ideas ways tips steps reasons examples items things suggestions advantages benefits "
    "names strategies methods questions facts characteristics features activities words "
    "adjectives books songs movies recipes topics pros cons 列出"
)
EDIT = word_set(
    "rewrite edit correct fix rephrase paraphrase proofread grammar spelling extract copy repeat "
    "sort rearrange reorder arrange choose select which highlight find identify classify insert "
    "replace remove complete fill summarize summarise translate convert change turn punctuate "
    "punctuation capitalize output reverse pick categorize group match delete add retrieve reword "
    "transform modify combine"
)
CODE = word_set(
    "code function program script sql query html css python java javascript c++ regex algorithm "
    "bash command pseudocode class loop api json xml php ruby rust"
)
# Verbs that, together with a word of CODE_ONLY, ask for code and nothing else.
MAKE = word_set(
    "write create generate implement develop construct design build provide give code"
)
CODE_ONLY = word_set(
    "code function program sql html css python javascript java regex bash pseudocode php"
)
LINK = word_set(
    "link links url urls website websites site sites source sources reference references http https"
)
TONGUES = word_set(
    "translate translation french spanish german chinese japanese italian russian korean arabic "
    "hindi latin greek portuguese mandarin english language languages 翻译"
)
# Words of instructions that speak of scores themselves, see `persuasion_attacks`.
SCORING = word_set(
    "rate rating ratings score scores scoring grade grades grading judge judges evaluate "
    "evaluator evaluation review reviewer rank ranking stars marks points feedback assess "
    "assessment prompt instructions"
)
# Words that say nothing about the topic.
STOP = word_set(
    "the a an of to in and for is are on with that this it as be by from at or your you what how "
    "which write give generate create describe explain provide list name make find identify "
    "following given using use sentence text please can could would should about into some each "
    "two three four five ten one any their its them they his her he she we i my me do does was "
    "were has have will not no than then these those there input output response answer "
    "的 了 是 在 一 "
    "个 和 有 请 这 中 下"
)
NUMBERS = {
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
CLASSES = {
    "label": LABEL,
    "short": SHORT,
    "prose": PROSE,
    "explain": EXPLAIN,
    "list": LIST,
    "edit": EDIT,
    "code": CODE,
    "code only": CODE_ONLY,
    "make": MAKE,
    "link": LINK,
    "tongue": TONGUES,
    "scoring": SCORING,
    "stop": STOP,
    "numeral": frozenset(NUMBERS),
}
"""The lists of words, by the names under which `word_columns` knows them."""
# Units of length and time: a number before them counts no items.
_UNITS = word_set(
    "words sentences paragraphs lines characters minutes years hours days dollars stanzas percent "
    "people million parts syllables times weeks months pages"
)
_TRUTH = re.compile(
    r"\b(?:yes or no|true or false|how (?:many|much)|one word|single word"
    r"|positive or negative|name (?:for|of) )"
)
_TRUTH_MARKS = (
    " or no",
    " or false",
    "how m",
    " word",
    " or neg",
    "name for",
    "name of",
)
_ONE_SENTENCE = re.compile(r"\b(?:one|a|single|1)[- ]sentence\b|\ba title\b|一句话")
_ONE_SENTENCE_MARKS = ("sentence", "a title", "一句话")
_LIMIT = re.compile(
    # "in at most 50 words"
    r"\b(?:in|within|under|at most|no more than|less than|fewer than|maximum(?: of)?|max|up to"
    r"|around|about|of) "
    r"(\d{1,4}|one|two|three|four|five|six|seven|eight|nine|ten) words?\b"
    # "a 20-word tweet"
    r"|\b(\d{1,4})[- ]words?\b"
)
MAX_ITEMS = 30
MAX_SEARCHED_WORDS = 40
MIN_PLURAL_LETTERS = 4


class InstructionIntents(NamedTuple):
    """What instructions ask for, one entry per instruction, (n,) each.

    `items` is the number of items and `limits` the limit of words that one names, 0 if it names
    none.
    """

    label: Flags
    short: Flags
    prose: Flags
    explain: Flags
    listing: Flags
    edit: Flags
    code: Flags
    only_code: Flags
    link: Flags
    tongue: Flags
    scoring: Flags
    items: Numbers
    limits: Numbers


def read_intents(lower: Sequence[str], words: Words) -> InstructionIntents:
    """Read what instructions in small letters ask for; `words` are their words."""
    n = len(lower)
    short = words.mention("short")
    # A pattern is tried only if one of its marks occurs.
    phrases = Phrases(lower)
    for row in np.flatnonzero(phrases.mention(_ONE_SENTENCE_MARKS) & ~short).tolist():
        short[row] = _ONE_SENTENCE.search(lower[row]) is not None
    label = words.mention("label")
    for row in np.flatnonzero(phrases.mention(_TRUTH_MARKS) & ~label).tolist():
        label[row] = _TRUTH.search(lower[row]) is not None
    items = np.zeros(n, dtype=np.int64)
    has_number = words.mention("numeral") | words.mention("decimal")
    for row in np.flatnonzero(has_number).tolist():
        # Four words may follow the last number that counts.
        first_words = words.list_words(row, 0, MAX_SEARCHED_WORDS + 4)
        items[row] = _find_item_count(first_words)
    limits = np.zeros(n, dtype=np.int64)
    for row in np.flatnonzero(phrases.mention(["word"])).tolist():
        limits[row] = _find_word_limit(lower[row])
    return InstructionIntents(
        # "Identify ... and find a title" asks for a text: a label is asked only if no short text
        # is.
        label=label & ~short,
        short=short,
        prose=words.mention("prose"),
        explain=words.mention("explain"),
        listing=words.mention("list"),
        edit=words.mention("edit"),
        code=words.mention("code"),
        only_code=words.mention("code only") & words.mention("make"),
        link=words.mention("link"),
        tongue=words.mention("tongue"),
        scoring=words.mention("scoring"),
        items=items,
        limits=limits,
    )


def _find_item_count(words: Sequence[str]) -> int:
    """Find the first number from 2 to 30 that counts items, or 0.

    A plural follows within four words, and no unit of length or time within two.
    """
    for position, word in enumerate(words[:MAX_SEARCHED_WORDS]):
        if word not in NUMBERS and not word.isdecimal():
            continue
        number = _parse_small_number(word)
        # "One" counts nothing: it is mostly a pronoun or an article.
        if not 2 <= number <= MAX_ITEMS:
            continue
        start = position + 1
        following = words[start : start + 4]
        next_two = following[:2]
        if not _UNITS.isdisjoint(next_two):
            continue
        if any(map(_is_plural, following)):
            return number
    return 0


def _parse_small_number(word: str) -> int:
    """Return the value of a number of at most two digits or a numeral up to ten, else 0."""
    if word in NUMBERS:
        return NUMBERS[word]
    if word.isdecimal() and len(word) < 3:
        return int(word)
    return 0


def _is_plural(word: str) -> bool:
    if len(word) < MIN_PLURAL_LETTERS:
        return False
    return word.endswith("s") and not word.endswith("ss")


def _find_word_limit(lower: str) -> int:
    """Find the first limit of words in a lower-case instruction, or 0."""
    match = _LIMIT.search(lower)
    if match is None:
        return 0
    number = match[1] or match[2]
    return NUMBERS.get(number) or int(number)
