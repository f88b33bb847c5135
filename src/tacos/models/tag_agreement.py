"""Measures how well two taggings of the same instructions agree: tag F1 with intervals.

- Exact: tags match if their words are the same, whatever the case.
- Fuzzy: tags match if the cosine of their sentence vectors is at least 0.8; matches are one to one,
  the closest pair first. InsTagger was measured like this (arXiv 2308.07074, by phrase cosine).

Two empty taggings agree fully. A cosine says little about negation or names, so a fuzzy match does
not prove that two tags mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from tacos.records import Encoder

FUZZY = 0.8
Vectors = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float64]
Tags = Sequence[str]
Figures = dict[str, Any]


@dataclass(frozen=True)
class MatchCounts:
    """Per instruction, the number of tags that match and of tags on both sides together."""

    hits: Numbers
    totals: Numbers

    def micro(self) -> float:
        """Micro F1, 2 hits / totals over all instructions; NaN if there is no tag at all."""
        total = self.totals.sum()
        if not total:
            return float("nan")
        return float(2 * self.hits.sum() / total)

    def macro(self) -> float:
        """Macro F1, the mean of 2 hits / totals per instruction; an instruction without tags has 1.

        NaN if there is no instruction.
        """
        if not len(self.hits):
            return float("nan")
        shares = np.divide(
            2 * self.hits,
            self.totals,
            out=np.ones_like(self.hits),
            where=self.totals > 0,
        )
        return float(shares.mean())

    def interval(
        self,
        groups: Sequence[int] | None = None,
        n_draws: int = 1000,
        seed: int = 0,
    ) -> tuple[float, float]:
        """95% interval of `micro` by the bootstrap: instructions are drawn with replacement.

        `groups` gives each instruction a group; those of one group are drawn together.
        """
        if groups is None:
            group_of_row = np.arange(len(self.hits))
        else:
            _, group_of_row = np.unique(groups, return_inverse=True)
        # Summed once per group, so that a draw adds up few numbers.
        hits = np.bincount(group_of_row, self.hits)
        totals = np.bincount(group_of_row, self.totals)

        rng = np.random.default_rng(seed)
        n_groups = len(hits)
        draws = rng.integers(
            0,
            n_groups,
            (n_draws, n_groups),
        )
        values = []
        for drawn_groups in draws:
            drawn_hits = hits[drawn_groups].sum()
            drawn_total = totals[drawn_groups].sum()
            # A draw may have no tag at all.
            divisor = max(drawn_total, 1)
            values.append(2 * drawn_hits / divisor)
        low, high = np.quantile(values, [0.025, 0.975])
        return float(low), float(high)


def count_exact_matches(
    a: Sequence[Tags],
    b: Sequence[Tags],
) -> MatchCounts:
    """Count tags that match by their words; each tag counts once per instruction.

    >>> count_exact_matches([["SQL", "Joins"]], [["sql"]]).micro()
    0.6666666666666666
    """
    hits = []
    totals = []
    rows = zip(
        a,
        b,
        strict=True,
    )
    for tags_a, tags_b in rows:
        names_a = lowercase_tags(tags_a)
        names_b = lowercase_tags(tags_b)
        shared = set(names_a).intersection(names_b)
        total = len(names_a) + len(names_b)
        hits.append(len(shared))
        totals.append(total)
    return MatchCounts(
        np.array(hits, dtype=np.float64),
        np.array(totals, dtype=np.float64),
    )


def count_fuzzy_matches(
    a: Sequence[Tags],
    b: Sequence[Tags],
    encoder: Encoder,
) -> MatchCounts:
    """Count tags that match one to one at a cosine of `FUZZY` or more.

    Use MiniLM as the encoder, if the figures are to be comparable with others.
    """
    names_a = [lowercase_tags(tags) for tags in a]
    names_b = [lowercase_tags(tags) for tags in b]
    rows = list(zip(names_a, names_b, strict=True))

    # Each tag is encoded once. A dictionary, because it keeps the order.
    distinct: dict[str, None] = {}
    for row_a, row_b in rows:
        names = [*row_a, *row_b]
        distinct.update(dict.fromkeys(names))
    encoded = encoder.encode(list(distinct))
    vectors = dict(zip(distinct, encoded, strict=True))

    hits: list[int] = []
    totals: list[int] = []
    for row_a, row_b in rows:
        n_matches = _count_closest_pairs(row_a, row_b, vectors)
        hits.append(n_matches)
        totals.append(len(row_a) + len(row_b))
    return MatchCounts(
        np.array(hits, dtype=np.float64),
        np.array(totals, dtype=np.float64),
    )


def _count_closest_pairs(
    a: Sequence[str],
    b: Sequence[str],
    vectors: Mapping[str, Vectors],
) -> int:
    """Count the tags that match one to one, the closest pair first."""
    if not a or not b:
        return 0
    vectors_a = np.array([vectors[tag] for tag in a])
    vectors_b = np.array([vectors[tag] for tag in b])
    cosines = vectors_a @ vectors_b.T  # (len(a), len(b))
    n_columns = len(b)
    n_matches = 0
    while cosines.max() >= FUZZY:
        closest = int(cosines.argmax())
        row, column = divmod(closest, n_columns)
        # Neither tag may match again.
        cosines[row] = -1
        cosines[:, column] = -1
        n_matches += 1
    return n_matches


def lowercase_tags(tags: Tags) -> list[str]:
    """Return tags in lower case with single blanks, each once.

    >>> lowercase_tags(["SQL", " sql", "Query  Plans"])
    ['sql', 'query plans']
    """
    names = map(lowercase_tag, tags)
    return list(dict.fromkeys(names))


def lowercase_tag(tag: str) -> str:
    """Return a tag in lower case with single blanks, the form in which tags are compared.

    >>> lowercase_tag(" Machine  Learning ")
    'machine learning'
    """
    return " ".join(tag.lower().split())


def measure_tag_agreement(
    a: Sequence[Tags],
    b: Sequence[Tags],
    encoder: Encoder,
    groups: Sequence[int] | None = None,
) -> Figures:
    """Measure exact and fuzzy agreement: micro F1 with its interval, macro F1; four decimals."""
    exact = count_exact_matches(a, b)
    fuzzy = count_fuzzy_matches(a, b, encoder)
    return {
        "exact": _summarise_counts(exact, groups),
        "fuzzy": _summarise_counts(fuzzy, groups),
    }


def _summarise_counts(
    counts: MatchCounts,
    groups: Sequence[int] | None,
) -> Figures:
    low, high = counts.interval(groups)
    return {
        "micro": round(counts.micro(), 4),
        "interval": [round(low, 4), round(high, 4)],
        "macro": round(counts.macro(), 4),
    }


def bin_reliability(
    confidences: Sequence[float],
    right: Sequence[float],
    edges: Sequence[float],
) -> list[Figures]:
    """Compare confidences with outcomes in bins [edge, next edge), empty bins left out.

    Each bin gives the mean confidence ("said"), the mean of `right` and the count ("n").

    >>> bin_reliability([0.9, 0.8, 0.2], [True, False, False], [0, 0.5, 1.01])[1]
    {'said': 0.85, 'right': 0.5, 'n': 2}
    """
    said = np.asarray(confidences, dtype=np.float64)
    outcome = np.asarray(right, dtype=np.float64)
    bins: list[Figures] = []
    for low, high in pairwise(edges):
        inside = (said >= low) & (said < high)
        if not inside.any():
            continue
        mean_said = said[inside].mean()
        mean_outcome = outcome[inside].mean()
        bins.append(
            {
                "said": round(float(mean_said), 3),
                "right": round(float(mean_outcome), 3),
                "n": int(inside.sum()),
            }
        )
    return bins


def calibration_error(
    confidences: Sequence[float],
    right: Sequence[bool],
    n_bins: int = 10,
) -> float:
    """Expected calibration error: the mean of |confidence - share right| over bins of equal width.

    Bins are weighted by their size (Naeini et al., 2015).

    >>> round(calibration_error([0.9, 0.9], [True, False]), 3)
    0.4
    """
    said = np.asarray(confidences, dtype=np.float64)
    outcome = np.asarray(right, dtype=np.float64)
    bin_numbers = (said * n_bins).astype(np.int64)
    # A confidence of 1 belongs to the last bin.
    bin_of_tag = np.minimum(bin_numbers, n_bins - 1)
    said_in_bin = np.bincount(
        bin_of_tag,
        said,
        n_bins,
    )
    right_in_bin = np.bincount(
        bin_of_tag,
        outcome,
        n_bins,
    )
    # A bin's weight is its size, so its sums are compared, not its means.
    gaps = np.abs(said_in_bin - right_in_bin)
    n_tags = max(len(said), 1)
    return float(gaps.sum() / n_tags)
