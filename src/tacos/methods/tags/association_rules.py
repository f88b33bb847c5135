"""Merges a tag into another that nearly always accompanies it (association aggregation; InsTag,
section 3.2).

A rule `A => B` holds when at least `min_support` SAMPLES (a count, never a fraction) carry both
tags, and these are at least `min_confidence` of the samples with A. A is merged into B, never B
into A: samples with A carry B already, so hardly any sample changes its meaning, whereas the
reverse would give A to every sample with B. InsTag says that the rules are merged "recursively into
atomic tags". Here that means

- a chain A => B => C: A and B both become C;
- a cycle (A => B and B => A: nearly the same samples): one tag, named after the most frequent, ties
  the smaller string;
- several rules A => B, A => C: A goes to the most specific one (the least frequent consequent; then
  the more confident rule, then the smaller string). B and C stay apart, which is why groups are not
  formed by union-find;
- merged tags are examined again, with their new samples, until no rule is left. So a second run
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

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
BLOCK_PRODUCTS = 6_000_000
"""Multiplications per block of X'X: bounds its memory to about 100 MB."""
FIRST = 8
"""Samples of a tag that are examined first, beyond twice the exceptions its rules may have."""
FUZZ = 1e-9
"""Keeps rounding from deciding at a threshold that a share meets exactly."""


@dataclass(frozen=True, slots=True)
class PairRules:
    """Pair rules as parallel arrays, shape (rules,), sorted by antecedent, then consequent.

    Tags are numbers, counts are of samples.
    """

    antecedent: Ints
    consequent: Ints
    n_both: Ints
    n_antecedent: Ints

    def __len__(self) -> int:
        return len(self.antecedent)

    @property
    def confidence(self) -> Floats:
        """Share of the samples with the antecedent that carry the consequent."""
        return self.n_both / self.n_antecedent


# Matrices


def build_tag_matrix(
    frames: pl.DataFrame | Iterable[pl.DataFrame],
    codes: Mapping[str, int],
    n_tags: int,
) -> sparse.csr_array:
    """Samples x tags, int32 ones, from frames (id, tags).

    `codes` gives the number of a raw tag; other tags are left out. Frames are read one after the
    other, so an iterator of batches keeps memory at about 12 bytes per tag occurrence.
    """
    code_table = pl.DataFrame(
        {
            "tags": list(codes),
            "code": list(codes.values()),
        },
        {
            "tags": pl.String,
            "code": pl.Int32,
        },
    )
    batches = [frames] if isinstance(frames, pl.DataFrame) else frames
    parts = [_build_batch_matrix(batch, code_table, n_tags) for batch in batches]
    if not parts:
        nothing = np.zeros(0, np.int32)
        return build_indicator(nothing, nothing, (0, n_tags))
    if len(parts) == 1:
        return parts[0]
    stacked = sparse.vstack(parts, format="csr")
    return cast(sparse.csr_array, stacked)


def _build_batch_matrix(
    frame: pl.DataFrame,
    code_table: pl.DataFrame,
    n_tags: int,
) -> sparse.csr_array:
    """One batch of `build_tag_matrix`; `code_table` has tags, code."""
    row = pl.int_range(pl.len(), dtype=pl.Int32).alias("row")
    occurrences = frame.select(row, "tags").explode("tags")
    places = occurrences.join(code_table, on="tags")
    return build_indicator(
        places["row"].to_numpy(),
        places["code"].to_numpy(),
        shape=(frame.height, n_tags),
    )


def build_indicator(
    rows: npt.NDArray[Any],
    columns: npt.NDArray[Any],
    shape: tuple[int, int],
) -> sparse.csr_array:
    """A matrix of int32 ones at the given places."""
    ones = np.ones(len(rows), dtype=np.int32)
    x = sparse.coo_array((ones, (rows, columns)), shape=shape).tocsr()
    # Repeated places have been added up.
    x.data[:] = 1
    return x


def merge_tag_columns(
    x: sparse.csr_array,
    target: Ints,
) -> sparse.csr_array:
    """`x` after every tag became its target; a sample that held both holds it once."""
    places = x.tocoo()
    return build_indicator(
        places.row,
        target[places.col],
        shape=x.shape,
    )


# Finding rules


def mine_pair_rules(
    x: sparse.csr_array,
    min_support: int,
    min_confidence: float,
    changed: Bools | None = None,
) -> PairRules:
    """All rules between two tags; with `changed`, shape (tags,), only those with such a tag.

    `x` is samples x tags with ones. A rule has n_both >= min_support and n_both / n_antecedent >=
    min_confidence.
    """
    by_tag = x.T.tocsr()
    counts = _count_samples(by_tag)
    if changed is None:
        changed = np.ones(len(counts), dtype=bool)
    antecedents = _find_antecedents(
        by_tag,
        x,
        min_support,
        min_confidence,
        changed,
    )
    blocks = [np.zeros((3, 0), np.int64)]
    for tag, other, both in count_cooccurrences(by_tag, x, antecedents):
        kept = tag != other
        kept &= both >= min_support
        kept &= both >= min_confidence * counts[tag] - FUZZ
        kept &= changed[tag] | changed[other]
        block = np.stack([tag, other, both])
        blocks.append(block[:, kept])
    antecedent, consequent, n_both = np.concatenate(blocks, axis=1)
    order = np.lexsort((consequent, antecedent))
    return PairRules(
        antecedent[order],
        consequent[order],
        n_both[order],
        n_antecedent=counts[antecedent[order]],
    )


def _find_antecedents(
    by_tag: sparse.csr_array,
    x: sparse.csr_array,
    min_support: int,
    min_confidence: float,
    changed: Bools,
) -> Ints:
    """The tags that may have a rule, a superset of those that have one, sorted.

    Few samples of a tag rule out most tags. A rule of a tag with n samples has at most
    m = (1 - min_confidence) n exceptions, so among any s samples of the tag the consequent is in at
    least s - m. The first s = 2 m + FIRST samples are examined.
    """
    counts = _count_samples(by_tag)
    max_exceptions = np.floor((1 - min_confidence) * counts + FUZZ).astype(np.int64)
    n_examined = np.minimum(counts, 2 * max_exceptions + FIRST)
    n_examined[counts < min_support] = 0
    examined = _take_first_samples(by_tag, n_examined)

    blocks = [np.zeros(0, np.int64)]
    examined_tags = np.flatnonzero(n_examined)
    for tag, other, both in count_cooccurrences(examined, x, examined_tags):
        may_hold = tag != other
        may_hold &= both >= n_examined[tag] - max_exceptions[tag]
        may_hold &= counts[other] >= min_support
        may_hold &= changed[tag] | changed[other]
        blocks.append(tag[may_hold])
    return np.unique(np.concatenate(blocks))


def _take_first_samples(
    by_tag: sparse.csr_array,
    n_first: Ints,
) -> sparse.csr_array:
    """`by_tag` (tags x samples) with only the first `n_first` samples of each tag."""
    ends = np.cumsum(n_first)
    starts = ends - n_first
    n_places = ends[-1] if len(ends) else 0
    # The place of an entry among all entries, shifted from the new rows to the old ones.
    shifts = np.repeat(by_tag.indptr[:-1] - starts, n_first)
    places = np.arange(n_places) + shifts
    samples = by_tag.indices[places]
    ones = np.ones(len(samples), np.int32)
    indptr = np.r_[0, ends]
    return sparse.csr_array((ones, samples, indptr), shape=by_tag.shape)


def count_cooccurrences(
    by_tag: sparse.csr_array,
    x: sparse.csr_array,
    focus: Ints,
) -> Iterator[tuple[Ints, Ints, Ints]]:
    """(tag, other, samples with both) for each tag of `focus`, in blocks.

    `by_tag` is tags x samples, `x` samples x tags.
    """
    # One entry of by_tag meets as many products as its sample has tags.
    n_samples = max(1, x.shape[0])
    tags_per_sample = max(1.0, x.nnz / n_samples)
    n_products = np.diff(by_tag.indptr)[focus] * tags_per_sample
    block_numbers = np.cumsum(n_products) // BLOCK_PRODUCTS
    block_starts = np.flatnonzero(np.diff(block_numbers)) + 1
    for block in np.split(focus, block_starts):
        product = (by_tag[block] @ x).tocoo()
        yield (
            block[product.row],
            product.col.astype(np.int64),
            product.data.astype(np.int64),
        )


def _count_samples(by_tag: sparse.csr_array) -> Ints:
    """Samples per tag, shape (tags,)."""
    counts: Ints = np.diff(by_tag.indptr).astype(np.int64)
    return counts


# Following rules


def choose_rule_parents(
    rules: PairRules,
    counts: Ints,
    names: Sequence[str],
) -> Ints:
    """The tag under which each tag falls by its best rule, shape (tags,); without one, itself.

    In a cycle all others fall under the most frequent tag, and this one under the parent of the
    cycle, if it has one. `counts` are samples per tag.
    """
    parent, cycle, head = _find_cycle_parents(rules, counts, names)
    is_head = head[cycle] == np.arange(len(names))
    above: Ints = np.where(is_head, head[parent[cycle]], head[cycle])
    return above


def resolve_rule_targets(
    rules: PairRules,
    counts: Ints,
    names: Sequence[str],
) -> Ints:
    """Where each tag ends when all rules are followed at once, shape (tags,).

    The module's docstring says what becomes of chains, cycles and choices. `counts` are samples per
    tag. Tags without rules keep their own number.
    """
    parent, cycle, head = _find_cycle_parents(rules, counts, names)

    # Chains: each pass doubles how far a cycle sees, until all see the end of their chain.
    grandparent = parent[parent]
    while not np.array_equal(grandparent, parent):
        parent = grandparent
        grandparent = parent[parent]
    target: Ints = head[parent[cycle]]
    return target


def _find_cycle_parents(
    rules: PairRules,
    counts: Ints,
    names: Sequence[str],
) -> tuple[Ints, Ints, Ints]:
    """The parent of each cycle, shape (cycles,), the cycle of each tag, shape (tags,), and the most
    frequent tag of each cycle, shape (cycles,).
    """
    rank = _rank_tags(counts, names)
    n_cycles, cycle, head = _find_cycles(rules, rank)
    parent = _choose_parents(
        rules,
        counts,
        rank,
        cycle,
        n_cycles,
    )
    return parent, cycle.astype(np.int64), head


def _rank_tags(
    counts: Ints,
    names: Sequence[str],
) -> Ints:
    """The rank of each tag, from 0: most frequent first, ties by the smaller string."""
    n_tags = len(names)
    order = sorted(range(n_tags), key=lambda tag: (-counts[tag], names[tag]))
    rank = np.empty(n_tags, dtype=np.int64)
    rank[order] = np.arange(n_tags)
    return rank


def _find_cycles(
    rules: PairRules,
    rank: Ints,
) -> tuple[int, npt.NDArray[Any], Ints]:
    """Number of cycles, the cycle of each tag, and the tag of the first rank in each cycle.

    Cycles are the strong components of the graph of rules. Most are single tags.
    """
    n_tags = len(rank)
    edges = (rules.antecedent, rules.consequent)
    graph = sparse.coo_array(
        (np.ones(len(rules), bool), edges),
        shape=(n_tags, n_tags),
    )
    n_cycles, cycle = connected_components(
        graph,
        directed=True,
        connection="strong",
    )
    head_rank = np.full(n_cycles, n_tags, dtype=np.int64)
    np.minimum.at(head_rank, cycle, rank)
    order = np.argsort(rank)
    return n_cycles, cycle, order[head_rank]


def _choose_parents(
    rules: PairRules,
    counts: Ints,
    rank: Ints,
    cycle: npt.NDArray[Any],
    n_cycles: int,
) -> Ints:
    """For each cycle the cycle to which its best rule leads, or itself, shape (cycles,)."""
    source = cycle[rules.antecedent]
    target = cycle[rules.consequent]
    # lexsort's last key is the first to decide; the others are the module's order of preference.
    keys = (
        rank[rules.consequent],
        -rules.confidence,
        counts[rules.consequent],
        source,
    )
    by_preference = np.lexsort(keys)
    leaving = (source != target)[by_preference]
    candidates = by_preference[leaving]
    # The first rule of each source is its best.
    sources, first = np.unique(source[candidates], return_index=True)
    best = candidates[first]
    parent = np.arange(n_cycles, dtype=np.int64)
    parent[sources] = target[best]
    return parent
