"""The three merging steps of normalisation as moves: which name goes to which, and the reason a
person reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from tacos.methods.tags import association_rules, semantic_merging, stem_keys
from tacos.methods.tags.association_rules import PairRules
from tacos.methods.tags.overrides import Move
from tacos.records import Encoder

Hold = Callable[[Mapping[str, Move]], dict[str, Move]]
"""Takes back the moves that an override forbids; called once per round, with all its moves."""
Likeness = Callable[[str, str], float]


class AssociationResult(NamedTuple):
    """What the association step found."""

    rounds: list[dict[str, Move]]
    rules: pl.DataFrame
    samples: sparse.csr_array
    """Samples x names, after the last round."""


RULES = pl.Schema(
    {
        "round": pl.UInt16(),  # of the recursion, from 0
        "antecedent": pl.List(pl.String()),
        "consequent": pl.String(),
        "n_both": pl.UInt32(),  # samples
        "n_antecedent": pl.UInt32(),
        "confidence": pl.Float64(),
    }
)


def find_rule_moves(
    names: Sequence[str],
    counts: Mapping[str, int],
    signs: bool,
    encoder: Encoder | None = None,
    guard: float = 0.0,
) -> dict[str, Move]:
    """Names with the same key go to the most frequent of them; names without a letter or digit are
    dropped.

    Porter's stemmer gives unlike words one stem (vegetation, vegetable). With an `encoder` and a
    `guard` above 0 a name follows only one whose words have at least that cosine with its own; what
    is like none of the group stays.
    """
    groups: dict[str, list[str]] = {}
    for name, key in zip(names, stem_keys.stem_tags(names, signs), strict=True):
        groups.setdefault(key, []).append(name)
    moves = {name: Move(None, "no letter or digit") for name in groups.pop("", [])}
    several = [group for group in groups.values() if len(group) > 1]
    alike = make_likeness(
        [name for group in several for name in group], signs, encoder if guard > 0 else None
    )
    for group in several:
        heads: list[str] = []
        for name in sorted(group, key=lambda name: (-counts[name], name)):
            head = find_most_alike(name, heads, alike, guard)
            if head is None:
                heads.append(name)
            else:
                moves[name] = Move(head, f"same words as '{head}'")
    return moves


def make_likeness(names: Sequence[str], signs: bool, encoder: Encoder | None) -> Likeness:
    """The cosine of the words of two of `names`: 1 for the same words, and always without an
    encoder.
    """
    phrases = {name: stem_keys.join_tag_words(name, signs) for name in names}
    if encoder is None or not phrases:
        return lambda one, other: 1.0
    distinct = sorted(set(phrases.values()))
    row = {phrase: i for i, phrase in enumerate(distinct)}
    vectors = encoder.encode(distinct)

    def cosine(one: str, other: str) -> float:
        i, j = row[phrases[one]], row[phrases[other]]
        return (
            1.0
            if i == j
            else float(semantic_merging.pair_cosines(vectors, np.array([i]), np.array([j]))[0])
        )

    return cosine


def find_most_alike(name: str, heads: Sequence[str], alike: Likeness, guard: float) -> str | None:
    """The head most like `name`, if it is like enough; of equals the first."""
    found = [(alike(name, head), -place) for place, head in enumerate(heads)]
    best = max(found, default=(-2.0, 0))
    return heads[-best[1]] if best[0] >= guard else None


def find_semantic_moves(
    names: Sequence[str], counts: Mapping[str, int], encoder: Encoder, eps: float, signs: bool
) -> dict[str, Move]:
    """Names whose phrases lie within cosine distance `eps`, directly or through others, go to the
    most frequent.
    """
    vectors = encode_phrases(names, encoder, signs)
    labels = semantic_merging.group_by_cosine(vectors, eps)
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    moved, heads = [], []
    for group in groups:
        if len(group) > 1:
            head = min(group.tolist(), key=lambda i: (-counts[names[i]], names[i]))
            moved += [i for i in group.tolist() if i != head]
            heads += [head] * (len(group) - 1)
    near = semantic_merging.pair_cosines(
        vectors, np.array(moved, np.int64), np.array(heads, np.int64)
    ).tolist()
    found = zip(moved, heads, near, strict=True)
    return {
        names[i]: Move(names[h], describe_semantic_merge(names[h], cosine, eps))
        for i, h, cosine in found
    }


def encode_phrases(names: Sequence[str], encoder: Encoder, signs: bool) -> npt.NDArray[np.float32]:
    """A vector per name, of its words, shape (n, dim); a name without words is like no other, so
    all 0.
    """
    phrases = [stem_keys.join_tag_words(name, signs) for name in names]
    vectors = encoder.encode(phrases)
    return vectors * np.array([bool(phrase) for phrase in phrases], np.float32)[:, None]


def describe_semantic_merge(head: str, cosine: float, eps: float) -> str:
    """The reason of a semantic merge."""
    chained = "" if 1 - cosine <= eps else ", through others between them"
    return f"cosine {cosine:.3f} with '{head}'{chained}"


def merge_by_association(
    names: Sequence[str],
    x: sparse.csr_array,
    min_support: int,
    min_confidence: float,
    hold: Hold = dict,
) -> AssociationResult:
    """Rules and merges, round by round until no rule is left (`associating` says what is merged
    into what).
    """
    rounds: list[dict[str, Move]] = []
    tables, changed = [pl.DataFrame(schema=RULES)], None
    while True:
        rules = association_rules.mine_pair_rules(x, min_support, min_confidence, changed)
        tables.append(_tabulate_rules(rules, names, len(rounds)))
        moves = hold(_find_association_moves(rules, x, names))
        if not moves:
            return AssociationResult(rounds, pl.concat(tables), x)
        rounds.append(moves)
        number = {name: i for i, name in enumerate(names)}
        target = np.arange(len(names), dtype=np.int64)
        for name, move in moves.items():
            target[number[name]] = number[move.target or name]
        x = association_rules.merge_tag_columns(x, target)
        changed = np.zeros(len(names), dtype=bool)
        changed[target[target != np.arange(len(names))]] = True


def _find_association_moves(
    rules: PairRules, x: sparse.csr_array, names: Sequence[str]
) -> dict[str, Move]:
    """Where each tag with a rule goes, and the rule that is its reason."""
    counts = np.asarray(x.sum(axis=0), dtype=np.int64).ravel()
    target = association_rules.resolve_rule_targets(rules, counts, names)
    why: dict[int, str] = {}
    columns = (rules.antecedent, rules.consequent, rules.n_antecedent, rules.confidence)
    for a, b, n, share in zip(*(column.tolist() for column in columns), strict=True):
        text = f"{share:.1%} of the {n} samples with it carry '{names[b]}'"
        if a not in why or target[a] == b:
            why[a] = text if target[a] == b else f"{text}, which is merged too"
    moved = np.flatnonzero(target != np.arange(len(names))).tolist()
    return {names[a]: Move(names[target[a]], why[a]) for a in moved}


def _tabulate_rules(rules: PairRules, names: Sequence[str], number: int) -> pl.DataFrame:
    """The rules of one round by `RULES`."""
    columns = {
        "round": [number] * len(rules),
        "antecedent": [[names[a]] for a in rules.antecedent.tolist()],
        "consequent": [names[b] for b in rules.consequent.tolist()],
        "n_both": rules.n_both,
        "n_antecedent": rules.n_antecedent,
        "confidence": rules.confidence,
    }
    return pl.DataFrame(columns, schema=RULES)
