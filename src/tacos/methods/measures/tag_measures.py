"""Measures diversity, complexity and overlap of tagged data sets (InsTag, section 4, figure 2).

Diversity is the share of the joint tag set of all compared data sets that one of them covers.
Complexity is the mean number of tags per query, samples without a tag included. Both depend on
which data sets are compared, and diversity also on size: a larger data set covers more. So
`compute_rarefaction` gives the exact coverage expected of a random sample of any size, and
`summarise_profiles` the coverage of each data set at the size of the smallest.

Whether a tag is right is the question of `tacos.methods.tags.tag_checks`; whether two tags mean the
same, that of `tacos.methods.tags.normalisation`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse
from scipy.special import gammaln

from tacos.errors import InputError
from tacos.methods.tags import association_rules

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

N_AT_ONCE = 100_000
"""Rows whose tags are looked at together."""
COOCCURRENCES = {
    "tag": pl.String,
    "other": pl.String,
    "n_both": pl.Int64,
    "jaccard": pl.Float64,
    "npmi": pl.Float64,
}
"""The columns of `rank_cooccurring_tags`."""


@dataclass(frozen=True, slots=True)
class TagProfile:
    """What the measures need of one data set; its size does not depend on the number of samples."""

    counts: Mapping[str, int]
    """Samples per tag."""
    lengths: Mapping[int, int]
    """Samples per number of distinct tags."""
    n_unknown: int = 0
    """Samples whose tags are not known: they could not be tagged."""

    @property
    def n_known(self) -> int:
        """Samples whose tags are known, those without a tag included."""
        return sum(self.lengths.values())

    @property
    def n_samples(self) -> int:
        """All samples."""
        return self.n_known + self.n_unknown

    @property
    def n_untagged(self) -> int:
        """Samples without a tag."""
        return self.lengths.get(0, 0)

    @property
    def complexity(self) -> float:
        """Mean number of distinct tags per sample, where they are known."""
        n_occurrences = sum(self.counts.values())
        return n_occurrences / max(1, self.n_known)

    @property
    def complexity_error(self) -> float:
        """Standard error of `complexity`."""
        n = self.n_known
        mean = self.complexity
        squares = [
            n_samples * (length - mean) ** 2
            for length, n_samples in self.lengths.items()
        ]
        variance = sum(squares) / max(1, n - 1)
        return float(np.sqrt(variance / max(1, n)))


# Profiles


def build_tag_profile(
    frames: pl.DataFrame | Iterable[pl.DataFrame],
) -> TagProfile:
    """The profile of a data set from frames (id, tags), read one after the other.

    Tags that are null are not known.
    """
    counts: Counter[str] = Counter()
    lengths: Counter[int] = Counter()
    n_unknown = 0
    batches = [frames] if isinstance(frames, pl.DataFrame) else frames
    # In slices: the tags of all rows together, as texts, take much memory.
    for frame in chain.from_iterable(batch.iter_slices(N_AT_ONCE) for batch in batches):
        known = frame["tags"].drop_nulls()
        n_unknown += frame.height - len(known)
        distinct = known.list.drop_nulls().list.unique()
        length_counts = distinct.list.len().value_counts()
        for length, n_samples in length_counts.rows():
            lengths[length] += n_samples
        tag_counts = distinct.explode().drop_nulls().value_counts()
        for tag, n_samples in tag_counts.rows():
            counts[tag] += n_samples
    return TagProfile(
        counts=dict(sorted(counts.items())),
        lengths=dict(sorted(lengths.items())),
        n_unknown=n_unknown,
    )


def collect_joint_tags(profiles: Iterable[TagProfile]) -> frozenset[str]:
    """The tags of all data sets."""
    return frozenset().union(*(profile.counts for profile in profiles))


def summarise_profiles(profiles: Mapping[str, TagProfile]) -> pl.DataFrame:
    """One row per data set: sizes, coverage of the joint tag set (diversity), complexity.

    `coverage_same_size` is the coverage expected of a random sample of the size of the smallest
    data set. Raises `InputError` if no data set has a tag.
    """
    n_joint = len(collect_joint_tags(profiles.values()))
    if n_joint == 0:
        raise InputError("no data set has any tags, so there is nothing to measure")
    smallest = min(profile.n_samples for profile in profiles.values())
    rows = []
    for name, profile in profiles.items():
        row = _summarise_profile(profile, n_joint, smallest)
        rows.append(
            {
                "data": name,
                **row,
            }
        )
    return pl.DataFrame(rows)


def _summarise_profile(
    profile: TagProfile,
    n_joint: int,
    smallest: int,
) -> dict[str, Any]:
    """The figures of one data set; `n_joint` tags in all, `smallest` size of any data set."""
    n_tags = len(profile.counts)
    n_expected = count_expected_tags(profile, np.array([smallest]))
    return {
        "n_samples": profile.n_samples,
        "n_untagged": profile.n_untagged,
        "n_tags": n_tags,
        "coverage": n_tags / n_joint,
        "coverage_same_size": float(n_expected[0]) / n_joint,
        "complexity": profile.complexity,
        "complexity_error": profile.complexity_error,
    }


def tag_recall_matrix(profiles: Mapping[str, TagProfile]) -> pl.DataFrame:
    """Tag recall between data sets: row A, column B holds the share of B's tags that A has too."""
    tag_sets = {name: frozenset(profile.counts) for name, profile in profiles.items()}
    columns: dict[str, list[Any]] = {"data": list(tag_sets)}
    for name, reference in tag_sets.items():
        n_reference = max(1, len(reference))
        recalls = []
        for tags in tag_sets.values():
            n_shared = len(tags & reference)
            recalls.append(n_shared / n_reference)
        columns[name] = recalls
    return pl.DataFrame(columns)


def tabulate_frequencies(one: TagProfile) -> pl.DataFrame:
    """Tags, most frequent first: rank, tag, count, share, cumulative.

    `share` is of the samples, `cumulative` of all tag occurrences.
    """
    columns = {
        "tag": list(one.counts),
        "count": list(one.counts.values()),
    }
    schema = {
        "tag": pl.String(),
        "count": pl.Int64(),
    }
    table = pl.DataFrame(columns, schema)
    ordered = table.sort("count", "tag", descending=[True, False])
    count = pl.col("count")
    return ordered.with_columns(
        share=count / max(1, one.n_samples),
        cumulative=count.cum_sum() / count.sum(),
    ).with_row_index("rank", offset=1)


# Size


def count_expected_tags(
    one: TagProfile,
    sizes: Ints,
) -> Floats:
    """Exact expected number of distinct tags in random samples without replacement, shape (sizes,).

    Sizes above the number of samples count as that.
    """
    counts = np.fromiter(one.counts.values(), np.int64, len(one.counts))
    return count_expected_kinds(
        counts,
        one.n_samples,
        sizes,
    )


def count_expected_kinds(
    counts: Ints,
    n_rows: int,
    sizes: Ints,
) -> Floats:
    """Exact expected number of kinds among random rows without replacement, shape (sizes,).

    Hurlbert's rarefaction (1971): a kind that n_t of N rows have is missed by k of them with
    probability C(N - n_t, k) / C(N, k). `counts` are the n_t, shape (kinds,); a row may be of
    several kinds or of none.
    """
    # Kinds of equal count are missed alike, so the probability is computed once per count.
    distinct_counts, n_kinds = np.unique(counts, return_counts=True)
    k = np.minimum(np.asarray(sizes, np.float64), n_rows)[:, None]  # shape (sizes, 1)
    rest = (n_rows - distinct_counts).astype(np.float64)[None, :]
    # With fewer than k rows left without the kind, none of the draws of size k misses it.
    can_miss = rest >= k
    rest_after = np.where(can_miss, rest - k, 0)
    # Logarithms of factorials, because the binomials themselves overflow.
    log_missed = gammaln(rest + 1) - gammaln(rest_after + 1)
    log_missed -= gammaln(n_rows + 1)
    log_missed += gammaln(n_rows - k + 1)
    missed = np.where(can_miss, np.exp(log_missed), 0.0)
    expected = (n_kinds * (1 - missed)).sum(axis=1)
    return np.asarray(expected, np.float64)


def compute_rarefaction(
    x: sparse.csr_array,
    sizes: Sequence[int],
    n_draws: int = 200,
    seed: int = 1,
    level: float = 0.95,
) -> pl.DataFrame:
    """Distinct tags against sample size: size, expected (exact), low and high (from `n_draws`).

    `x` is samples x tags. An interval holds the middle `level` of the draws: the range in which the
    number of tags of one random sample of that size would lie. It narrows to nothing at the whole
    data set, as it should: there is only one such sample.
    """
    n = x.shape[0]
    distinct_sizes = np.unique(np.clip(np.asarray(sizes, np.int64), 0, n))
    counts = np.asarray(x.sum(axis=0)).ravel()
    tags = {str(number): int(count) for number, count in enumerate(counts) if count > 0}
    # How many tags each sample has does not matter here, only how many samples there are.
    profile = TagProfile(counts=tags, lengths={1: n})
    drawn = count_drawn_tags(
        x,
        distinct_sizes,
        n_draws,
        seed,
    )
    tail = (1 - level) / 2
    columns = {
        "size": distinct_sizes,
        "expected": count_expected_tags(profile, distinct_sizes),
        "low": np.quantile(drawn, tail, axis=0),
        "high": np.quantile(drawn, 1 - tail, axis=0),
    }
    return pl.DataFrame(columns)


def count_drawn_tags(
    x: sparse.csr_array,
    sizes: Ints,
    n_draws: int,
    seed: int,
) -> Ints:
    """Distinct tags among the first `sizes` samples of random orders, shape (n_draws, sizes)."""
    rng = np.random.default_rng(seed)
    by_tag = x.tocsc()
    is_used = np.diff(by_tag.indptr) > 0
    # reduceat() needs segments that are not empty, so unused tags are left out.
    starts = by_tag.indptr[:-1][is_used]
    n_distinct = np.zeros((n_draws, len(sizes)), np.int64)
    if len(starts) == 0:
        return n_distinct
    for draw in range(n_draws):
        position = rng.permutation(x.shape[0])
        # A tag is among the first k samples if its earliest sample is.
        earliest = np.minimum.reduceat(position[by_tag.indices], starts)
        n_distinct[draw] = np.searchsorted(np.sort(earliest), sizes, side="left")
    return n_distinct


# Co-occurrence


def rank_cooccurring_tags(
    x: sparse.csr_array,
    names: Sequence[str],
    min_both: int = 5,
    top: int = 100,
) -> pl.DataFrame:
    """The `top` pairs of tags that most often occur together beyond chance.

    Columns: tag, other, n_both, jaccard, npmi. `x` is samples x tags. npmi (normalised pointwise
    mutual information, -1 to 1; Bouma 2009) is 0 for independent tags and 1 for tags that occur
    only together. Pairs with fewer than `min_both` samples are left out. Sorted by npmi, then
    n_both, then names.
    """
    counts = np.asarray(x.sum(axis=0), dtype=np.int64).ravel()
    tag, other, both = _find_frequent_pairs(x, counts, min_both)
    n_either = counts[tag] + counts[other] - both
    npmi = _compute_npmi(
        both,
        counts[tag],
        counts[other],
        x.shape[0],
    )
    columns = {
        "tag": [names[number] for number in tag.tolist()],
        "other": [names[number] for number in other.tolist()],
        "n_both": both,
        "jaccard": both / n_either,
        "npmi": npmi,
    }
    table = pl.DataFrame(columns, COOCCURRENCES)
    ordered = table.sort(
        "npmi",
        "n_both",
        "tag",
        "other",
        descending=[True, True, False, False],
    )
    return ordered.head(top)


def _find_frequent_pairs(
    x: sparse.csr_array,
    counts: Ints,
    min_both: int,
) -> Ints:
    """Tag, other (tag < other) and samples with both, shape (3, pairs)."""
    by_tag = x.T.tocsr()
    frequent = np.flatnonzero(counts >= min_both)
    blocks = [np.zeros((3, 0), np.int64)]
    cooccurrences = association_rules.count_cooccurrences(by_tag, x, frequent)
    for tag, other, both in cooccurrences:
        # The matrix of co-occurrences is symmetric: each pair is taken once.
        kept = tag < other
        kept &= both >= min_both
        block = [
            tag[kept],
            other[kept],
            both[kept],
        ]
        blocks.append(np.stack(block))
    return np.concatenate(blocks, axis=1)


def _compute_npmi(
    both: Ints,
    count: Ints,
    other_count: Ints,
    n: int,
) -> Floats:
    """Normalised pointwise mutual information of pairs of tags, shape (pairs,)."""
    share: Floats = both / n
    surprise = np.log(share)
    surprise -= np.log(count / n)
    surprise -= np.log(other_count / n)
    # Pairs in all samples would divide by log(1) = 0; npmi tends to 1 there.
    in_all = both == n
    share[in_all] = 0.5
    npmi = surprise / -np.log(share)
    npmi[in_all] = 1.0
    return npmi
