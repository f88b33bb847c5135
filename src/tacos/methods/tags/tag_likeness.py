"""Estimates how likely two tags mean the same, and merges those that probably do.

A logistic regression over a few readable features of a pair: the cosine of MiniLM, the share of
words in common (synonyms count as one, see `tacos.methods.tags.tag_words`), the cosine of the words
that differ, and whether words have changed places. It is fitted to pairs that readers judged
(`tacos.models.training.tag_likeness`). Some pairs are never merged, however alike: other languages,
other numbers, opposites ("formal", "informal"), and reversed directions ("Spanish to English").

Tags are merged into the more frequent one, and only into one that they are alike to themselves:
there are no chains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.methods.tags import merge_steps, semantic_merging, stem_keys, tag_pairs
from tacos.methods.tags.overrides import Move
from tacos.methods.tags.tag_words import (
    DIRECTIONS,
    KIND_WORDS,
    are_languages,
    are_opposite,
    is_connector,
    is_empty,
    name_other_kinds,
    read_concept,
)
from tacos.records import Encoder

Doubles = npt.NDArray[np.float64]

ENCODER = "minilm"
"""The encoder whose cosines the weights are fitted to."""
THRESHOLD = 0.55
"""Tags are merged from this probability on."""
BIAS = -8.96
WEIGHTS = {
    "cosine": 6.889,
    "cosine above .8": 10.201,
    "shared words": 2.295,
    "equal": 2.522,
    "equal x cosine": 1.783,
    "turned": -3.487,
    "both differ": -0.633,
    "cosine of the rest": 1.725,
    "cosine of the rest above .6": 9.357,
    "nothing shared x cosine": 1.939,
    "one has more": -0.708,
    "one has empty words": 1.057,
}
"""Fitted by `python -m tacos.models.training.tag_likeness` to `benchmarks/tag_pairs.jsonl`."""
FEATURES = (
    "cosine",
    "cosine above .8",
    "shared words",
    "equal",
    "equal x cosine",
    "turned",
    "both differ",
    "cosine of the rest",
    "cosine of the rest above .6",
    "nothing shared x cosine",
    "one has more",
    "one has empty words",
)
REST = (
    FEATURES.index("cosine of the rest"),
    FEATURES.index("cosine of the rest above .6"),
)


class TagPhrase(NamedTuple):
    """The words of a tag."""

    words: tuple[str, ...]
    content: tuple[str, ...]
    """Those that are no connectors."""
    concepts: tuple[str, ...]
    """What each of them stands for."""
    stems: str
    """The stems of all words."""


class PairWords(NamedTuple):
    """What two tags share and do not share."""

    left: TagPhrase
    right: TagPhrase
    left_rest: tuple[str, ...]
    """Content words of the left tag that the right one does not have."""
    right_rest: tuple[str, ...]
    n_shared: int
    n_all: int
    """Concepts of both together."""


# Merging


def find_likely_moves(
    names: Sequence[str],
    counts: Mapping[str, int],
    encoder: Encoder,
    signs: bool,
) -> dict[str, Move]:
    """Moves of names to the most probable more frequent name that keeps its place."""
    vectors = merge_steps.encode_phrases(names, encoder, signs)
    pairs = tag_pairs.find_candidate_pairs(names, vectors, signs)
    chances = estimate_chances(pairs, encoder, signs, THRESHOLD)
    likely = np.flatnonzero(chances >= THRESHOLD)
    alike: dict[str, dict[str, float]] = {}
    left = pairs["left"].to_list()
    right = pairs["right"].to_list()
    for place in likely.tolist():
        one, other = left[place], right[place]
        chance = float(chances[place])
        alike.setdefault(one, {})[other] = chance
        alike.setdefault(other, {})[one] = chance

    moves: dict[str, Move] = {}
    for name in sorted(alike, key=lambda name: (-counts[name], name)):
        heads = [
            (chance, other)
            for other, chance in alike[name].items()
            if _comes_before(other, name, counts) and other not in moves
        ]
        if heads:
            chance, head = min(heads, key=lambda pair: (-pair[0], pair[1]))
            moves[name] = Move(head, f"{chance:.0%} likely the same as '{head}'")
    return moves


def _comes_before(
    one: str,
    other: str,
    counts: Mapping[str, int],
) -> bool:
    """Whether a name is more frequent than another one (ties: the smaller string)."""
    return (-counts[one], one) < (-counts[other], other)


# Chances


def estimate_chances(
    pairs: pl.DataFrame,
    encoder: Encoder,
    signs: bool,
    threshold: float = 0.0,
) -> Doubles:
    """The probability that the two tags of each pair mean the same, shape (pairs,).

    `pairs` are by `TAG_PAIRS`. A probability that cannot reach `threshold`, whatever the words that
    differ, is left at 0: these words are not encoded.
    """
    words = read_pairs(pairs, signs)
    features = measure_words(words, pairs["cosine"].to_numpy())
    weights = np.array([WEIGHTS[name] for name in FEATURES])
    logit = np.log(max(threshold, 1e-9)) - np.log1p(-threshold)
    best = features.copy()
    best[:, REST] = _spread_rest(features, np.ones(len(features)))
    can_reach = np.flatnonzero(best @ weights + BIAS >= logit)
    places = [place for place in can_reach.tolist() if not is_excluded(words[place])]
    measured = add_rest(features[places], [words[place] for place in places], encoder)
    chances = np.zeros(len(words))
    chances[places] = 1 / (1 + np.exp(-(measured @ weights + BIAS)))
    return np.round(chances, tag_pairs.N_DIGITS)


# Features


def read_pairs(
    pairs: pl.DataFrame,
    signs: bool,
) -> list[PairWords]:
    """The words of each pair."""
    phrases: dict[str, TagPhrase] = {}
    for name in pl.concat([pairs["left"], pairs["right"]]).unique().to_list():
        phrases[name] = _read_phrase(name, signs)
    return [
        _compare_phrases(phrases[left], phrases[right])
        for left, right in pairs.select("left", "right").iter_rows()
    ]


def _read_phrase(
    name: str,
    signs: bool,
) -> TagPhrase:
    words = stem_keys.split_tag_words(name, signs)
    # A connector at the start connects nothing: "For Loop".
    content = [
        word for place, word in enumerate(words) if place == 0 or not is_connector(word)
    ]
    concepts = [read_concept(word) for word in content]
    return TagPhrase(
        tuple(words),
        tuple(content),
        tuple(concepts),
        stem_keys.stem_tags([name], signs)[0],
    )


def _compare_phrases(
    left: TagPhrase,
    right: TagPhrase,
) -> PairWords:
    shared = set(left.concepts).intersection(right.concepts)
    together = set(left.concepts).union(right.concepts)
    return PairWords(
        left,
        right,
        left_rest=_list_rest(left, right),
        right_rest=_list_rest(right, left),
        n_shared=len(shared),
        n_all=len(together),
    )


def _list_rest(
    one: TagPhrase,
    other: TagPhrase,
) -> tuple[str, ...]:
    """Content words of a tag whose concepts another one lacks."""
    pairs = zip(one.content, one.concepts, strict=True)
    return tuple(word for word, concept in pairs if concept not in other.concepts)


def is_excluded(pair: PairWords) -> bool:
    """Whether two tags are different, however alike they look."""
    if name_other_kinds(pair.left.words, pair.right.words):
        return True
    if pair.left.stems == pair.right.stems:
        return True  # the rules have looked at them
    if _is_turned(pair) and DIRECTIONS.intersection(pair.left.words + pair.right.words):
        return True
    if _is_turned(pair) and not _has_reason_to_turn(pair):
        return True
    if "and" in pair.left.words + pair.right.words and _have_other_directions(pair):
        return True
    rests = product(pair.left_rest, pair.right_rest)
    return any(are_opposite(one, other) for one, other in rests)


def _is_turned(pair: PairWords) -> bool:
    """Whether two tags have the same concepts in another order."""
    left, right = pair.left.concepts, pair.right.concepts
    return left != right and sorted(left) == sorted(right)


def _has_reason_to_turn(pair: PairWords) -> bool:
    """Whether words have changed places around a connector or a verb: "History of Science",
    "Saving Money".
    """
    phrases = (pair.left, pair.right)
    return any(
        phrase.words != phrase.content or phrase.words[0].endswith("ing")
        for phrase in phrases
    )


def _have_other_directions(pair: PairWords) -> bool:
    """Whether only one of two tags has a word that makes the order matter."""
    left = DIRECTIONS.isdisjoint(pair.left.words)
    return left != DIRECTIONS.isdisjoint(pair.right.words)


def _is_equal(pair: PairWords) -> bool:
    """Whether two tags say the same in the same or in interchangeable words."""
    if pair.n_shared == pair.n_all:
        return True
    if "".join(pair.left.words) == "".join(pair.right.words):
        return True
    # "French" and "French Language"
    left, right = set(pair.left.content), set(pair.right.content)
    rest = left ^ right
    named = left & right
    return bool(rest) and rest <= KIND_WORDS and are_languages(named)


def measure_words(
    words: Sequence[PairWords],
    cosines: npt.NDArray[np.floating],
) -> Doubles:
    """The features of pairs, shape (pairs, features); those of the rest are 0."""
    features = np.zeros((len(words), len(FEATURES)))
    for row, (pair, cosine) in enumerate(zip(words, cosines.tolist(), strict=True)):
        is_equal = _is_equal(pair)
        has_more = bool(pair.left_rest) != bool(pair.right_rest)
        is_turned = _is_turned(pair) and "of" not in pair.left.words + pair.right.words
        has_empty = all(map(is_empty, pair.left_rest + pair.right_rest))
        both_differ = bool(pair.left_rest) and bool(pair.right_rest)
        features[row] = (
            cosine,
            max(0.0, cosine - 0.8),
            pair.n_shared / max(1, pair.n_all),
            is_equal,
            is_equal * cosine,
            is_turned,
            both_differ and pair.n_shared > 0,
            0.0,
            0.0,
            (both_differ and pair.n_shared == 0) * cosine,
            has_more and not is_equal and not has_empty,
            has_more and not is_equal and has_empty,
        )
    return features


def add_rest(
    features: Doubles,
    words: Sequence[PairWords],
    encoder: Encoder,
) -> Doubles:
    """The features with those of the cosine of the words that differ, where other words do not."""
    places = np.flatnonzero(features[:, FEATURES.index("both differ")])
    rests = []
    for place in places.tolist():
        rests += [" ".join(words[place].left_rest), " ".join(words[place].right_rest)]
    cosines = np.zeros(len(features))
    if rests:
        vectors = encoder.encode(rests)
        rows = np.arange(0, len(rests), 2)
        cosines[places] = semantic_merging.pair_cosines(vectors, rows, rows + 1)
    full = features.copy()
    full[:, REST] = _spread_rest(features, np.round(cosines, tag_pairs.N_DIGITS))
    return full


def _spread_rest(
    features: Doubles,
    cosines: Doubles,
) -> Doubles:
    """The features of the cosine of the rest, shape (pairs, 2)."""
    counted = features[:, FEATURES.index("both differ")] * cosines
    return np.stack([counted, np.maximum(0.0, counted - 0.6)], axis=1)
