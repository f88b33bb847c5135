"""How well two taggings of the same instructions agree: tag F1, exact and fuzzy, micro and macro,
with intervals.

Exact: the same words, whatever the case. Fuzzy: two tags match where the cosine of their sentence
vectors is at least
0.8; matches are one to one, the closest pair first (as InsTagger was measured, arXiv 2308.07074, by
phrase cosine). Two empty taggings agree fully. A cosine says little about negation or names, so
fuzzy is no proof of the same meaning.
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
Tags = Sequence[str]
Figures = dict[str, Any]


@dataclass(frozen=True)
class MatchCounts:
    """Per instruction: tags that match, tags given by either side (both sides added up)."""

    hits: npt.NDArray[np.float64]
    totals: npt.NDArray[np.float64]

    def micro(self) -> float:
        """2 hits / totals over all instructions; NaN where there is no tag at all."""
        return float(2 * self.hits.sum() / self.totals.sum()) if self.totals.sum() else float("nan")

    def macro(self) -> float:
        """The mean over instructions of 2 hits / totals; 1 where neither side gives a tag."""
        share = np.divide(
            2 * self.hits, self.totals, out=np.ones_like(self.hits), where=self.totals > 0
        )
        return float(share.mean()) if len(share) else float("nan")

    def interval(
        self, groups: Sequence[int] | None = None, n_draws: int = 1000, seed: int = 0
    ) -> tuple[float, float]:
        """95% interval of `micro`, by drawing instructions with replacement; rows of one group are
        drawn together.
        """
        rng = np.random.default_rng(seed)
        group = (
            np.arange(len(self.hits))
            if groups is None
            else np.unique(groups, return_inverse=True)[1]
        )
        hits, totals = np.bincount(group, self.hits), np.bincount(group, self.totals)
        draws = rng.integers(0, len(hits), (n_draws, len(hits)))
        drawn = [2 * hits[rows].sum() / max(totals[rows].sum(), 1) for rows in draws]
        low, high = np.quantile(drawn, [0.025, 0.975])
        return float(low), float(high)


def count_exact_matches(a: Sequence[Tags], b: Sequence[Tags]) -> MatchCounts:
    """Counts where tags match by their words; each tag counts once per instruction.

    >>> count_exact_matches([["SQL", "Joins"]], [["sql"]]).micro()
    0.6666666666666666
    """
    rows = [(lowercase_tags(x), lowercase_tags(y)) for x, y in zip(a, b, strict=True)]
    return MatchCounts(
        np.array([len(set(x) & set(y)) for x, y in rows], dtype=np.float64),
        np.array([len(x) + len(y) for x, y in rows], dtype=np.float64),
    )


def count_fuzzy_matches(a: Sequence[Tags], b: Sequence[Tags], encoder: Encoder) -> MatchCounts:
    """Counts where tags match one to one at a cosine of `FUZZY` or more, by the encoder (MiniLM, to
    be comparable).
    """
    rows = [(lowercase_tags(x), lowercase_tags(y)) for x, y in zip(a, b, strict=True)]
    names = list(dict.fromkeys(tag for x, y in rows for tag in (*x, *y)))
    vectors = dict(zip(names, encoder.encode(names), strict=True))
    return MatchCounts(
        np.array([_count_closest_pairs(x, y, vectors) for x, y in rows], dtype=np.float64),
        np.array([len(x) + len(y) for x, y in rows], dtype=np.float64),
    )


def _count_closest_pairs(a: Sequence[str], b: Sequence[str], vectors: Mapping[str, Vectors]) -> int:
    """How many tags match one to one, the closest pair first."""
    if not a or not b:
        return 0
    cosines = np.array([vectors[tag] for tag in a]) @ np.array([vectors[tag] for tag in b]).T
    n = 0
    while cosines.max() >= FUZZY:
        row, column = divmod(int(cosines.argmax()), cosines.shape[1])
        cosines[row], cosines[:, column] = -1, -1
        n += 1
    return n


def lowercase_tags(tags: Tags) -> list[str]:
    """Tags in lower case with single blanks, each once."""
    return list(dict.fromkeys(" ".join(tag.lower().split()) for tag in tags))


def measure_tag_agreement(
    a: Sequence[Tags], b: Sequence[Tags], encoder: Encoder, groups: Sequence[int] | None = None
) -> Figures:
    """Exact and fuzzy: micro F1 with its interval, and macro F1; four decimals."""
    out = {}
    for name, counts in (
        ("exact", count_exact_matches(a, b)),
        ("fuzzy", count_fuzzy_matches(a, b, encoder)),
    ):
        low, high = counts.interval(groups)
        out[name] = {
            "micro": round(counts.micro(), 4),
            "interval": [round(low, 4), round(high, 4)],
            "macro": round(counts.macro(), 4),
        }
    return out


def bin_reliability(
    confidences: Sequence[float], right: Sequence[float], edges: Sequence[float]
) -> list[Figures]:
    """For the confidences in each [edge, next edge): their mean ("said"), the mean of `right`, and
    how many ("n").

    >>> bin_reliability([0.9, 0.8, 0.2], [True, False, False], [0, 0.5, 1.01])[1]
    {'said': 0.85, 'right': 0.5, 'n': 2}
    """
    p, hit = np.asarray(confidences, dtype=np.float64), np.asarray(right, dtype=np.float64)
    bins = [(p >= low) & (p < high) for low, high in pairwise(edges)]
    return [
        {
            "said": round(float(p[m].mean()), 3),
            "right": round(float(hit[m].mean()), 3),
            "n": int(m.sum()),
        }
        for m in bins
        if m.any()
    ]


def calibration_error(
    confidences: Sequence[float], right: Sequence[bool], n_bins: int = 10
) -> float:
    """Expected calibration error: mean |confidence - share right| over bins of equal width,
    weighted by their size.

    >>> round(calibration_error([0.9, 0.9], [True, False]), 3)
    0.4
    """
    p, hit = np.asarray(confidences, dtype=np.float64), np.asarray(right, dtype=np.float64)
    bins = np.minimum((p * n_bins).astype(np.int64), n_bins - 1)
    gaps = np.abs(np.bincount(bins, p, n_bins) - np.bincount(bins, hit, n_bins))
    return float(gaps.sum() / max(len(p), 1))
