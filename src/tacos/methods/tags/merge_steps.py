"""Turns the three merging steps of normalisation into moves: which name goes to which, and why.

The steps are rules (same words), meaning (near vectors) and association (nearly the same samples).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
"""Removes the moves that an override forbids; called once per round, with all its moves."""
Likeness = Callable[[str, str], float]
"""How alike two names are, -1 to 1."""

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


class AssociationResult(NamedTuple):
    """The outcome of the association step; `rules` by `RULES`."""

    rounds: list[dict[str, Move]]
    rules: pl.DataFrame
    samples: sparse.csr_array
    """Samples x names, after the last round."""


# Rules: same words


def find_rule_moves(
    names: Sequence[str],
    counts: Mapping[str, int],
    signs: bool,
    encoder: Encoder | None = None,
    guard: float = 0.0,
) -> dict[str, Move]:
    """Moves of names with the same key to the most frequent of them.

    Names without a letter or digit are dropped. Porter's stemmer gives some unlike words one stem
    (vegetation, vegetable). With an `encoder` and a `guard` above 0, a name therefore moves only to
    a name whose words have at least that cosine with its own; if there is none, it stays.
    """
    groups: dict[str, list[str]] = {}
    keys = stem_keys.stem_tags(names, signs)
    for name, key in zip(names, keys, strict=True):
        groups.setdefault(key, []).append(name)
    moves: dict[str, Move] = {}
    for name in groups.pop("", []):
        moves[name] = Move(None, "no letter or digit")

    groups_to_merge = [group for group in groups.values() if len(group) > 1]
    # All names that can move are encoded in one call.
    candidates: list[str] = []
    for group in groups_to_merge:
        candidates += group
    used_encoder = encoder if guard > 0 else None
    alike = make_likeness(candidates, signs, used_encoder)
    for group in groups_to_merge:
        heads: list[str] = []
        for name in sorted(group, key=_rank_by_count(counts)):
            head = find_most_alike(
                name,
                heads,
                alike,
                guard,
            )
            if head is None:
                heads.append(name)
            else:
                moves[name] = Move(head, f"same words as '{head}'")
    return moves


def make_likeness(
    names: Iterable[str],
    signs: bool,
    encoder: Encoder | None,
) -> Likeness:
    """A function that gives the cosine of the words of two of `names`.

    It gives 1 for the same words, and for all names if there is no encoder.
    """
    phrases = {name: stem_keys.join_tag_words(name, signs) for name in names}
    if encoder is None or not phrases:
        return lambda one, other: 1.0
    distinct = sorted(set(phrases.values()))
    numbers = {phrase: number for number, phrase in enumerate(distinct)}
    vectors = encoder.encode(distinct)  # shape (phrases, dim)

    def cosine(
        one: str,
        other: str,
    ) -> float:
        row = numbers[phrases[one]]
        other_row = numbers[phrases[other]]
        if row == other_row:
            return 1.0
        cosines = semantic_merging.pair_cosines(
            vectors,
            np.array([row]),
            np.array([other_row]),
        )
        return float(cosines[0])

    return cosine


def find_most_alike(
    name: str,
    heads: Sequence[str],
    alike: Likeness,
    guard: float,
) -> str | None:
    """The head most like `name` (ties: the first), or None if none reaches `guard`."""
    best: str | None = None
    best_likeness = -2.0  # below any cosine
    for head in heads:
        likeness = alike(name, head)
        if likeness > best_likeness:
            best = head
            best_likeness = likeness
    return best if best_likeness >= guard else None


# Meaning: near vectors


def find_semantic_moves(
    names: Sequence[str],
    counts: Mapping[str, int],
    encoder: Encoder,
    eps: float,
    signs: bool,
) -> dict[str, Move]:
    """Moves of names within cosine distance `eps` of each other to the most frequent of them.

    Names may also be connected through others between them.
    """
    vectors = encode_phrases(names, encoder, signs)
    labels = semantic_merging.group_by_cosine(vectors, eps)
    by_label = np.argsort(labels, kind="stable")
    group_starts = np.flatnonzero(np.diff(labels[by_label])) + 1
    rank = _rank_by_count(counts)
    moved: list[int] = []
    heads: list[int] = []
    for group in np.split(by_label, group_starts):
        if len(group) < 2:
            continue
        members = group.tolist()
        head = min(members, key=lambda number: rank(names[number]))
        others = [number for number in members if number != head]
        moved += others
        heads += [head] * len(others)

    # The cosines serve the reasons only.
    cosines = semantic_merging.pair_cosines(
        vectors,
        np.array(moved, np.int64),
        np.array(heads, np.int64),
    )
    moves: dict[str, Move] = {}
    for number, head, cosine in zip(
        moved,
        heads,
        cosines.tolist(),
        strict=True,
    ):
        reason = describe_semantic_merge(names[head], cosine, eps)
        moves[names[number]] = Move(names[head], reason)
    return moves


def encode_phrases(
    names: Sequence[str],
    encoder: Encoder,
    signs: bool,
) -> npt.NDArray[np.float32]:
    """The vectors of the words of names, shape (names, dim).

    A name without words is like no other, so its vector is 0.
    """
    phrases = [stem_keys.join_tag_words(name, signs) for name in names]
    vectors = encoder.encode(phrases)
    has_words = np.array([bool(phrase) for phrase in phrases], np.float32)
    return vectors * has_words[:, None]


def describe_semantic_merge(
    head: str,
    cosine: float,
    eps: float,
) -> str:
    """The reason of a semantic merge."""
    reason = f"cosine {cosine:.3f} with '{head}'"
    if 1 - cosine > eps:
        reason += ", through others between them"
    return reason


# Association: nearly the same samples


def merge_by_association(
    names: Sequence[str],
    x: sparse.csr_array,
    min_support: int,
    min_confidence: float,
    hold: Hold = dict,
) -> AssociationResult:
    """Rules and merges, round by round until no rule is left.

    `x` is samples x names. `tacos.methods.tags.association_rules` says what is merged into what.
    """
    numbers = {name: number for number, name in enumerate(names)}
    itself = np.arange(len(names), dtype=np.int64)
    rounds: list[dict[str, Move]] = []
    tables = [pl.DataFrame(schema=RULES)]
    changed = None
    while True:
        rules = association_rules.mine_pair_rules(
            x,
            min_support,
            min_confidence,
            changed,
        )
        tables.append(_tabulate_rules(rules, names, len(rounds)))
        moves = hold(_find_association_moves(rules, x, names))
        if not moves:
            return AssociationResult(
                rounds,
                pl.concat(tables),
                samples=x,
            )
        rounds.append(moves)
        target = itself.copy()
        for name, move in moves.items():
            target[numbers[name]] = numbers[move.target or name]
        x = association_rules.merge_tag_columns(x, target)
        # Only tags that have taken in others can have new rules.
        changed = np.zeros(len(names), dtype=bool)
        changed[target[target != itself]] = True


def find_association_parents(
    names: Sequence[str],
    x: sparse.csr_array,
    min_support: int,
    min_confidence: float,
) -> tuple[dict[str, Move], pl.DataFrame]:
    """The tag under which each tag with a rule falls, with the rule as its reason; the rules.

    Nothing is merged, so there is one round. `x` is samples x names.
    """
    rules = association_rules.mine_pair_rules(x, min_support, min_confidence)
    counts = np.asarray(x.sum(axis=0), dtype=np.int64).ravel()
    parent = association_rules.choose_rule_parents(rules, counts, names)
    moves = _explain_association(rules, parent, names)
    return moves, _tabulate_rules(rules, names, number=0)


def _find_association_moves(
    rules: PairRules,
    x: sparse.csr_array,
    names: Sequence[str],
) -> dict[str, Move]:
    """Where each tag with a rule goes, and the rule that is its reason."""
    counts = np.asarray(x.sum(axis=0), dtype=np.int64).ravel()
    target = association_rules.resolve_rule_targets(rules, counts, names)
    return _explain_association(rules, target, names)


def _explain_association(
    rules: PairRules,
    target: npt.NDArray[np.int64],
    names: Sequence[str],
) -> dict[str, Move]:
    """The moves of tags that are not their own target, with the rules that are their reasons."""
    reasons = _explain_rules(rules, target, names)
    moved = np.flatnonzero(target != np.arange(len(names)))
    moves: dict[str, Move] = {}
    for tag in moved.tolist():
        moves[names[tag]] = Move(
            names[target[tag]],
            reasons[tag],
        )
    return moves


def _explain_rules(
    rules: PairRules,
    target: npt.NDArray[np.int64],
    names: Sequence[str],
) -> dict[int, str]:
    """For each antecedent the rule that leads to its target, or else its first rule."""
    reasons: dict[int, str] = {}
    columns = (
        rules.antecedent.tolist(),
        rules.consequent.tolist(),
        rules.n_antecedent.tolist(),
        rules.confidence.tolist(),
    )
    for tag, other, n_samples, share in zip(*columns, strict=True):
        reason = (
            f"{share:.1%} of the {n_samples} samples with it carry '{names[other]}'"
        )
        if target[tag] == other:
            reasons[tag] = reason
        elif tag not in reasons:
            # The first rule of a chain, or a rule within a cycle.
            reasons[tag] = f"{reason}, which is merged too"
    return reasons


def _tabulate_rules(
    rules: PairRules,
    names: Sequence[str],
    number: int,
) -> pl.DataFrame:
    """The rules of round `number`, by `RULES`."""
    columns = {
        "round": [number] * len(rules),
        "antecedent": [[names[tag]] for tag in rules.antecedent.tolist()],
        "consequent": [names[tag] for tag in rules.consequent.tolist()],
        "n_both": rules.n_both,
        "n_antecedent": rules.n_antecedent,
        "confidence": rules.confidence,
    }
    return pl.DataFrame(columns, schema=RULES)


def _rank_by_count(counts: Mapping[str, int]) -> Callable[[str], tuple[int, str]]:
    """A sort key: the most frequent name first, ties by the smaller string."""
    return lambda name: (-counts[name], name)
