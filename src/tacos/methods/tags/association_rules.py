"""Association aggregation: a tag that nearly always comes with another is merged into it (InsTag,
section 3.2).

A rule `A => B` holds when at least `min_support` SAMPLES (a count, never a fraction) carry both and
they are at least `min_confidence` of the samples with A. What is merged is A into B, never B into
A: whoever carries A carries B already, so hardly any sample changes its meaning, while the reverse
would give A to every sample with B. InsTag says that the rules are merged "recursively into atomic
tags"; here that means

- a chain A => B => C: A and B both become C;
- a cycle (A => B and B => A: nearly the same samples): one tag, named after the most frequent, ties
  the smaller string;
- several rules A => B, A => C: A goes to the most specific one (the least frequent consequent; then
  the more confident rule, then the smaller string). B and C stay apart, which is why groups are not
  formed by union-find;
- merged tags are looked at again, with their new samples, until no rule is left. So a second run
  changes nothing.

Pair rules are found through the sparse product X'X, in blocks and only for tags that may have one,
so memory does not grow with rows x tags. Rules with several antecedents cannot rename a tag; see
`tacos.methods.tags.itemset_rules`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse
from scipy.sparse.csgraph import connected_components

Ints = npt.NDArray[np.int64]
BLOCK_PRODUCTS = 6_000_000
"""Multiplications per block of X'X: bounds its memory to about 100 MB."""
FIRST = 8
"""Samples of a tag that are looked at first, beyond twice the exceptions its rules may have."""
FUZZ = 1e-9


@dataclass(frozen=True, slots=True)
class PairRules:
    """Pair rules as parallel arrays of tag numbers and sample counts, sorted by antecedent, then
    consequent.
    """

    antecedent: Ints
    consequent: Ints
    n_both: Ints
    n_antecedent: Ints

    def __len__(self) -> int:
        return len(self.antecedent)

    @property
    def confidence(self) -> npt.NDArray[np.float64]:
        """Share of the samples with the antecedent that carry the consequent."""
        return self.n_both / self.n_antecedent


def build_tag_matrix(
    frames: pl.DataFrame | Iterable[pl.DataFrame], codes: Mapping[str, int], n_tags: int
) -> sparse.csr_array:
    """Samples x tags, int32 ones, from frames (id, tags): `codes` gives the number of a raw tag;
    others are left out.

    Frames are read one after the other, so an iterator of batches keeps memory at about 12 bytes
    per tag occurrence.
    """
    table = pl.DataFrame(
        {"tags": list(codes), "code": list(codes.values())}, {"tags": pl.String, "code": pl.Int32}
    )
    batches = [frames] if isinstance(frames, pl.DataFrame) else frames
    parts = [_build_batch_matrix(frame, table, n_tags) for frame in batches]
    if not parts:
        return build_indicator(np.zeros(0, np.int32), np.zeros(0, np.int32), (0, n_tags))
    return (
        parts[0] if len(parts) == 1 else cast(sparse.csr_array, sparse.vstack(parts, format="csr"))
    )


def _build_batch_matrix(frame: pl.DataFrame, table: pl.DataFrame, n_tags: int) -> sparse.csr_array:
    """One batch of `build_tag_matrix`; `table` has tags, code."""
    rows = pl.int_range(frame.height, dtype=pl.Int32, eager=True).alias("row")
    flat = frame.select(rows, "tags").explode("tags").join(table, on="tags").select("row", "code")
    return build_indicator(flat["row"].to_numpy(), flat["code"].to_numpy(), (frame.height, n_tags))


def build_indicator(
    rows: npt.NDArray[Any], columns: npt.NDArray[Any], shape: tuple[int, int]
) -> sparse.csr_array:
    """A matrix of int32 ones at the given places, each once."""
    x = sparse.coo_array((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=shape).tocsr()
    x.data[:] = 1
    return x


def mine_pair_rules(
    x: sparse.csr_array,
    min_support: int,
    min_confidence: float,
    changed: npt.NDArray[np.bool_] | None = None,
) -> PairRules:
    """All rules between two tags; with `changed`, only those that have such a tag on either side.

    `x` is samples x tags with ones. A rule has n_both >= min_support and n_both / n_antecedent >=
    min_confidence.
    """
    by_tag = x.T.tocsr()
    n = np.diff(by_tag.indptr).astype(np.int64)
    matters = np.ones(len(n), dtype=bool) if changed is None else changed
    found = [np.zeros((3, 0), np.int64)]
    for tag, other, both in count_cooccurrences(
        by_tag, x, _find_antecedents(by_tag, x, min_support, min_confidence, matters)
    ):
        keep = (both >= min_support) & (tag != other) & (both >= min_confidence * n[tag] - FUZZ)
        keep &= matters[tag] | matters[other]
        found.append(np.stack([tag[keep], other[keep], both[keep]]))
    a, b, both = np.concatenate(found, axis=1)
    order = np.lexsort((b, a))
    return PairRules(a[order], b[order], both[order], n[a[order]])


def _find_antecedents(
    by_tag: sparse.csr_array,
    x: sparse.csr_array,
    min_support: int,
    min_confidence: float,
    matters: npt.NDArray[np.bool_],
) -> Ints:
    """The tags that may have a rule, none missing that has one: most are ruled out by a look at few
    of their samples.

    A rule of a tag with n samples has at most m = (1 - min_confidence) n exceptions, so among any s
    samples of the tag the consequent is in s - m at least. We look at the first s = 2 m + FIRST of
    them.
    """
    n = np.diff(by_tag.indptr).astype(np.int64)
    exceptions = np.floor((1 - min_confidence) * n + FUZZ).astype(np.int64)
    size = np.where(n >= min_support, np.minimum(n, 2 * exceptions + FIRST), 0)
    ends = np.cumsum(size)
    places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(
        by_tag.indptr[:-1] - (ends - size), size
    )
    rows = by_tag.indices[places]
    some = sparse.csr_array(
        (np.ones(len(rows), np.int32), rows, np.r_[0, ends]), shape=by_tag.shape
    )
    found = []
    for tag, other, both in count_cooccurrences(some, x, np.flatnonzero(size)):
        keep = (tag != other) & (both >= size[tag] - exceptions[tag]) & (n[other] >= min_support)
        found.append(tag[keep & (matters[tag] | matters[other])])
    return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))


def count_cooccurrences(
    by_tag: sparse.csr_array, x: sparse.csr_array, focus: Ints
) -> Iterator[tuple[Ints, Ints, Ints]]:
    """(tag, other, samples with both) for each tag of `focus`, in blocks; `by_tag` is tags x
    samples.
    """
    mean = max(1.0, x.nnz / max(1, x.shape[0]))
    work = np.cumsum(np.diff(by_tag.indptr)[focus] * mean) // BLOCK_PRODUCTS
    for block in np.split(focus, np.flatnonzero(np.diff(work)) + 1):
        product = (by_tag[block] @ x).tocoo()
        yield block[product.row], product.col.astype(np.int64), product.data.astype(np.int64)


def resolve_rule_targets(rules: PairRules, counts: Ints, names: Sequence[str]) -> Ints:
    """Where each tag ends when all rules are followed at once (chains, cycles and choices as the
    module says).

    `counts` are samples per tag. Returns one tag number per tag; tags without rules keep their own.
    """
    n = len(names)
    order = np.array(sorted(range(n), key=lambda tag: (-counts[tag], names[tag])), dtype=np.int64)
    rank = np.empty(n, dtype=np.int64)
    rank[order] = np.arange(n)
    graph = sparse.coo_array(
        (np.ones(len(rules), bool), (rules.antecedent, rules.consequent)), shape=(n, n)
    )
    n_cycles, cycle = connected_components(graph, directed=True, connection="strong")
    head = np.full(n_cycles, n, dtype=np.int64)
    np.minimum.at(head, cycle, rank)
    parent = _choose_parents(rules, counts, rank, cycle, n_cycles)
    while (further := parent[parent]).tolist() != parent.tolist():
        parent = further
    return order[head[parent[cycle]]]


def _choose_parents(
    rules: PairRules, counts: Ints, rank: Ints, cycle: npt.NDArray[Any], n_cycles: int
) -> Ints:
    """For each cycle (most are single tags) the cycle that its best rule leads to, else itself."""
    parent = np.arange(n_cycles, dtype=np.int64)
    source, target = cycle[rules.antecedent], cycle[rules.consequent]
    leaving = np.flatnonzero(source != target)
    by_preference = np.lexsort(
        (rank[rules.consequent], -rules.confidence, counts[rules.consequent], source)
    )
    chosen = by_preference[np.isin(by_preference, leaving)]
    first = np.unique(source[chosen], return_index=True)[1]
    parent[source[chosen[first]]] = target[chosen[first]]
    return parent


def merge_tag_columns(x: sparse.csr_array, target: Ints) -> sparse.csr_array:
    """`x` after every tag became its target; a sample that held both holds it once."""
    places = x.tocoo()
    return build_indicator(places.row, target[places.col], x.shape)
