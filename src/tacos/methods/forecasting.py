"""How many rows and questions each stage will have, before it runs: upper bounds from the number of samples and turns.

How many clusters there will be, and which of them are small, is known only after tagging, so these are bounds, not
estimates: a shortlist cannot be larger than the pool, nor a comparison graph than its shortlist allows.
"""

from __future__ import annotations

import math

from tacos.config import Settings

MEMBERSHIPS_PER_SAMPLE = 6
"""The embedded tagger gives at most six tags, so a sample is in at most six clusters (membership "every")."""


def n_questions(settings: Settings, n_samples: int, n_turns: int) -> dict[str, int]:
    """Stage -> largest number of questions over all rounds; stages without questions are absent."""
    n_pairs = max_pairs(settings, max_shortlisted(settings, n_samples))
    n_sittings = len(settings.judge.panel) * settings.judge.repetitions
    if settings.judge.mode == "singleton":
        return {"tag": n_turns, "grade": n_sittings * n_samples}
    found = {"tag": n_turns, "judge": 2 * n_pairs * n_sittings}
    if settings.shortlist.rule == "embedded-judge":
        found["grade"] = n_samples
    return found


def max_shortlisted(settings: Settings, n_samples: int) -> int:
    """The largest shortlist, in rows per (sample, cluster)."""
    every = n_samples * (MEMBERSHIPS_PER_SAMPLE if settings.cluster.membership == "every" else 1)
    if settings.shortlist.rule in {"all", "longest-per-tag-set"}:
        return every
    n_clusters = settings.cluster.k if isinstance(settings.cluster.k, int) else 50
    return min(every, math.ceil(settings.shortlist.factor * settings.select.n) + n_clusters)


def max_pairs(settings: Settings, n_shortlisted: int) -> int:
    """The largest number of pairs over all rounds."""
    if settings.pair.method == "neighbour":
        return n_shortlisted // 2
    n_clusters = settings.cluster.k if isinstance(settings.cluster.k, int) else 50
    return n_shortlisted + settings.pair.bridges * n_clusters + (settings.pair.rounds - 1) * (n_shortlisted // 2)
