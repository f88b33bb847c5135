"""How far random selections vary in the tags that they cover and in the tags of a row.

The expected values are exact (`selection_figures`); how far a selection may lie from them by chance
has no simple formula, since the tags of a row come together, so random rows are drawn.

What it does not know: whether more tags are better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tacos.methods.selecting.row_tags import RowTags

MOST_DRAWS = 200
FEWEST_DRAWS = 20
N_ROWS_DRAWN = 4_000_000
"""Rows of all draws together: of large selections there are fewer draws."""
LEVEL = 0.95
DECIMALS = 3
"""Shares are shown as 12.3%; what is the same when shown is no difference."""


@dataclass(frozen=True)
class RandomRange:
    """Where the middle 95% of random selections lie: (low, high)."""

    n_draws: int
    coverage: tuple[float, float]
    mean_tags: tuple[float, float]

    def place_coverage(self, coverage: float) -> Literal["below", "inside", "above"]:
        """Where a share of tags lies, its ends included.

        >>> chance = RandomRange(200, (0.484, 0.531), (2.0, 3.0))
        >>> [chance.place_coverage(share) for share in (0.4834, 0.4836, 0.488, 0.54)]
        ['below', 'inside', 'inside', 'above']
        """
        low, high = (round(end, DECIMALS) for end in self.coverage)
        shown = round(coverage, DECIMALS)
        if shown < low:
            return "below"
        return "above" if shown > high else "inside"


def measure_random_range(
    tags: RowTags,
    is_known: npt.NDArray[np.bool_],
    n: int,
    seed: int,
) -> RandomRange | None:
    """Coverage and tags per row of `n` random rows, from draws; `tags` are those of the rows of the
    pool, of which some are not known, shape (rows,). None where no row is drawn or none has a tag.
    """
    numbers, starts = tags.numbers, tags.starts
    if not len(numbers) or n == 0:
        return None
    lengths = tags.count_tags()
    n_draws = int(np.clip(N_ROWS_DRAWN // n, FEWEST_DRAWS, MOST_DRAWS))
    rng = np.random.default_rng(seed)
    coverage = np.zeros(n_draws)
    mean_tags = np.zeros(n_draws)
    for draw in range(n_draws):
        rows = rng.choice(
            len(lengths), min(n, len(lengths)), replace=False, shuffle=False
        )
        is_covered = np.zeros(tags.n_tags, bool)
        own = lengths[rows].astype(np.int64)
        # The places of all tags of the rows drawn, one row after the other
        ends = np.cumsum(own)
        offsets = np.arange(ends[-1]) - np.repeat(ends - own, own)
        is_covered[numbers[np.repeat(starts[rows], own) + offsets]] = True
        coverage[draw] = is_covered.mean()
        mean_tags[draw] = own.sum() / max(int(is_known[rows].sum()), 1)
    return RandomRange(n_draws, _find_middle(coverage), _find_middle(mean_tags))


def _find_middle(values: Any) -> tuple[float, float]:
    """The middle of some draws."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
