"""Rules with several antecedents between canonical tags: {A, B} => C, found by FP-growth (InsTag,
section 3.2).

Such a rule says that C adds nothing beside A and B; it cannot say that A is C, so it merges no tags
(rules between two tags do: `associating`). What it is good for is to take C from the samples that
carry A and B, so that mean tags per sample (InsTag's complexity) do not count what is implied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from scipy import sparse

from tacos.errors import ConfigError
from tacos.methods.tags import association_rules, frequency_filter
from tacos.records import IMPLICATIONS

FUZZ = 1e-9
N_RULES = 200_000
"""More rules than this are no description of the data any more."""


class ImplicationIndex(NamedTuple):
    """What `drop_implied_tags` goes by: the antecedents of each consequent, and the samples that carry it."""

    bodies: Mapping[str, Sequence[frozenset[str]]]
    counts: Mapping[str, int]

    def __bool__(self) -> bool:
        return bool(self.bodies)


def mine_implications(
    frames: Iterable[pl.DataFrame], min_support: int | Literal["auto"], min_confidence: float
) -> pl.DataFrame:
    """A table by `IMPLICATIONS` from frames (id, tags) of canonical tags; `min_support` is a count
    of samples.
    """
    held = list(frames)
    names = sorted({tag for frame in held for tag in frame["tags"].explode().drop_nulls().unique()})
    x = association_rules.build_tag_matrix(
        held, {name: number for number, name in enumerate(names)}, len(names)
    )
    support = frequency_filter.choose_min_support(min_support, x.shape[0])
    return mine_itemset_rules(x, names, support, min_confidence)


def mine_itemset_rules(
    x: sparse.csr_array,
    names: Sequence[str],
    min_support: int,
    min_confidence: float,
    max_size: int = 5,
) -> pl.DataFrame:
    """Rules with two or more antecedents, `max_size` tags in all at most, sorted; a table by
    `IMPLICATIONS`.

    `x` is samples x tags with ones. A rule has n_both >= min_support and n_both / n_antecedent >=
    min_confidence; one with a needless antecedent (the others suffice) is left out. Holds all
    samples as Python lists. Raises `ConfigError` where pyfim is not installed, or where there are
    more than `N_RULES`.
    """
    try:
        import fim
    except ImportError:
        raise ConfigError(
            "rules between sets of tags need pyfim: pip install tacos[itemsets]"
        ) from None
    samples = [row.tolist() for row in np.split(x.indices, x.indptr[1:-1])]
    limits = {
        "supp": -min_support,
        "zmin": 3,
        "zmax": max_size,
        "conf": 100 * (min_confidence - FUZZ),
    }
    found = fim.fpgrowth(samples, target="r", report="ab", mode="o", **limits)
    bodies = {(head, frozenset(body)) for head, body, _, _ in found}
    needed = [
        (sorted(names[tag] for tag in body), names[head], both, n_body, head)
        for head, body, both, n_body in found
        if not any((head, frozenset(body) - {tag}) in bodies for tag in body)
    ]
    if len(needed) > N_RULES:
        raise ConfigError(
            f"{len(needed):,} rules between sets of tags; raise normalise.min_support ({min_support})"
        )
    counts = np.bincount(x.indices, minlength=len(names)).tolist()
    rows = sorted(
        (body, head, both, n_body, counts[number]) for body, head, both, n_body, number in needed
    )
    return pl.DataFrame(rows, schema=IMPLICATIONS, orient="row")


def index_implications(table: pl.DataFrame | None) -> ImplicationIndex:
    """A table by `IMPLICATIONS` (None: no rules) as `drop_implied_tags` wants it."""
    bodies: dict[str, list[frozenset[str]]] = {}
    counts: dict[str, int] = {}
    for body, head, _, _, count in table.iter_rows() if table is not None else ():
        bodies.setdefault(head, []).append(frozenset(body))
        counts[head] = count
    return ImplicationIndex(bodies, counts)


def drop_implied_tags(tags: Sequence[str], implied: ImplicationIndex) -> list[str]:
    """A sample's tags without those that its other tags imply.

    Implied tags leave one at a time, the most frequent first (ties: the smaller string), each only
    while a whole antecedent is still there, so that a cycle never empties a sample, and a second
    pass changes nothing.
    """
    left = set(tags)
    for tag in sorted(left & implied.bodies.keys(), key=lambda tag: (-implied.counts[tag], tag)):
        if any(body <= left for body in implied.bodies[tag]):
            left.discard(tag)
    return [tag for tag in tags if tag in left]
