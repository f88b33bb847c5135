"""Mines rules {A, B} => C between canonical tags by FP-growth (InsTag, section 3.2).

Such a rule says that C adds nothing beside A and B. It does not say that A is C, so it merges no
tags; rules between two tags do (`tacos.methods.tags.association_rules`). It is used to remove C
from the samples with A and B, so that the mean number of tags per sample (InsTag's complexity) does
not count implied tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
from scipy import sparse

from tacos.errors import ConfigError
from tacos.methods.tags import association_rules, frequency_filter
from tacos.records import IMPLICATIONS

N_RULES = 200_000
"""More rules than this do not describe the data any more."""
MIN_TAGS = 3
"""Tags of a rule: two antecedents and the consequent."""


class _ItemsetRule(NamedTuple):
    """A rule as FP-growth reports it: tags by number, counts in samples."""

    head: int
    body: tuple[int, ...]
    n_both: int
    n_antecedent: int


class ImplicationIndex(NamedTuple):
    """What `drop_implied_tags` needs: antecedents and sample count of each consequent."""

    bodies: Mapping[str, Sequence[frozenset[str]]]
    counts: Mapping[str, int]

    def __bool__(self) -> bool:
        return bool(self.bodies)


# Mining


def mine_implications(
    frames: Iterable[pl.DataFrame],
    min_support: int | Literal["auto"],
    min_confidence: float,
) -> pl.DataFrame:
    """Rules by `IMPLICATIONS` from frames (id, tags) of canonical tags.

    `min_support` is a number of samples. Raises as `mine_itemset_rules` does.
    """
    batches = list(frames)
    distinct: set[str] = set()
    for frame in batches:
        tags = frame["tags"].explode()
        distinct.update(tags.drop_nulls().unique())
    names = sorted(distinct)
    codes = {name: number for number, name in enumerate(names)}
    x = association_rules.build_tag_matrix(
        batches,
        codes,
        n_tags=len(names),
    )
    support = frequency_filter.choose_min_support(
        min_support,
        n_samples=x.shape[0],
    )
    return mine_itemset_rules(
        x,
        names,
        support,
        min_confidence,
    )


def mine_itemset_rules(
    x: sparse.csr_array,
    names: Sequence[str],
    min_support: int,
    min_confidence: float,
    max_size: int = 5,
) -> pl.DataFrame:
    """Rules by `IMPLICATIONS` with two or more antecedents and at most `max_size` tags, sorted.

    `x` is samples x tags with ones. A rule has n_both >= min_support and n_both / n_antecedent >=
    min_confidence. Rules with a superfluous antecedent (the others suffice) are left out. Holds all
    samples as Python lists. Raises `ConfigError` if pyfim is not installed, or if there are more
    than `N_RULES` rules.
    """
    mined = _run_fp_growth(
        x,
        min_support,
        min_confidence,
        max_size,
    )
    needed = _drop_superfluous_rules(mined)
    if len(needed) > N_RULES:
        raise ConfigError(
            f"there are {len(needed):,} rules between sets of tags; "
            f"raise normalise.min_support ({min_support})"
        )
    counts = np.bincount(x.indices, minlength=len(names)).tolist()
    rows = []
    for rule in needed:
        row = (
            sorted(names[tag] for tag in rule.body),
            names[rule.head],
            rule.n_both,
            rule.n_antecedent,
            counts[rule.head],
        )
        rows.append(row)
    # FP-growth promises no order.
    return pl.DataFrame(sorted(rows), schema=IMPLICATIONS, orient="row")


def _run_fp_growth(
    x: sparse.csr_array,
    min_support: int,
    min_confidence: float,
    max_size: int,
) -> list[_ItemsetRule]:
    """All rules of three to `max_size` tags."""
    try:
        import fim
    except ImportError:
        raise ConfigError(
            "rules between sets of tags need pyfim: pip install tacos-select[itemsets]"
        ) from None
    samples = [row.tolist() for row in np.split(x.indices, x.indptr[1:-1])]
    # Percent; the slack admits rules that only rounding puts below the threshold.
    percent = 100 * (min_confidence - association_rules.FUZZ)
    options: dict[str, Any] = {
        "target": "r",  # rules
        "supp": -min_support,  # negative: a number of samples, not a percentage
        "conf": percent,
        "zmin": MIN_TAGS,
        "zmax": max_size,
        "report": "ab",  # samples with the whole rule, samples with the antecedent
        "mode": "o",  # support of a rule is that of all its tags
    }
    rules = fim.fpgrowth(samples, **options)
    return [_ItemsetRule(*rule) for rule in rules]


def _drop_superfluous_rules(rules: Sequence[_ItemsetRule]) -> list[_ItemsetRule]:
    """The rules of which no antecedent can be left out."""
    known = {(rule.head, frozenset(rule.body)) for rule in rules}
    needed = []
    for rule in rules:
        head = rule.head
        body = frozenset(rule.body)
        shorter = [(head, body - {tag}) for tag in body]
        if known.isdisjoint(shorter):
            needed.append(rule)
    return needed


# Using


def index_implications(table: pl.DataFrame | None) -> ImplicationIndex:
    """A table by `IMPLICATIONS` (None: no rules), indexed for `drop_implied_tags`."""
    bodies: dict[str, list[frozenset[str]]] = {}
    counts: dict[str, int] = {}
    if table is None:
        return ImplicationIndex(bodies, counts)
    rules = table.select(
        "consequent",
        "antecedent",
        "n_consequent",
    )
    for head, body, n_head in rules.iter_rows():
        of_head = bodies.setdefault(head, [])
        of_head.append(frozenset(body))
        counts[head] = n_head
    return ImplicationIndex(bodies, counts)


def drop_implied_tags(
    tags: Sequence[str],
    implied: ImplicationIndex,
) -> list[str]:
    """A sample's tags without those that its other tags imply.

    Implied tags are dropped one at a time, the most frequent first (ties: the smaller string), each
    only while a whole antecedent is still there. So a cycle never empties a sample, and a second
    pass changes nothing.
    """
    left = set(tags)

    def rank(tag: str) -> tuple[int, str]:
        return -implied.counts[tag], tag

    candidates = left & implied.bodies.keys()
    for tag in sorted(candidates, key=rank):
        bodies = implied.bodies[tag]
        if any(body <= left for body in bodies):
            left.discard(tag)
    return [tag for tag in tags if tag in left]
