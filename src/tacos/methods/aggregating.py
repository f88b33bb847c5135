"""The three merging steps of normalisation as moves: which name goes to which, and the reason a person reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy import sparse

from tacos.methods import associating, merging, stemming
from tacos.methods.associating import Rules
from tacos.methods.overriding import Move
from tacos.records import Encoder

Hold = Callable[[Mapping[str, Move]], dict[str, Move]]
"""Takes back the moves that an override forbids."""


class Association(NamedTuple):
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


def first_of(names: Iterable[str], counts: Mapping[str, int]) -> str:
    """The most frequent name; ties: the smaller string."""
    return min(names, key=lambda name: (-counts[name], name))


def rule_moves(names: Sequence[str], counts: Mapping[str, int], signs: bool) -> dict[str, Move]:
    """Names with the same key go to the most frequent of them; names without a letter or digit are dropped."""
    groups: dict[str, list[str]] = {}
    for name, key in zip(names, stemming.keys(names, signs), strict=True):
        groups.setdefault(key, []).append(name)
    moves = {name: Move(None, "no letter or digit") for name in groups.pop("", [])}
    for group in groups.values():
        head = first_of(group, counts)
        moves |= {name: Move(head, f"same words as '{head}'") for name in group if name != head}
    return moves


def semantic_moves(
    names: Sequence[str], counts: Mapping[str, int], encoder: Encoder, eps: float, signs: bool
) -> dict[str, Move]:
    """Names whose phrases lie within cosine distance `eps`, directly or through others, go to the most frequent."""
    vectors = encoder.encode([stemming.phrase(name, signs) for name in names])
    labels = merging.components(vectors, eps)
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    moved, heads = [], []
    for group in groups:
        if len(group) > 1:
            head = min(group.tolist(), key=lambda i: (-counts[names[i]], names[i]))
            moved += [i for i in group.tolist() if i != head]
            heads += [head] * (len(group) - 1)
    near = merging.cosines(vectors, np.array(moved, np.int64), np.array(heads, np.int64)).tolist()
    found = zip(moved, heads, near, strict=True)
    return {names[i]: Move(names[h], closeness(names[h], cosine, eps)) for i, h, cosine in found}


def closeness(head: str, cosine: float, eps: float) -> str:
    """The reason of a semantic merge."""
    chained = "" if 1 - cosine <= eps else ", through others between them"
    return f"cosine {cosine:.3f} with '{head}'{chained}"


def associate(
    names: Sequence[str],
    x: sparse.csr_array,
    min_support: int,
    min_confidence: float,
    hold: Hold = dict,
) -> Association:
    """Rules and merges, round by round until no rule is left (`associating` says what is merged into what)."""
    rounds: list[dict[str, Move]] = []
    tables, changed = [pl.DataFrame(schema=RULES)], None
    while True:
        rules = associating.pair_rules(x, min_support, min_confidence, changed)
        tables.append(rules_table(rules, names, len(rounds)))
        moves = hold(association_moves(rules, x, names))
        if not moves:
            return Association(rounds, pl.concat(tables), x)
        rounds.append(moves)
        number = {name: i for i, name in enumerate(names)}
        target = np.arange(len(names), dtype=np.int64)
        for name, move in moves.items():
            target[number[name]] = number[move.target or name]
        x = associating.relabel(x, target)
        changed = np.zeros(len(names), dtype=bool)
        changed[target[target != np.arange(len(names))]] = True


def association_moves(rules: Rules, x: sparse.csr_array, names: Sequence[str]) -> dict[str, Move]:
    """Where each tag with a rule goes, and the rule that is its reason."""
    counts = np.asarray(x.sum(axis=0), dtype=np.int64).ravel()
    target = associating.targets(rules, counts, names)
    why: dict[int, str] = {}
    columns = (rules.antecedent, rules.consequent, rules.n_antecedent, rules.confidence)
    for a, b, n, share in zip(*(column.tolist() for column in columns), strict=True):
        text = f"{share:.1%} of the {n} samples with it carry '{names[b]}'"
        if a not in why or target[a] == b:
            why[a] = text if target[a] == b else f"{text}, which is merged too"
    moved = np.flatnonzero(target != np.arange(len(names))).tolist()
    return {names[a]: Move(names[target[a]], why[a]) for a in moved}


def rules_table(rules: Rules, names: Sequence[str], number: int) -> pl.DataFrame:
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
