"""Diversity, complexity and overlap of tagged data sets (InsTag, section 4, figure 2), and how they
depend on size.

Diversity is the share of the joint tag set of all data sets compared that one of them covers;
complexity the mean number of tags per query, samples without a tag counted in. Both depend on which
data sets stand in the comparison, and diversity on size: a larger data set covers more. So
`compute_rarefaction` gives the coverage expected of a random sample of any size, exactly, and `summarise_profiles` the
coverage of each data set at the size of the smallest.

It does not know whether a tag is right (`checking` asks that), nor whether two tags mean the same
(`normalising`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse
from scipy.special import gammaln

from tacos.errors import InputError
from tacos.methods.tags import association_rules

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TagProfile:
    """What the measures need of one data set; its size does not depend on the number of samples."""

    counts: Mapping[str, int]
    """Samples per tag."""
    lengths: Mapping[int, int]
    """Samples per number of distinct tags."""

    @property
    def n_samples(self) -> int:
        """All samples, those without a tag included."""
        return sum(self.lengths.values())

    @property
    def n_untagged(self) -> int:
        """Samples without a tag."""
        return self.lengths.get(0, 0)

    @property
    def complexity(self) -> float:
        """Mean number of distinct tags per sample."""
        return sum(self.counts.values()) / max(1, self.n_samples)

    @property
    def complexity_error(self) -> float:
        """Standard error of `complexity`."""
        n, mean = self.n_samples, self.complexity
        squares = sum(samples * (length - mean) ** 2 for length, samples in self.lengths.items())
        return float(np.sqrt(squares / max(1, n - 1) / max(1, n)))


def build_tag_profile(frames: pl.DataFrame | Iterable[pl.DataFrame]) -> TagProfile:
    """The profile of a data set from frames (id, tags), read one after the other."""
    counts: Counter[str] = Counter()
    lengths: Counter[int] = Counter()
    for frame in [frames] if isinstance(frames, pl.DataFrame) else frames:
        tags = frame.select(pl.col("tags").list.drop_nulls().list.unique())["tags"]
        for length, n in tags.list.len().value_counts().rows():
            lengths[length] += n
        for tag, n in tags.explode().drop_nulls().value_counts().rows():
            counts[tag] += n
    return TagProfile(dict(sorted(counts.items())), dict(sorted(lengths.items())))


def collect_joint_tags(profiles: Iterable[TagProfile]) -> frozenset[str]:
    """The tags of all data sets."""
    return frozenset(tag for one in profiles for tag in one.counts)


def summarise_profiles(profiles: Mapping[str, TagProfile]) -> pl.DataFrame:
    """One row per data set: sizes, coverage of the joint tag set (diversity), complexity.

    `coverage_same_size` is the coverage expected of a random sample as large as the smallest of the
    data sets. Raises `InputError` where there are no tags at all.
    """
    joint = collect_joint_tags(profiles.values())
    if not joint:
        raise InputError("none of the data sets has a tag, so there is nothing to measure")
    least = min(one.n_samples for one in profiles.values())
    rows = [
        {
            "data": name,
            "n_samples": one.n_samples,
            "n_untagged": one.n_untagged,
            "n_tags": len(one.counts),
            "coverage": len(one.counts) / len(joint),
            "coverage_same_size": float(count_expected_tags(one, np.array([least]))[0])
            / len(joint),
            "complexity": one.complexity,
            "complexity_error": one.complexity_error,
        }
        for name, one in profiles.items()
    ]
    return pl.DataFrame(rows)


def tag_recall_matrix(profiles: Mapping[str, TagProfile]) -> pl.DataFrame:
    """Tag recall between data sets: row A, column B holds the share of B's tags that A has too."""
    tags = {name: frozenset(one.counts) for name, one in profiles.items()}
    columns = {b: [len(tags[a] & tags[b]) / max(1, len(tags[b])) for a in tags] for b in tags}
    return pl.DataFrame({"data": list(tags)} | columns)


def tabulate_frequencies(one: TagProfile) -> pl.DataFrame:
    """Tags by falling frequency: rank, tag, count, share of samples, cumulative share of all
    occurrences.
    """
    columns = {"tag": list(one.counts), "count": list(one.counts.values())}
    table = pl.DataFrame(columns, {"tag": pl.String(), "count": pl.Int64()})
    share = (pl.col("count") / max(1, one.n_samples)).alias("share")
    cumulative = (pl.col("count").cum_sum() / pl.col("count").sum()).alias("cumulative")
    ordered = table.sort("count", "tag", descending=[True, False])
    return ordered.with_columns(share, cumulative).with_row_index("rank", offset=1)


def count_expected_tags(one: TagProfile, sizes: Ints) -> Floats:
    """The exact expected number of distinct tags in random samples of the given sizes, drawn
    without replacement.

    Hurlbert's rarefaction: a tag of n_t among N samples is missed by k of them with probability C(N
    - n_t, k) / C(N, k). Sizes above N count as N.
    """
    n = one.n_samples
    k = np.minimum(np.asarray(sizes, np.float64), n)[:, None]
    counts, how_many = np.unique(
        np.fromiter(one.counts.values(), np.int64, len(one.counts)), return_counts=True
    )
    rest = (n - counts).astype(np.float64)[None, :]
    possible = rest >= k
    log_missed = (
        gammaln(rest + 1)
        - gammaln(np.where(possible, rest - k, 0) + 1)
        - gammaln(n + 1)
        + gammaln(n - k + 1)
    )
    missed = np.where(possible, np.exp(log_missed), 0.0)
    return np.asarray((how_many * (1 - missed)).sum(axis=1), np.float64)


def compute_rarefaction(
    x: sparse.csr_array,
    sizes: Sequence[int],
    n_draws: int = 200,
    seed: int = 1,
    level: float = 0.95,
) -> pl.DataFrame:
    """Distinct tags against sample size: size, expected (exact), low and high (of `n_draws` orders
    of the samples).

    `x` is samples x tags. An interval holds the middle `level` of the draws: where the number of
    tags of one random sample of that size would lie. It narrows to nothing at the whole data set,
    which is right: there is only one such sample.
    """
    n = x.shape[0]
    counts = np.asarray(x.sum(axis=0)).ravel()
    tags = {str(i): int(count) for i, count in enumerate(counts) if count > 0}
    wanted = np.unique(np.clip(np.asarray(sizes, np.int64), 0, n))
    drawn = count_drawn_tags(x, wanted, n_draws, seed)
    tail = (1 - level) / 2
    columns = {
        "size": wanted,
        "expected": count_expected_tags(TagProfile(tags, {1: n}), wanted),
        "low": np.quantile(drawn, tail, axis=0),
        "high": np.quantile(drawn, 1 - tail, axis=0),
    }
    return pl.DataFrame(columns)


def count_drawn_tags(x: sparse.csr_array, sizes: Ints, n_draws: int, seed: int) -> Ints:
    """Distinct tags among the first `sizes` samples of random orders, shape (n_draws, len(sizes))."""
    rng = np.random.default_rng(seed)
    by_tag = x.tocsc()
    starts = by_tag.indptr[:-1][np.diff(by_tag.indptr) > 0]
    found = np.zeros((n_draws, len(sizes)), np.int64)
    for draw in range(n_draws if len(starts) else 0):
        place = rng.permutation(x.shape[0])
        first = np.sort(np.minimum.reduceat(place[by_tag.indices], starts))
        found[draw] = np.searchsorted(first, sizes, side="left")
    return found


def rank_cooccurring_tags(
    x: sparse.csr_array, names: Sequence[str], min_both: int = 5, top: int = 100
) -> pl.DataFrame:
    """The pairs of tags that most often stand together beyond chance: tag, other, n_both, jaccard,
    npmi.

    npmi (normalised pointwise mutual information, -1 to 1) is 0 for independent tags and 1 for tags
    that only stand together. Pairs with fewer than `min_both` samples are left out; sorted by npmi,
    then n_both, then names.
    """
    n, counts = x.shape[0], np.asarray(x.sum(axis=0), dtype=np.int64).ravel()
    focus = np.flatnonzero(counts >= min_both)
    found = [np.zeros((3, 0), np.int64)]
    for tag, other, both in association_rules.count_cooccurrences(x.T.tocsr(), x, focus):
        keep = (both >= min_both) & (tag < other)
        found.append(np.stack([tag[keep], other[keep], both[keep]]))
    tag, other, both = np.concatenate(found, axis=1)
    surprise = np.log(both / n) - np.log(counts[tag] / n) - np.log(counts[other] / n)
    everywhere = both == n
    npmi = np.where(everywhere, 1.0, surprise / -np.log(np.where(everywhere, 0.5, both / n)))
    columns = {
        "tag": [names[i] for i in tag.tolist()],
        "other": [names[i] for i in other.tolist()],
        "n_both": both,
        "jaccard": both / (counts[tag] + counts[other] - both),
        "npmi": npmi,
    }
    schema = {
        "tag": pl.String,
        "other": pl.String,
        "n_both": pl.Int64,
        "jaccard": pl.Float64,
        "npmi": pl.Float64,
    }
    table = pl.DataFrame(columns, schema)
    return table.sort("npmi", "n_both", "tag", "other", descending=[True, True, False, False]).head(
        top
    )


def measure_coverage(rows: Iterable[Collection[str]], joint: Collection[str]) -> float:
    """The share of the tags in `joint` that some of the rows have."""
    wanted = frozenset(joint)
    return len(wanted & {tag for row in rows for tag in row}) / max(1, len(wanted))
