"""Why a row was kept or dropped: the trace of one row through all artifacts of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from tacos.amounts import QuotaAmount
from tacos.config import Settings
from tacos.errors import InputError
from tacos.methods.judging.comparisons import (
    NUMBERS,
    average_grades,
    combine_verdicts,
)
from tacos.methods.selecting.limits import (
    Limits,
    build_bounds,
    explain_full_limits,
    is_below_floor,
)
from tacos.models import encoder
from tacos.pipeline.steps import pool as pool_steps
from tacos.pipeline.steps.pool import NO_HOMES, NO_SCORES
from tacos.records import SCORES, add_missing_columns
from tacos.report.facts import LEFT_OUT
from tacos.store.artifacts import Artifact

Artifacts = Mapping[str, Artifact]
Record = dict[str, Any]


def explain_row(
    artifacts: Artifacts,
    settings: Settings,
    row: str,
) -> dict[str, Any]:
    """What happened to a row (an id or a content hash) at each stage, and a sentence on why it was
    kept or dropped.

    Raises `InputError` if the input has no such row.
    """
    is_row = (pl.col("id") == row) | (pl.col("content_hash") == row)
    samples = artifacts["samples"].scan().filter(is_row).collect()
    if samples.is_empty():
        return _trace_reject(artifacts, row)
    sample = samples.row(0, named=True)
    row = sample["id"]
    trace: dict[str, Any] = {
        "row": row,
        "instruction": _clip_text(sample["instruction"]),
        "response": _clip_text(sample["response"]),
        "length": sample["length"],
        **_trace_tags(artifacts, row),
        **_trace_clusters(artifacts, row),
        **_trace_shortlist(artifacts, settings, row),
        **_trace_scores(artifacts, settings, row),
    }
    verdict = _explain_verdict(artifacts, settings, row, trace)
    return {"verdict": verdict, **trace}


def _clip_text(text: str, limit: int = 300) -> str:
    """The start of a text on one line."""
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    return line[:limit] + " ..."


def _read_sample_rows(
    artifacts: Artifacts,
    name: str,
    row: str,
    column: str = "id",
) -> list[Record]:
    """The rows of an artifact about a sample; none if the run does not have the artifact."""
    if name not in artifacts:
        return []
    is_row = pl.col(column) == row
    return artifacts[name].scan().filter(is_row).collect().to_dicts()


# What happened, stage by stage


def _trace_reject(artifacts: Artifacts, row: str) -> dict[str, Any]:
    """The trace of a row that did not become a sample."""
    rejects = artifacts["samples"].rejects().filter(pl.col("id") == row)
    if rejects.is_empty():
        example = _find_example_id(artifacts)
        raise InputError(
            f"the input of this run has no row {row!r}; ids look like {example!r}"
        )
    reject = rejects.row(0, named=True)
    return {
        "verdict": f"dropped at ingest: {reject['reason']}",
        "row": row,
        "raw": _clip_text(reject["raw"]),
    }


def _find_example_id(artifacts: Artifacts) -> str:
    """Some id of the input."""
    first = artifacts["samples"].scan().select("id").head(1)
    ids = first.collect()["id"].to_list()
    return ids[0] if ids else "<file>:0"


def _trace_tags(artifacts: Artifacts, row: str) -> dict[str, Any]:
    """Who tagged the sample, its raw tags, and what became of each."""
    raw_tags: list[str] = []
    taggers = set()
    for turn in _read_sample_rows(artifacts, "tags", row):
        raw_tags += turn["tags"]
        # Tags without a model came with the input.
        if "model" in turn:
            tagger = turn["model"] or "the input"
            taggers.add(tagger)
    return {
        "tagged_by": sorted(taggers),
        "tags": _trace_tag_moves(artifacts, raw_tags),
    }


def _trace_tag_moves(
    artifacts: Artifacts,
    raw_tags: list[str],
) -> list[str]:
    """What became of each raw tag; the tags alone if they are not normalised yet."""
    if "vocabulary" not in artifacts:
        return raw_tags
    entries = (
        artifacts["vocabulary"].scan().filter(pl.col("raw").is_in(raw_tags)).collect()
    )
    by_tag = {entry["raw"]: entry for entry in entries.to_dicts()}
    moves = []
    for tag in dict.fromkeys(raw_tags):
        move = _describe_tag_move(tag, by_tag.get(tag))
        moves.append(move)
    return moves


def _describe_tag_move(tag: str, entry: Record | None) -> str:
    """A raw tag and its canonical tag, with the reason where it moved."""
    if entry is None or entry["canonical"] == tag:
        return tag
    target = entry["canonical"] or "dropped"
    reason = f" ({entry['reason']})" if entry["reason"] else ""
    return f"{tag} -> {target}{reason}"


def _trace_clusters(artifacts: Artifacts, row: str) -> dict[str, Any]:
    """The clusters of the sample: number -> name, its home first."""
    memberships = _read_sample_rows(artifacts, "memberships", row)
    if not memberships:
        return {}
    home = memberships[0]["home"]
    if home is None:
        return {"clusters": {}}
    # A cluster of tags has a row per tag.
    rows_of_tags = artifacts["clusters"].scan()
    distinct = rows_of_tags.select("cluster", "name").unique()
    names = dict(distinct.collect().iter_rows())
    others = memberships[0]["clusters"]
    clusters = {}
    for number in [home, *others]:
        clusters[number] = names[number]
    return {"clusters": clusters}


def _trace_shortlist(
    artifacts: Artifacts,
    settings: Settings,
    row: str,
) -> dict[str, Any]:
    """The grade of the sample, and where it was shortlisted or which rule left it out."""
    trace: dict[str, Any] = {}
    for name, artifact in (("grade", "grades"), ("close_grade", "close_grades")):
        if artifact not in artifacts:
            continue
        grades = artifacts[artifact].scan().filter(pl.col("id") == row).collect()
        # A sample may be graded more than once.
        means = average_grades(grades, settings.judge.target)
        for entry in means.to_dicts():
            trace[name] = _describe_grade(entry)
            trace[f"{name}_reasons"] = _list_grade_reasons(grades)
    if "shortlist" in artifacts:
        trace["shortlist"] = _describe_shortlist(artifacts, row)
    return trace


def _describe_grade(entry: Record) -> str:
    """The mean grade, with the numbers that it is made of."""
    return f"{entry['grade']:.2f}{_describe_numbers(entry)}"


def _describe_numbers(entry: Record) -> str:
    """Value and correctness in brackets; nothing where the judge gave one score only."""
    if entry["value"] is None:
        return ""
    return f" (value {entry['value']:.1f}, correctness {entry['correctness']:.1f})"


def _list_grade_reasons(grades: pl.DataFrame) -> list[str]:
    """What the judges said of the sample by itself, each with its judge's name if it has one."""
    reasons = []
    for entry in grades.filter(pl.col("reason") != "").to_dicts():
        name = f"{entry['judge']}: " if entry["judge"] else ""
        reasons.append(name + _clip_text(entry["reason"]))
    return reasons


def _describe_shortlist(artifacts: Artifacts, row: str) -> list[str]:
    """The clusters in which the sample was shortlisted, or the rules that left it out."""
    kept = _read_sample_rows(artifacts, "shortlist", row)
    if kept:
        return [f"cluster {entry['cluster']} by rule {entry['rule']}" for entry in kept]
    rejects = artifacts["shortlist"].rejects()
    is_row = pl.col("id") == row
    reasons = []
    for reject in rejects.filter(is_row).to_dicts():
        reason = f"{reject['reason']} ({reject['raw']})"
        reasons.append(reason)
    return reasons


def _trace_scores(
    artifacts: Artifacts,
    settings: Settings,
    row: str,
) -> dict[str, Any]:
    """Every comparison of the sample, its scores, and its rank and the cut-off in each cluster."""
    newest = pool_steps.find_newest_scores(artifacts)
    if newest is None:
        return {}
    trace: dict[str, Any] = {}
    trace["comparisons"] = _list_comparisons(artifacts, settings, row)
    scores = add_missing_columns(artifacts[newest].scan().collect(), SCORES)
    is_row = pl.col("id") == row
    ranks = []
    for entry in scores.filter(is_row).to_dicts():
        rank = _describe_rank(
            artifacts,
            scores,
            entry,
        )
        ranks.append(rank)
    if ranks:
        trace["scores"] = ranks
    return trace


def _describe_rank(
    artifacts: Artifacts,
    scores: pl.DataFrame,
    entry: Record,
) -> str:
    """One score, its rank in the cluster, and the lowest score that was selected there."""
    cluster = entry["cluster"]
    score = entry["score"]
    is_in_cluster = pl.col("cluster") == cluster
    others = scores.filter(is_in_cluster)["score"]
    n_better = int((others > score).sum())
    parts = [f"{score:.2f}"]
    if entry["error"] is not None:
        parts.append(f"+- {entry['error']:.2f}")
    parts[-1] += _describe_numbers(entry)
    parts.append(f"in cluster {cluster}, rank {n_better + 1} of {len(others)}")
    text = " ".join(parts)
    if "selection" not in artifacts:
        return text

    # Only the cluster's own quota has a cut-off; other rules take rows from all clusters.
    by_quota = pl.col("rule") == "quota"
    taken = (
        artifacts["selection"]
        .scan()
        .filter(is_in_cluster & by_quota)
        .select("score")
        .collect()
    )
    n_taken = taken.height
    # Without quotas there is no cut-off either.
    if n_taken == 0:
        return text
    cut_off = taken.select(pl.col("score").min()).item()
    return f"{text}; its quota took {n_taken}, down to {cut_off:.2f}"


def _list_comparisons(
    artifacts: Artifacts,
    settings: Settings,
    row: str,
) -> list[str]:
    """One line per verdict that the sample is in."""
    lines = []
    for name in artifacts:
        if not name.startswith("verdicts/"):
            continue
        number = name.partition("/")[2]
        combined = combine_verdicts(artifacts[name].scan(), settings.judge.target)
        for side in ("left", "right"):
            verdicts = combined.filter(pl.col(side) == row).collect()
            lines += [
                f"round {number}, {_describe_comparison(each, side)}"
                for each in verdicts.to_dicts()
            ]
    return sorted(lines)


def _describe_comparison(verdict: Record, side: str) -> str:
    """A verdict on the sample at one side of a pair."""
    judge = verdict["judge"]
    if verdict["repetition"]:
        # Repetitions count from 0.
        time = verdict["repetition"] + 1
        judge += f", time {time}"

    is_left = side == "left"
    other = "right" if is_left else "left"
    own_score = verdict[f"score_{side}"]
    other_score = verdict[f"score_{other}"]
    scores = f"{own_score:g} : {other_score:g}"
    if verdict[f"value_{side}"] is not None:
        numbers = [
            f"{number} {verdict[f'{number}_{side}']:g} : {verdict[f'{number}_{other}']:g}"
            for number in NUMBERS
        ]
        scores += f" ({', '.join(numbers)})"

    # In the order "ab", the left sample is shown first.
    left_is_first = verdict["order"] == "ab"
    place = "second"
    if is_left == left_is_first:
        place = "first"
    text = f"by {judge}, against {verdict[other]}: {scores}, shown {place}"
    if verdict["reason"]:
        reason = _clip_text(verdict["reason"], limit=160)
        text += f" | {reason}"
    return text


# Why it was kept or dropped


def _explain_verdict(
    artifacts: Artifacts,
    settings: Settings,
    row: str,
    trace: Record,
) -> str:
    """One sentence."""
    selected = _read_sample_rows(artifacts, "selection", row)
    if selected:
        entry = selected[0]
        n = artifacts["selection"].manifest["n_rows"]
        place = f"rule {entry['rule']}, cluster {entry['cluster']}"
        return f"kept, rank {entry['rank']} of {n} ({place})"
    if "selection" not in artifacts:
        return "not decided: the run was stopped before the selection"
    return f"dropped: {_explain_drop(artifacts, settings, row, trace)}"


def _explain_drop(
    artifacts: Artifacts,
    settings: Settings,
    row: str,
    trace: Record,
) -> str:
    """Why a row is not in the selection."""
    if row in _read_excluded_ids(artifacts, settings):
        return "it is on the exclude list"

    manifest = artifacts["selection"].manifest
    is_reselected = manifest["stage"] == "reselect"
    if "scores" in trace or is_reselected:
        reasons = _list_unmet_limits(artifacts, settings, row)
        if reasons:
            return "; ".join(reasons)
    if is_reselected:
        return f"the strategy {manifest['settings']['strategy']} did not take it"
    if "scores" in trace:
        return _explain_cut(settings)

    shortlisted = _read_sample_rows(artifacts, "shortlist", row)
    if not shortlisted and trace.get("shortlist"):
        return _explain_filter(trace["shortlist"][0])
    if not trace.get("clusters"):
        return "it is in no cluster: nothing of its text and none of its tags is known"
    return (
        "it was shortlisted but never compared "
        "(the odd one out of its cluster, or its judgements failed)"
    )


def _explain_cut(settings: Settings) -> str:
    """Why a row with a score was not taken, where no limit kept it out."""
    what = "its score"
    if settings.select.tag_price:
        what = "its score plus the new tags it would add"
    cut = "the cut-off"
    if settings.select.quota != "none":
        cut = "its cluster's cut-off"
    return f"{what} fell below {cut}"


def _explain_filter(reason: str) -> str:
    """Why a row was not compared, from the reason that the shortlist keeps."""
    if not reason.startswith(LEFT_OUT):
        return f"filtered out before comparison: {reason}"
    rule = reason.removeprefix(LEFT_OUT)
    rule = rule.replace("embedded-judge", "the embedded judge")
    return f"filtered out before comparison by {rule}"


def _read_excluded_ids(
    artifacts: Artifacts,
    settings: Settings,
) -> list[str]:
    """The ids on the exclude list of the run."""
    samples = artifacts["samples"].scan()
    return pool_steps.resolve_ids(samples, settings.select.exclude, "exclude")


def _read_kept_ids(
    artifacts: Artifacts,
    settings: Settings,
) -> list[str]:
    """The ids on the must-keep list of the run."""
    samples = artifacts["samples"].scan()
    return pool_steps.resolve_ids(samples, settings.select.keep, "must-keep")


def _read_scores(artifacts: Artifacts) -> pl.DataFrame:
    """The newest scores; none where rows were not rated."""
    newest = pool_steps.find_newest_scores(artifacts)
    if newest is None:
        return NO_SCORES
    return artifacts[newest].scan().collect()


def _list_unmet_limits(
    artifacts: Artifacts,
    settings: Settings,
    row: str,
) -> list[str]:
    """The quotas, bands of lengths or near-duplicates that are full, so that the row could not be
    selected too.
    """
    limits = _read_selection_limits(artifacts, settings)
    if not limits:
        return []
    # The bounds are those that the selection was made with: excluded rows are not in the pool.
    excluded = _read_excluded_ids(artifacts, settings)
    is_excluded = pl.col("id").is_in(excluded)
    everyone = pool_steps.build_pool_table(
        artifacts,
        NO_HOMES,
        _read_scores(artifacts),
    )
    pool = everyone.filter(~is_excluded)
    if limits.min_correctness:
        is_below = is_below_floor(limits.min_correctness)
        incorrect = pool.filter(is_below)
        if row in incorrect["id"]:
            correctness = incorrect.filter(pl.col("id") == row)["correctness"].item()
            return [
                f"its correctness ({correctness:.1f}) is below the floor "
                f"({limits.min_correctness:g})"
            ]
        is_kept = pl.col("id").is_in(_read_kept_ids(artifacts, settings))
        pool = pool.filter(is_kept | ~is_below)
    selection = artifacts["selection"].scan().select("id")
    chosen = selection.collect()["id"]
    bounds = build_bounds(pool, len(chosen), limits)

    # Positions in the pool: of the selected rows, and of the row itself
    is_taken = pool["id"].is_in(chosen.implode())
    taken = np.flatnonzero(is_taken.to_numpy())
    position = pool["id"].to_list().index(row)
    reasons = explain_full_limits(bounds, taken, position)
    if limits.cosine < 1:
        reasons += _find_near_duplicate(
            artifacts,
            chosen.to_list(),
            row,
            limits.cosine,
        )
    return reasons


def _read_selection_limits(
    artifacts: Artifacts,
    settings: Settings,
) -> Limits:
    """The limits of the selection: the run's own, or those given to `tacos reselect`."""
    manifest = artifacts["selection"].manifest
    if manifest["stage"] != "reselect":
        return pool_steps.build_limits(settings.select)
    # A manifest is JSON: its quotas are plain objects.
    limits = dict(manifest["settings"]["limits"])
    for name in ("per_source", "per_tag"):
        quotas = {}
        for key, quota in limits[name].items():
            quotas[key] = QuotaAmount(**quota)
        limits[name] = quotas
    return Limits(**limits)


def _find_near_duplicate(
    artifacts: Artifacts,
    chosen: list[str],
    row: str,
    limit: float,
) -> list[str]:
    """The selected row that a row is most similar to, if that is more than the limit."""
    ids, vectors = pool_steps.encode_samples(
        artifacts["samples"],
        encoder.load("static"),
        {*chosen, row},
    )
    own = ids.index(row)
    cosine = vectors @ vectors[own]  # (rows,)
    cosine[own] = -1  # not itself
    nearest = int(np.argmax(cosine))
    if cosine[nearest] <= limit:
        return []
    return [
        f"it is a near-duplicate of {ids[nearest]} "
        f"(cosine {cosine[nearest]:.3f}, the limit is {limit:g})"
    ]
