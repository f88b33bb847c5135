"""The scores of one row, its rank and cut-off in each cluster, and every comparison behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.methods.judging.comparisons import NUMBERS, combine_verdicts
from tacos.pipeline.steps import pool as pool_steps
from tacos.records import SCORES, add_missing_columns
from tacos.report.judge_words import clip_text
from tacos.store.artifacts import Artifact

Artifacts = Mapping[str, Artifact]
Record = dict[str, Any]


def trace_scores(
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
    """One score, its rank in the cluster, and the rows that were selected there."""
    cluster = entry["cluster"]
    score = entry["score"]
    is_in_cluster = pl.col("cluster") == cluster
    others = scores.filter(is_in_cluster)["score"]
    n_better = int((others > score).sum())
    parts = [f"{score:.2f}"]
    if entry["error"] is not None:
        parts[0] += f" +- {entry['error']:.2f}"
    parts[0] += describe_numbers(entry)
    parts.append(f"rank {n_better + 1} of {len(others)} in cluster {cluster}")
    text = ", ".join(parts)
    if "selection" not in artifacts:
        return text
    selection = artifacts["selection"].scan().filter(is_in_cluster).collect()
    return f"{text} ({_describe_taken(selection)})"


def _describe_taken(selection: pl.DataFrame) -> str:
    """How many rows of a cluster were selected, and how far its quota reached, if it has one."""
    taken = (
        f"{selection.height:,} of them selected"
        if selection.height
        else "none selected"
    )
    by_quota = selection.filter(pl.col("rule") == "quota")
    # Without quotas there is no cut-off either.
    if by_quota.is_empty():
        return taken
    cut_off = by_quota.select(pl.col("score").min()).item()
    return f"{taken}, {by_quota.height:,} by its quota, down to {cut_off:.2f}"


def describe_numbers(entry: Record) -> str:
    """Value and correctness in brackets; nothing where the judge gave one score only."""
    if entry["value"] is None:
        return ""
    return f" (value {entry['value']:.1f}, correctness {entry['correctness']:.1f})"


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
        reason = clip_text(verdict["reason"], limit=160)
        text += f" | {reason}"
    return text
