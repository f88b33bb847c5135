"""Find the score at which each row would enter or leave the selection by one objective.

The greedy selection takes the row with the largest gain: its expected quality, and the price of its
new tags (`objective`, `tag_coverage`). Midway between the gains of the last row taken and of the
next one lies the gain G that decides. A row is taken if

    quality + price x (its tags that no other row taken has)  >  G

so the quality that decides about it is G less the worth of its tags, and a score is mapped to
quality by a straight line.

What it does not know: that a row which enters changes the gains of others. Quotas, limits and lists
of rows are not taken into account.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import numpy as np
import polars as pl

from tacos.methods.selecting.objective import build_objective
from tacos.methods.selecting.tag_coverage import take_covering


def find_cut_scores(
    scores: pl.DataFrame,
    n: int,
    tags: Mapping[str, Collection[str]],
    reliability: float,
    tag_price: float,
) -> dict[str, float]:
    """Id -> the score at which its membership of the n rows selected changes.

    `scores` has `id` and `score`; rows without a score are left out, and of several scores the best
    counts. `tags`, `reliability` and `tag_price` are those of the selection. Empty where all rows
    are selected, or where scores decide nothing.
    """
    best = scores.drop_nulls("score").group_by("id").agg(pl.col("score").max())
    ranked = best.sort("score", "id", descending=[True, False])
    ids = ranked["id"].to_list()
    score = ranked["score"].to_numpy()
    if not 0 < n < len(ids) or score[0] == score[-1]:
        return {}
    quality, price = build_objective(score, reliability, tag_price)
    points_per_score = float(quality[0] - quality[-1]) / float(score[0] - score[-1])
    if points_per_score <= 0:
        return {}

    rows = [(id_, 0, float(points)) for id_, points in zip(ids, quality, strict=True)]
    places = take_covering(rows, n + 1, None, tags, price)
    selected = [ids[place] for place in places[:n]]
    n_carriers = Counter(tag for id_ in selected for tag in set(tags.get(id_, ())))

    def count_new_tags(id_: str, n_own: int) -> int:
        """Tags of a row that no other row selected has; it is counted `n_own` times itself."""
        return sum(n_carriers[tag] == n_own for tag in set(tags.get(id_, ())))

    is_selected = set(selected)
    bonus = np.array([count_new_tags(id_, int(id_ in is_selected)) for id_ in ids])
    gain = quality + price * bonus
    last, following = places[n - 1], places[n]
    deciding_gain = float(gain[last] + gain[following]) / 2
    deciding_quality = deciding_gain - price * bonus
    cuts = score + (deciding_quality - quality) / points_per_score
    return dict(zip(ids, cuts.tolist(), strict=True))
