"""Bounds the number of questions each stage will ask, before the run starts.

How many clusters there are, and which of them are small, is known only after tagging. So these are
upper bounds, not estimates: a shortlist cannot be larger than the pool, nor a comparison graph
larger than its shortlist allows.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from tacos.config import CascadeSettings, NormaliseSettings, Settings
from tacos.methods.judging.pairing.joining_rows import MIN_ANCHORS, ROWS_PER_ANCHOR
from tacos.methods.tags import tag_matching

PILOT = 10
"""In an active opening, every tenth pair is asked in both orders."""
MEMBERSHIPS_PER_SAMPLE = 6
"""The embedded tagger gives at most six tags, so a sample is in at most six clusters when
`cluster.membership` is "every".
"""
MAX_AUTO_CLUSTERS = 50
"""Clusters to reckon with when `cluster.k` is chosen automatically."""

UNGRADED = frozenset({"all", "longest-per-tag-set", "random"})
"""Shortlist rules that need no grades."""
PARTS: tuple[Literal["per_source", "per_tag"], ...] = ("per_source", "per_tag")
SPARE = 100
"""Rows by which rounding up the share of each group may enlarge a shortlist."""


class KnownRows(NamedTuple):
    """What is known of the samples of a run that extends `n_runs` others: how many of them these
    runs have, the answers to grading questions about them, whether they were compared, by the
    judge that compares now, and how many clusters stay (None: they are made anew).
    """

    n_samples: int = 0
    n_grades: int = 0
    is_compared: bool = False
    n_runs: int = 0
    n_clusters: int | None = None


NOTHING_KNOWN = KnownRows()


def count_questions(
    settings: Settings,
    n_samples: int,
    n_turns: int,
    n_wanted: int,
    known: KnownRows = NOTHING_KNOWN,
) -> dict[str, int]:
    """Stage -> largest number of questions over all rounds; stages without questions are absent.

    `judge.mode` and `judge.close` are resolved; `n_turns` are those that have no tags, `n_wanted`
    is the size of the selection in rows.
    """
    questions = _count_tag_questions(settings.cascade, n_turns)
    if settings.normalise.model and not settings.normalise.vocabulary:
        questions["match"] = _bound_match_requests(settings.normalise)
    n_judges = len(settings.judge.panel)
    n_verdicts = n_judges * settings.judge.repetitions
    if settings.judge.mode == "singleton":
        questions["grade"] = n_verdicts * n_samples - known.n_grades
        if settings.judge.close == "on":
            n_reread = bound_reread_rows(settings, n_samples, n_wanted)
            questions["reread"] = n_reread
        return questions
    n_shortlisted = _bound_shortlist(
        settings,
        settings.shortlist.factor,
        n_samples,
        n_wanted,
    )
    n_requests = _bound_judge_requests(settings, n_shortlisted)
    if known.is_compared:
        n_joining = _bound_joining_requests(
            settings,
            n_samples,
            n_wanted,
            n_shortlisted,
            known,
        )
        n_requests = min(n_requests, n_joining)
    questions["judge"] = n_requests * n_verdicts
    if settings.shortlist.rule not in UNGRADED:
        questions["grade"] = n_samples - known.n_grades
    return questions


def _count_tag_questions(
    cascade: CascadeSettings,
    n_turns: int,
) -> dict[str, int]:
    """Questions of the tagging stages, with or without a cascade."""
    if not cascade.sample:
        return {"tag": n_turns}
    n_drawn = min(cascade.sample, n_turns)
    n_asked_again = cascade.n_again(n_turns - n_drawn)
    return {
        "tag-sample": n_drawn,
        "tag": n_asked_again,
    }


def _bound_match_requests(config: NormaliseSettings) -> int:
    """The most requests about pairs of tags, however many tags there are."""
    n_digits = tag_matching.choose_prefix(config.max_pairs, config.pairs_per_request)
    return int(2**n_digits)


def bound_reread_rows(
    settings: Settings,
    n_samples: int,
    n_wanted: int,
) -> int:
    """The most rows that the slow tier of the embedded judge reads: each once."""
    n_shortlisted = _bound_shortlist(
        settings,
        settings.shortlist.close_factor,
        n_samples,
        n_wanted,
    )
    return min(n_samples, n_shortlisted)


def _bound_shortlist(
    settings: Settings,
    factor: float,
    n_samples: int,
    n_wanted: int,
) -> int:
    """The largest possible shortlist, in rows (sample, cluster)."""
    config = settings.shortlist
    n_clusters = _bound_clusters(settings)
    per_sample = 1
    if settings.cluster.membership == "every":
        per_sample = MEMBERSHIPS_PER_SAMPLE
    n_memberships = n_samples * per_sample
    if config.cap:
        # one more cluster: that of the samples without a canonical tag
        n_capped = config.cap * (n_clusters + 1)
        n_memberships = min(n_memberships, n_capped)
    if config.rule in {"all", "longest-per-tag-set"}:
        return n_memberships
    n_kept = math.ceil(factor * n_wanted)
    rows_per_reserve = (n_kept + SPARE) * per_sample
    reserved = _count_reserves(settings) * rows_per_reserve
    return min(n_memberships, n_kept + n_clusters + reserved)


def _count_reserves(settings: Settings) -> int:
    """How many quotas that must be filled exactly share out the whole selection.

    The shortlist may grow by a selection for each of them.
    """
    config = settings.select
    n_exact: dict[str, int] = {}
    for name in PARTS:
        parts = config.parts(name).values()
        n_exact[name] = sum(not part.at_most for part in parts)
    # A row has one source, so all quotas of sources share out the selection once.
    n_source_reserves = min(n_exact["per_source"], 1)
    return config.match_length + n_source_reserves + n_exact["per_tag"]


def _bound_judge_requests(
    settings: Settings,
    n_shortlisted: int,
) -> int:
    """The most requests per judge and repetition over all rounds.

    A pair that is asked in both orders counts as two requests.
    """
    config = settings.pair
    n_clusters = _bound_clusters(settings)
    n_bridges = config.bridges * n_clusters
    if config.method == "active":
        # At most the opening or the budget (each rounded up per cluster), plus the bridges.
        opening = n_shortlisted + n_shortlisted // PILOT + n_clusters
        n_budgeted = math.ceil(config.budget * n_shortlisted)
        later_rounds = n_budgeted + n_clusters * config.n_rounds
        return max(opening, later_rounds) + 2 * n_bridges
    pairs_of_neighbours = n_shortlisted // 2
    if config.method == "neighbour":
        return 2 * pairs_of_neighbours
    n_later_rounds = config.n_rounds - 1
    n_pairs = n_shortlisted + n_bridges + n_later_rounds * pairs_of_neighbours
    return 2 * n_pairs


def _bound_joining_requests(
    settings: Settings,
    n_samples: int,
    n_wanted: int,
    n_shortlisted: int,
    known: KnownRows,
) -> int:
    """The most requests per judge and repetition where known rows are not compared again.

    New rows are compared with each other and with anchors, rows of several runs with each other.
    """
    n_clusters = known.n_clusters
    if n_clusters is None:
        n_clusters = _bound_clusters(settings)
    n_clusters += 1  # that of the samples without a tag
    n_new = n_samples - known.n_samples
    # A row that is known may join, too, where a quota needs it.
    n_reserved = math.ceil(settings.shortlist.factor * n_wanted) + SPARE
    n_joining = n_new + _count_reserves(settings) * n_reserved
    if settings.cluster.membership == "every":
        n_joining *= MEMBERSHIPS_PER_SAMPLE
    n_joining = min(n_joining, n_shortlisted)
    n_links = 2 * settings.pair.bridges * n_clusters * (known.n_runs - 1)
    if not n_joining:
        return n_links
    n_anchors = math.ceil(n_joining / ROWS_PER_ANCHOR) + (MIN_ANCHORS + 1) * n_clusters
    is_by_cluster = settings.pair.method == "active" and settings.select.quota != "none"
    # The cut of a cluster lies where all its rows say, so that later rounds may ask about all.
    n_rows = n_shortlisted
    if not is_by_cluster:
        n_rows = min(n_shortlisted, n_joining + n_anchors)
    # Anchors connect clusters as bridges do.
    pair = settings.pair.model_copy(update={"bridges": 0})
    unbridged = settings.model_copy(update={"pair": pair})
    return _bound_judge_requests(unbridged, n_rows) + n_links


def _bound_clusters(settings: Settings) -> int:
    """The number of clusters, as set or as many as an automatic choice may make."""
    if isinstance(settings.cluster.k, int):
        return settings.cluster.k
    return MAX_AUTO_CLUSTERS
