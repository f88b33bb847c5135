"""What an instruction asks for, as far as its words show: a label, a short text, prose, a list,
code, an edit.

Word lists and a few patterns, in English (in Chinese only what is written here). It does not parse:
"Describe a title fight" counts as asking for a title.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from typing import NamedTuple


def _word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


LABEL = _word_set(
    "classify categorize categorise label calculate compute solve choose select pick detect determine sentiment "
    "antonym synonym odd convert which true false whether correct identify predict 分类 计算"
)
SHORT = _word_set(
    "title headline slogan tagline caption hook tweet username nickname acronym pun haiku motto bio hashtag "
    "hashtags phrase briefly brief concise shorten shorter summarize summarise summary 标题"
)
PROSE = _word_set(
    "essay story poem paragraph paragraphs letter email e-mail article blog speech dialogue conversation script "
    "song lyrics review report narrative proposal introduction conclusion monologue scene memo post plot 故事 文章"
)
EXPLAIN = _word_set(
    "explain why how describe discuss analyze analyse compare contrast elaborate evaluate outline steps process "
    "difference differences explanation 解释 描述"
)
LIST = _word_set(
    "list ideas ways tips steps reasons examples items things suggestions advantages benefits names strategies "
    "methods questions facts characteristics features activities words adjectives books songs movies recipes "
    "topics pros cons 列出"
)
EDIT = _word_set(
    "rewrite edit correct fix rephrase paraphrase proofread grammar spelling extract copy repeat sort rearrange "
    "reorder arrange choose select which highlight find identify classify insert replace remove complete fill "
    "summarize summarise translate convert change turn punctuate punctuation capitalize output reverse pick "
    "categorize group match delete add retrieve reword transform modify combine"
)
CODE = _word_set(
    "code function program script sql query html css python java javascript c++ regex algorithm bash command "
    "pseudocode class loop api json xml php ruby rust"
)
MAKE = _word_set("write create generate implement develop construct design build provide give code")
CODE_ONLY = _word_set(
    "code function program sql html css python javascript java regex bash pseudocode php"
)
LINK = _word_set(
    "link links url urls website websites site sites source sources reference references http https"
)
TONGUES = _word_set(
    "translate translation french spanish german chinese japanese italian russian korean arabic hindi latin greek "
    "portuguese mandarin english language languages 翻译"
)
SCORING = _word_set(
    "rate rating ratings score scores scoring grade grades grading judge judges evaluate evaluator evaluation "
    "review reviewer rank ranking stars marks points feedback assess assessment prompt instructions"
)
STOP = _word_set(
    "the a an of to in and for is are on with that this it as be by from at or your you what how which write give "
    "generate create describe explain provide list name make find identify following given using use sentence "
    "text please can could would should about into some each two three four five ten one any their its them they "
    "his her he she we i my me do does was were has have will not no than then these those there input output "
    "response answer 的 了 是 在 一 个 和 有 请 这 中 下"
)
NUMBERS = dict(
    zip(
        ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
        range(1, 11),
        strict=True,
    )
)
_UNITS = _word_set(
    "words sentences paragraphs lines characters minutes years hours days dollars stanzas percent people million "
    "parts syllables times weeks months pages"
)
_TRUTH = re.compile(
    r"\b(?:yes or no|true or false|how (?:many|much)|one word|single word|positive or negative|name (?:for|of) )"
)
_ONE_SENTENCE = re.compile(r"\b(?:one|a|single|1)[- ]sentence\b|\ba title\b|一句话")
_LIMIT = re.compile(
    r"\b(?:in|within|under|at most|no more than|less than|fewer than|maximum(?: of)?|max|up to|around|about|of) "
    r"(\d{1,4}|one|two|three|four|five|six|seven|eight|nine|ten) words?\b|\b(\d{1,4})[- ]words?\b"
)


class InstructionIntent(NamedTuple):
    """What an instruction asks for; `items` and `limit` (words) are 0 where it does not say."""

    label: bool
    short: bool
    prose: bool
    explain: bool
    listing: bool
    edit: bool
    code: bool
    only_code: bool
    link: bool
    tongue: bool
    scoring: bool
    items: int
    limit: int


def read_intent(instruction: str, words: Sequence[str]) -> InstructionIntent:
    """What `instruction` asks for; `words` are its words in lower case.

    >>> read_intent("Name five rivers.", ["name", "five", "rivers"]).items
    5
    """
    lower, known = instruction.lower(), frozenset(words)
    short = not SHORT.isdisjoint(known) or bool(_ONE_SENTENCE.search(lower))
    makes_code = not CODE_ONLY.isdisjoint(known) and not MAKE.isdisjoint(known)
    return InstructionIntent(
        label=not short and (not LABEL.isdisjoint(known) or bool(_TRUTH.search(lower))),
        short=short,
        prose=not PROSE.isdisjoint(known),
        explain=not EXPLAIN.isdisjoint(known),
        listing=not LIST.isdisjoint(known),
        edit=not EDIT.isdisjoint(known),
        code=not CODE.isdisjoint(known),
        only_code=makes_code,
        link=not LINK.isdisjoint(known),
        tongue=not TONGUES.isdisjoint(known),
        scoring=not SCORING.isdisjoint(known),
        items=_find_item_count(words, known),
        limit=_find_word_limit(lower) if "word" in lower else 0,
    )


def _find_item_count(words: Sequence[str], known: Set[str]) -> int:
    """The first number from 2 to 30 that a plural follows within four words, and that is no unit of
    length or time.
    """
    for at, word in enumerate(words[:40]):
        n = NUMBERS.get(word) or (int(word) if word.isdecimal() and len(word) < 3 else 0)
        if 2 <= n <= 30:
            after = words[at + 1 : at + 5]
            if any(w in _UNITS for w in after[:2]):
                continue
            if any(len(w) > 3 and w.endswith("s") and not w.endswith("ss") for w in after):
                return n
    return 0


def _find_word_limit(lower: str) -> int:
    found = _LIMIT.search(lower)
    text = (found[1] or found[2]) if found else ""
    return NUMBERS.get(text, 0) or (int(text) if text.isdigit() else 0)
