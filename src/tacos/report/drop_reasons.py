"""Why a row was kept or dropped, in one sentence with the numbers that decided.

A row that was dropped has one reason: the first of those that kept it out. A limit is the reason
only of a row that would otherwise have been taken: one that adds more than the last row taken, but
less than each of the rows that filled the limit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import polars as pl

from tacos.config import Settings
from tacos.methods.judging.comparisons import average_grades
from tacos.methods.selecting.gain_margins import GainMargin, RowGain, measure_margin
from tacos.methods.selecting.strategies import BY_SCORE
from tacos.pipeline.steps import pool as pool_steps
from tacos.pipeline.steps.pool import NO_SCORES
from tacos.records import SCORES, add_missing_columns
from tacos.report.full_limits import (
    FullLimit,
    build_limited_pool,
    list_full_limits,
    read_floor_reason,
    read_repeat_reason,
)
from tacos.report.selection_request import MadeRequest, read_request
from tacos.report.shortlist_places import explain_place
from tacos.store.artifacts import Artifact

Artifacts = Mapping[str, Artifact]
NOT_BY_GAIN = ("must-keep", "uncompared", "fill")
"""Rules of rows that a list or the lack of others brought in."""


def explain_verdict(
    artifacts: Artifacts,
    settings: Settings,
    row: str,
) -> str:
    """Whether and why the sample with the id `row` was kept or dropped."""
    if "selection" not in artifacts:
        return "not decided: the run was stopped before the selection"
    selection = artifacts["selection"]
    taken = selection.scan().filter(pl.col("id") == row).collect()
    if taken.is_empty():
        return f"dropped: {_explain_drop(artifacts, settings, row)}"
    entry = taken.row(0, named=True)
    n = selection.manifest["n_rows"]
    place = f"rule {entry['rule']}"
    if entry["cluster"] is not None:
        place += f", cluster {entry['cluster']}"
    return f"kept, rank {entry['rank']} of {n} ({place})"


def _explain_drop(
    artifacts: Artifacts,
    settings: Settings,
    row: str,
) -> str:
    """Why a row is not in the selection."""
    samples = artifacts["samples"].scan()
    exclude = pool_steps.resolve_ids(samples, settings.select.exclude, "exclude")
    if row in exclude:
        return "it is on the exclude list"

    request = read_request(artifacts, settings)
    scores = _read_scores(artifacts, settings, request.by)
    needs_score = bool(request.selector) or request.strategy in BY_SCORE
    if needs_score and row not in scores["id"]:
        return _explain_missing_score(artifacts, settings, row)
    floor_reason = read_floor_reason(scores, row, request.limits)
    if floor_reason:
        return floor_reason
    if request.selector:
        return f"your selector {request.selector} did not take it"

    repeated = read_repeat_reason(artifacts, row)
    if repeated:
        return repeated

    keep = pool_steps.resolve_ids(samples, settings.select.keep, "must-keep")
    pool = build_limited_pool(
        artifacts,
        scores,
        request.limits,
        keep,
        exclude,
    )
    limits = list_full_limits(artifacts, pool, request.limits, row)
    if request.strategy != "tacos":
        # Its order of preference is not stored, so every full limit may have been the reason.
        texts = [limit.text for limit in limits if not limit.is_rest]
        return "; ".join([f"the strategy {request.strategy} did not take it", *texts])
    ranked = scores.filter(pl.col("id").is_in(pool["id"].implode()))
    return _explain_gain(artifacts, settings, request, ranked, row, limits)


def _read_scores(
    artifacts: Artifacts,
    settings: Settings,
    by: str,
) -> pl.DataFrame:
    """id, score, correctness and more: what the selection went by, without rows that lack it."""
    if by == "grade":
        grades = artifacts["grades"].scan().collect()
        means = average_grades(grades, settings.judge.target)
        homes = pool_steps.order_memberships(artifacts, settings)
        home = homes.unique("id", keep="first", maintain_order=True)
        scored = means.rename({"grade": "score"}).drop_nulls("score")
        return scored.join(home, on="id", how="left")
    newest = pool_steps.find_newest_scores(artifacts)
    if newest is None:
        return add_missing_columns(NO_SCORES, SCORES)
    scores = artifacts[newest].scan().collect()
    return add_missing_columns(scores, SCORES).drop_nulls("score")


def _explain_missing_score(
    artifacts: Artifacts,
    settings: Settings,
    row: str,
) -> str:
    """Why a row has no score."""
    place = explain_place(artifacts, settings, row)
    if place:
        return place
    memberships = artifacts["memberships"].scan().filter(pl.col("id") == row)
    if memberships.select("home").collect()["home"].null_count():
        return "it is in no cluster: nothing of its text and none of its tags is known"
    return (
        "it was shortlisted but never compared "
        "(the odd one out of its cluster, or its judgements failed)"
    )


# Rows that did not add enough


def _explain_gain(
    artifacts: Artifacts,
    settings: Settings,
    request: MadeRequest,
    ranked: pl.DataFrame,
    row: str,
    limits: Sequence[FullLimit],
) -> str:
    """Why a row with a score was not taken: by what it adds, or by a limit."""
    selection = artifacts["selection"].scan().collect()
    margin = _measure_margin(
        artifacts,
        settings,
        request,
        ranked,
        selection,
        row,
    )
    last = None if margin is None else margin.find_last()
    if margin is None or last is None:
        texts = [limit.text for limit in limits if not limit.is_rest]
        return "; ".join(texts) or "rows with more by score and new tags came first"
    if margin.own.total <= last.total or not limits:
        return _explain_cut(ranked, selection, margin, request)

    binding = _find_binding_limits(limits, margin)
    reasons = [limit.text for limit in binding if not limit.is_rest]
    if reasons:
        ids = frozenset().union(*(limit.ids for limit in binding))
        gains = _compare_gains(margin, ids, "the last of these rows")
        return f"{' and '.join(reasons)}; its {gains}"
    if binding:
        # The back of a quota: among the rows without its tag, this one did not add enough.
        return _compare_gains(margin, binding[0].ids, "the last row taken without it")
    return "; ".join(limit.text for limit in limits)


def _measure_margin(
    artifacts: Artifacts,
    settings: Settings,
    request: MadeRequest,
    ranked: pl.DataFrame,
    selection: pl.DataFrame,
    row: str,
) -> GainMargin | None:
    """What the row adds beside what each row adds that was taken for its gain."""
    # It may have risen above what is set, to cover as many tags as random rows.
    notes = artifacts["selection"].manifest["notes"]
    tag_price = notes.get("tag_price", settings.select.tag_price)
    reliability = request.reliability
    if reliability is None:
        # Runs of versions before 0.3 weighed scores and tags in another way.
        if tag_price:
            return None
        reliability = 1.0
    by_gain = selection.filter(~pl.col("rule").is_in(NOT_BY_GAIN))
    tags: dict[str, list[str]] = {}
    if tag_price:
        wanted = [*selection["id"], row]
        canonical = artifacts["canonical_tags"].scan().select("id", "tags")
        named = canonical.filter(pl.col("id").is_in(wanted)).drop_nulls()
        tags = dict(named.collect().iter_rows())
    return measure_margin(
        ranked,
        row,
        by_gain["id"].to_list(),
        selection["id"].to_list(),
        tags,
        reliability,
        tag_price,
    )


def _find_binding_limits(
    limits: Sequence[FullLimit],
    margin: GainMargin,
) -> list[FullLimit]:
    """The limits that were full when the row's turn came: all their rows add at least as much."""
    binding = []
    for limit in limits:
        gains = [margin.rivals.get(id_) for id_ in limit.ids]
        # Must-keep rows have no gain: they were in before all others.
        if all(gain is None or gain.total >= margin.own.total for gain in gains):
            binding.append(limit)
    return binding


def _explain_cut(
    ranked: pl.DataFrame,
    selection: pl.DataFrame,
    margin: GainMargin,
    request: MadeRequest,
) -> str:
    """The row's gain and that of the last row taken; where clusters have quotas, of its cluster."""
    by_gain = selection.filter(~pl.col("rule").is_in(NOT_BY_GAIN))
    if request.quota != "none":
        own_scores = ranked.filter(pl.col("id") == margin.own.id)
        # In `paper` a sample has a score in each of its clusters.
        for entry in own_scores.sort("score", descending=True).to_dicts():
            cluster = entry["cluster"]
            taken = by_gain.filter(pl.col("cluster") == cluster)
            if taken.is_empty():
                continue
            return _compare_gains(
                _move_to_cluster(margin, entry["score"], taken),
                taken["id"].to_list(),
                f"the last row taken of cluster {cluster}",
            )
    return _compare_gains(margin, None, "the last row taken")


def _move_to_cluster(
    margin: GainMargin,
    score: float,
    taken: pl.DataFrame,
) -> GainMargin:
    """The margin by the scores that the rows have in one cluster."""
    rivals = dict(margin.rivals)
    for id_, own_score in taken.select("id", "score").iter_rows():
        if id_ in rivals:
            rivals[id_] = rivals[id_]._replace(score=own_score)
    return GainMargin(margin.own._replace(score=score), rivals)


def _compare_gains(
    margin: GainMargin,
    among: Collection[str] | None,
    what: str,
) -> str:
    """What the row adds and what the last of some rows adds, in numbers."""
    last = margin.find_last(among)
    own = _describe_gain(margin.own)
    if last is None:
        return own
    sign = "less than" if margin.own.total < last.total else "beside"
    return f"{own}, {sign} {what} ({last.id}): {_describe_gain(last)}"


def _describe_gain(gain: RowGain) -> str:
    """Score and new tags, and their sum."""
    tags = f"{gain.n_new_tags} new tag{'' if gain.n_new_tags == 1 else 's'}"
    if gain.worth is None:
        return f"{tags} (scores count for nothing here)"
    if not gain.worth:
        return f"score {gain.score:.2f}"
    return f"score {gain.score:.2f} + {gain.worth:.2f} for {tags} = {gain.total:.2f}"
