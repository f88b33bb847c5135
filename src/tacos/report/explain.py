"""Why a row was kept or dropped: the trace of one row through all artifacts of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.errors import InputError
from tacos.methods.judging.comparisons import average_grades
from tacos.methods.samples.last_question import find_last_question
from tacos.report.comparison_traces import describe_numbers, trace_scores
from tacos.report.drop_reasons import explain_drop
from tacos.report.judge_words import clip_text, describe_reasons
from tacos.report.keep_reasons import explain_keep
from tacos.report.made_selection import MadeSelection
from tacos.report.row_ids import describe_unknown_row
from tacos.store.artifacts import Artifact
from tacos.store.exact_duplicates import DUPLICATE

Artifacts = Mapping[str, Artifact]
Record = dict[str, Any]
TOLD = ("id", "content_hash", "instruction", "response", "length")
"""The columns of a sample that its trace tells of."""
BY_RULE = (DUPLICATE, "clean: ")
"""How the reasons of ingest begin that a rule gives: with what it found, not with the row."""


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
    # The other columns are most of the file.
    samples = artifacts["samples"].scan().filter(is_row).select(TOLD).collect()
    if samples.is_empty():
        return _trace_reject(artifacts, row)
    sample = samples.row(0, named=True)
    row = sample["id"]
    trace: dict[str, Any] = {
        "row": row,
        "content_hash": sample["content_hash"],
        "instruction": clip_text(find_last_question(sample["instruction"])),
        "response": clip_text(sample["response"]),
        "length": sample["length"],
        **_trace_tags(artifacts, row),
        **_trace_hand_tags(settings, sample),
        **_trace_clusters(artifacts, row),
        **_trace_shortlist(artifacts, settings, row),
        **trace_scores(artifacts, settings, row),
    }
    verdict = _explain_verdict(artifacts, settings, row)
    return {"verdict": verdict, **trace}


def _explain_verdict(
    artifacts: Artifacts,
    settings: Settings,
    row: str,
) -> str:
    """Whether and why the sample with the id `row` was kept or dropped."""
    if "selection" not in artifacts:
        return "not decided: the run was stopped before the selection"
    made = MadeSelection(artifacts, settings)
    taken = made.table.filter(pl.col("id") == row)
    if taken.is_empty():
        return f"dropped: {explain_drop(made, row)}"
    return f"kept, {explain_keep(made, taken.row(0, named=True))}"


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
        raise InputError(describe_unknown_row(artifacts["samples"], row))
    reject = rejects.row(0, named=True)
    is_rule = reject["reason"].startswith(BY_RULE)
    return {
        "verdict": f"dropped at ingest: {reject['reason']}",
        "row": row,
        "found" if is_rule else "raw": clip_text(reject["raw"]),
    }


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


def _trace_hand_tags(settings: Settings, sample: Record) -> dict[str, Any]:
    """The tags that a person has set in place of these, if one has."""
    tags = settings.canonicalise.tags.get(sample["content_hash"])
    return {} if tags is None else {"tags_by_hand": list(tags) or ["(no tag)"]}


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
            trace[f"{name}_reasons"] = describe_reasons(grades)
    if "shortlist" in artifacts:
        trace["shortlist"] = _describe_shortlist(artifacts, row)
    return trace


def _describe_grade(entry: Record) -> str:
    """The mean grade, with the numbers that it is made of."""
    return f"{entry['grade']:.2f}{describe_numbers(entry)}"


def _describe_shortlist(artifacts: Artifacts, row: str) -> list[str]:
    """The clusters in which the sample was shortlisted, or the rules that left it out."""
    kept = _read_sample_rows(artifacts, "shortlist", row)
    if kept:
        return [_describe_entry(entry) for entry in kept]
    rejects = artifacts["shortlist"].rejects()
    is_row = pl.col("id") == row
    reasons = []
    for reject in rejects.filter(is_row).to_dicts():
        reason = f"{reject['reason']} ({reject['raw']})"
        reasons.append(reason)
    return reasons


def _describe_entry(entry: Record) -> str:
    """A cluster in which the sample was shortlisted, and why."""
    cluster = f"cluster {entry['cluster']}"
    if entry["rule"] == "all":
        return f"{cluster}: all its rows are on it"
    return f"{cluster}: on it by the rule {entry['rule']}"
