"""Plants words with several meanings into instructions about something else.

"Create a recipe for a python sandwich" is no instruction about programming, and no annotator wrote
such a row: in the corpora nearly every python is a language. From planted words the second look
learns how much one word is worth if the rest of the text speaks of something else.

The list of words is our own, English only, and far from complete. A planted text need not make
sense; only tags that rest on the planted word are used, as examples of wrong ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tacos.models import tag_phrases

WORDS = Path(__file__).parent / "ambiguous_words.txt"
MIN_WORDS = 7
MAX_WORDS = 40
"""How long an instruction is that a word is planted into, so that the rest of it says something."""
MIN_LETTERS = 4
RARE = 5.5
"""The idf above which a word says what a text is about (one text in ninety has it)."""
LOUD = 1.0
"""The score that an n-gram alone must be able to give to some tag."""
Matrix = npt.NDArray[np.float32]


class PlantedText(NamedTuple):
    """A text, the word planted into it, and the number of the row that it was made of."""

    text: str
    word: str
    row: int


@lru_cache(maxsize=1)
def read_ambiguous_stems() -> frozenset[str]:
    """Read the list and return the words' stems."""
    lines = WORDS.read_text("utf-8").splitlines()
    content = [line for line in lines if not line.startswith("#")]
    stems: set[str] = set()
    for word in " ".join(content).split():
        stems.update(tag_phrases.stem_text(word))
    return frozenset(stems)


def find_loud_words(
    n_grams: Sequence[str],
    loudness: Matrix,
) -> list[str]:
    """Find single words with several meanings that can give a tag alone, sorted.

    `loudness` (n-grams,) is the largest score of each n-gram.
    """
    ambiguous = read_ambiguous_stems()
    words: list[str] = []
    for n_gram, own_loudness in zip(n_grams, loudness, strict=True):
        if not n_gram.isalpha() or own_loudness <= LOUD:
            continue
        if not ambiguous.isdisjoint(tag_phrases.stem_text(n_gram)):
            words.append(n_gram)
    return sorted(words)


def plant_words(
    words: Sequence[str],
    texts: Sequence[str],
    tokens: Sequence[Sequence[str]],
    idf: Mapping[str, float],
    *,
    n_per_word: int,
    seed: int,
) -> list[PlantedText]:
    """Plant each word into `n_per_word` texts, in place of a word that says what they are about.

    `tokens` are the words of the texts, `idf` the weights of known words.

    >>> tokens = "describe the daily life of a lonely goldfish".split()
    >>> text = "Describe the daily life of a lonely goldfish"
    >>> idf = dict.fromkeys(tokens, 1.0) | {"goldfish": 9.0}
    >>> plant_words(["python"], [text], [tokens], idf, n_per_word=1, seed=0)[0].text
    'Describe the daily life of a lonely python'
    """
    places = [_find_topic_words(row, idf) for row in tokens]
    hosts = [row for row, topic_words in enumerate(places) if topic_words]
    rng = np.random.default_rng(seed)
    n_drawn = min(n_per_word, len(hosts))
    planted: list[PlantedText] = []
    for word in words:
        drawn = rng.choice(
            len(hosts),
            n_drawn,
            replace=False,
        )
        for number in drawn.tolist():
            row = hosts[number]
            topic_words = places[row]
            replaced = topic_words[int(rng.integers(len(topic_words)))]
            if word in tokens[row]:
                continue
            pattern = rf"(?i)\b{re.escape(replaced)}\b"
            text = re.sub(pattern, word, texts[row])
            planted.append(PlantedText(text, word, row))
    return planted


def _find_topic_words(
    tokens: Sequence[str],
    idf: Mapping[str, float],
) -> list[str]:
    """Return the words that may be replaced, none if the text is too short or too long."""
    if not MIN_WORDS <= len(tokens) <= MAX_WORDS:
        return []
    # The first two words ask for something; the topic stands behind them.
    topic_words: list[str] = []
    for token in tokens[2:]:
        is_word = token.isascii() and token.isalpha() and len(token) >= MIN_LETTERS
        # Words that are not known are the rarest.
        if is_word and idf.get(token, np.inf) > RARE:
            topic_words.append(token)
    return topic_words
