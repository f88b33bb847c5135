"""How many rows and questions each stage will have, before it runs: upper bounds from the number of
samples and turns.

How many clusters there will be, and which of them are small, is known only after tagging, so these
are bounds, not estimates: a shortlist cannot be larger than the pool, nor a comparison graph than
its shortlist allows.
"""

from __future__ import annotations

import math
from typing import Literal

from tacos.config import CascadeSettings, Settings

PILOT = 10
"""An active opening asks every tenth pair in both orders."""
MEMBERSHIPS_PER_SAMPLE = 6
"""The embedded tagger gives at most six tags, so a sample is in at most six clusters (membership
"every").
"""

PARTS: tuple[Literal["per_source", "per_tag"], ...] = ("per_source", "per_tag")
SPARE = 100
"""Rows by which rounding up the share of each group may enlarge a shortlist."""


def count_questions(
    settings: Settings, n_samples: int, n_turns: int, n_wanted: int
) -> dict[str, int]:
    """Stage -> largest number of questions over all rounds; stages without questions are absent.

    `n_wanted` is the number of rows that the size of the selection comes to.
    """
    n_requests = _bound_judge_requests(settings, _bound_shortlist(settings, n_samples, n_wanted))
    n_sittings = len(settings.judge.panel) * settings.judge.repetitions
    tagging = _count_tag_questions(settings.cascade, n_turns)
    if settings.judge.mode == "singleton":
        return {**tagging, "grade": n_sittings * n_samples}
    found = {**tagging, "judge": n_requests * n_sittings}
    if settings.shortlist.rule == "embedded-judge":
        found["grade"] = n_samples
    return found


def _count_tag_questions(cascade: CascadeSettings, n_turns: int) -> dict[str, int]:
    """The questions of tagging: all at once, or those of a cascade."""
    if not cascade.sample:
        return {"tag": n_turns}
    n_drawn = min(cascade.sample, n_turns)
    return {"tag-sample": n_drawn, "tag": cascade.n_again(n_turns - n_drawn)}


def _bound_shortlist(settings: Settings, n_samples: int, n_wanted: int) -> int:
    """The largest shortlist, in rows per (sample, cluster)."""
    config = settings.shortlist
    per_sample = MEMBERSHIPS_PER_SAMPLE if settings.cluster.membership == "every" else 1
    n_clusters = settings.cluster.k if isinstance(settings.cluster.k, int) else 50
    every = n_samples * per_sample
    if config.cap:
        every = min(every, config.cap * (n_clusters + 1))
    if config.rule in {"all", "longest-per-tag-set"}:
        return every
    reserved = (
        _count_reserves(settings) * (math.ceil(config.factor * n_wanted) + SPARE) * per_sample
    )
    return min(every, math.ceil(config.factor * n_wanted) + n_clusters + reserved)


def _count_reserves(settings: Settings) -> int:
    """How often the whole selection is shared out by quotas that must be filled: each time the
    shortlist may grow.
    """
    config = settings.select
    exact = {name: sum(not part.at_most for part in config.parts(name).values()) for name in PARTS}
    return config.match_length + min(exact["per_source"], 1) + exact["per_tag"]


def _bound_judge_requests(settings: Settings, n_shortlisted: int) -> int:
    """The largest number of requests per judge and repetition over all rounds; a pair in both
    orders is two.
    """
    config = settings.pair
    n_clusters = settings.cluster.k if isinstance(settings.cluster.k, int) else 50
    n_bridges = config.bridges * n_clusters
    if (
        config.method == "active"
    ):  # never more than the opening and bridges, or the budget, each cluster rounded up
        opening = n_shortlisted + n_shortlisted // PILOT + n_clusters
        rest = math.ceil(config.budget * n_shortlisted) + n_clusters * config.n_rounds
        return max(opening, rest) + 2 * n_bridges
    if config.method == "neighbour":
        return 2 * (n_shortlisted // 2)
    return 2 * (n_shortlisted + n_bridges + (config.n_rounds - 1) * (n_shortlisted // 2))
