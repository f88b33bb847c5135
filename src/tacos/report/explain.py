"""Why a row was kept or dropped: the trace of one row through all artifacts of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from tacos.amounts import QuotaAmount
from tacos.config import Settings
from tacos.errors import InputError
from tacos.methods.selecting import limits as limiting
from tacos.methods.selecting.limits import Limits
from tacos.models import encoder
from tacos.pipeline.steps import pool as pool_tables
from tacos.store.artifacts import Artifact

Artifacts = Mapping[str, Artifact]
NOBODY = pl.DataFrame(schema={"id": pl.String, "cluster": pl.UInt32, "score": pl.Float64})


def explain_row(artifacts: Artifacts, settings: Settings, row: str) -> dict[str, Any]:
    """What happened to a row (id or content hash) at each stage, and in `_explain_verdict` why it was kept
    or dropped.
    """
    found = (
        artifacts["samples"]
        .scan()
        .filter((pl.col("id") == row) | (pl.col("content_hash") == row))
        .collect()
    )
    if found.is_empty():
        return _trace_reject(artifacts, row)
    sample = found.row(0, named=True)
    row = sample["id"]
    trace: dict[str, Any] = {
        "row": row,
        "instruction": _clip_text(sample["instruction"]),
        "response": _clip_text(sample["response"]),
        "length": sample["length"],
    }
    trace |= (
        _trace_tags(artifacts, row)
        | _trace_clusters(artifacts, row)
        | _trace_shortlist(artifacts, row)
    )
    trace |= _trace_scores(artifacts, row, trace.get("clusters", {}))
    return {"verdict": _explain_verdict(artifacts, settings, row, trace), **trace}


def _clip_text(text: str, limit: int = 300) -> str:
    """The start of a text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[:limit] + " ..."


def _trace_reject(artifacts: Artifacts, row: str) -> dict[str, Any]:
    """The trace of a row that did not become a sample."""
    found = artifacts["samples"].rejects().filter(pl.col("id") == row)
    if found.is_empty():
        raise InputError(
            f"the input of this run has no row {row!r}; ids look like {_find_example_id(artifacts)!r}"
        )
    reject = found.row(0, named=True)
    return {
        "verdict": f"dropped at ingest: {reject['reason']}",
        "row": row,
        "raw": _clip_text(reject["raw"]),
    }


def _find_example_id(artifacts: Artifacts) -> str:
    """Some id of the input."""
    ids = artifacts["samples"].scan().select("id").head(1).collect()["id"].to_list()
    return ids[0] if ids else "<file>:0"


def _read_sample_rows(
    artifacts: Artifacts, name: str, row: str, column: str = "id"
) -> list[dict[str, Any]]:
    """The rows of an artifact that are about a sample; none where the artifact is not there."""
    if name not in artifacts:
        return []
    return artifacts[name].scan().filter(pl.col(column) == row).collect().to_dicts()


def _trace_tags(artifacts: Artifacts, row: str) -> dict[str, Any]:
    """Who tagged the sample, raw tags and what became of each."""
    turns = _read_sample_rows(artifacts, "tags", row)
    raw = [tag for turn in turns for tag in turn["tags"]]
    who = sorted({turn["model"] or "the input" for turn in turns if "model" in turn})
    if "vocabulary" not in artifacts:
        return {"tagged_by": who, "tags": raw}
    lineage = artifacts["vocabulary"].scan().filter(pl.col("raw").is_in(raw)).collect()
    moved = {entry["raw"]: entry for entry in lineage.to_dicts()}
    return {
        "tagged_by": who,
        "tags": [_describe_tag_move(tag, moved.get(tag)) for tag in dict.fromkeys(raw)],
    }


def _describe_tag_move(tag: str, entry: dict[str, Any] | None) -> str:
    """A raw tag and its canonical tag, with the reason where it moved."""
    if entry is None or entry["canonical"] == tag:
        return tag
    reason = f" ({entry['reason']})" if entry["reason"] else ""
    return f"{tag} -> {entry['canonical'] or 'dropped'}{reason}"


def _trace_clusters(artifacts: Artifacts, row: str) -> dict[str, Any]:
    """The clusters of the sample: number -> name, its home first."""
    found = _read_sample_rows(artifacts, "memberships", row)
    if not found:
        return {}
    names = dict(
        artifacts["clusters"].scan().select("cluster", "name").unique().collect().iter_rows()
    )
    home, others = found[0]["home"], found[0]["clusters"]
    if home is None:
        return {"clusters": {}}
    return {"clusters": {number: names[number] for number in dict.fromkeys([home, *others])}}


def _trace_shortlist(artifacts: Artifacts, row: str) -> dict[str, Any]:
    """The grade of the sample, where it was shortlisted, and which rule left it out."""
    grades = _read_sample_rows(artifacts, "grades", row)
    kept = _read_sample_rows(artifacts, "shortlist", row)
    mean = sum(entry["grade"] for entry in grades) / max(len(grades), 1)
    trace: dict[str, Any] = {"grade": round(mean, 2)} if grades else {}
    if kept:
        trace["shortlist"] = [
            f"cluster {entry['cluster']} by rule {entry['rule']}" for entry in kept
        ]
    elif "shortlist" in artifacts:
        dropped = artifacts["shortlist"].rejects().filter(pl.col("id") == row)
        trace["shortlist"] = [f"{entry['reason']} ({entry['raw']})" for entry in dropped.to_dicts()]
    return trace


def _trace_scores(artifacts: Artifacts, row: str, clusters: Mapping[int, str]) -> dict[str, Any]:
    """Every comparison of the sample, its score, its place among the scored rows of its cluster,
    the cut-off there.
    """
    newest = pool_tables.find_newest_scores(artifacts)
    if newest is None:
        return {}
    scores = artifacts[newest].scan().collect()
    mine = scores.filter(pl.col("id") == row)
    trace: dict[str, Any] = {"comparisons": _list_comparisons(artifacts, row)}
    if mine.height:
        trace["scores"] = [_describe_rank(artifacts, scores, entry) for entry in mine.to_dicts()]
    return trace


def _describe_rank(artifacts: Artifacts, scores: pl.DataFrame, mine: dict[str, Any]) -> str:
    """One score, its rank in the cluster, and the lowest score that was selected there."""
    others = scores.filter(pl.col("cluster") == mine["cluster"])["score"]
    rank = int((others > mine["score"]).sum()) + 1
    error = "" if mine["error"] is None else f" +- {mine['error']:.2f}"
    text = f"{mine['score']:.2f}{error} in cluster {mine['cluster']}, rank {rank} of {len(others)}"
    if "selection" not in artifacts:
        return text
    quota = (
        artifacts["selection"]
        .scan()
        .filter((pl.col("cluster") == mine["cluster"]) & (pl.col("rule") == "quota"))
    )
    cut = quota.select(pl.len().alias("n"), pl.col("score").min()).collect().row(0)
    return text + (
        f"; its quota took {cut[0]}, down to {cut[1]:.2f}" if cut[0] else "; its quota took none"
    )


def _list_comparisons(artifacts: Artifacts, row: str) -> list[str]:
    """One line per verdict that the sample is in."""
    lines = []
    for name in artifacts:
        if name.startswith("verdicts/"):
            for side, other in (("left", "right"), ("right", "left")):
                for entry in _read_sample_rows(artifacts, name, row, side):
                    scores = f"{entry[f'score_{side}']:g} : {entry[f'score_{other}']:g}"
                    first = (
                        "shown first"
                        if (entry["order"] == "ab") == (side == "left")
                        else "shown second"
                    )
                    reason = f" | {_clip_text(entry['reason'], 160)}" if entry["reason"] else ""
                    again = f", time {entry['repetition'] + 1}" if entry["repetition"] else ""
                    who = f"by {entry['judge']}{again}, against {entry[other]}"
                    lines.append(f"round {name.split('/')[1]}, {who}: {scores}, {first}{reason}")
    return sorted(lines)


def _explain_verdict(
    artifacts: Artifacts, settings: Settings, row: str, trace: dict[str, Any]
) -> str:
    """One sentence."""
    selected = _read_sample_rows(artifacts, "selection", row)
    if selected:
        rank, rule, cluster = (selected[0][key] for key in ("rank", "rule", "cluster"))
        n = artifacts["selection"].manifest["n_rows"]
        return f"kept, rank {rank} of {n} (rule {rule}, cluster {cluster})"
    if "selection" not in artifacts:
        return "not decided: the run was stopped before the selection"
    if row in pool_tables.resolve_ids(
        artifacts["samples"].scan(), settings.select.exclude, "exclude"
    ):
        return "dropped: it is on the exclude list"
    judged = "scores" in trace or artifacts["selection"].manifest["stage"] == "reselect"
    if judged and (reasons := _list_unmet_limits(artifacts, settings, row)):
        return f"dropped: {'; '.join(reasons)}"
    if artifacts["selection"].manifest["stage"] == "reselect":
        return f"dropped: the strategy {artifacts['selection'].manifest['settings']['strategy']} did not take it"
    if "scores" in trace and settings.select.coverage:
        return "dropped: its score and the tags that only it would add did not reach the cut-off of its cluster"
    if "scores" in trace:
        return "dropped: its score did not reach the cut-off of its cluster"
    if not _read_sample_rows(artifacts, "shortlist", row) and trace.get("shortlist"):
        return f"dropped before comparison: {trace['shortlist'][0]}"
    if not trace.get("clusters"):
        return "dropped: none of its tags survived normalisation, so it is in no cluster"
    return "dropped: it was shortlisted but in no comparison (the odd one out of its cluster, or its judgements failed)"


def _list_unmet_limits(artifacts: Artifacts, settings: Settings, row: str) -> list[str]:
    """Which quotas, bands of lengths or near duplicates left the row no room beside those selected."""
    limits = _read_selection_limits(artifacts, settings)
    if not limits:
        return []
    excluded = pool_tables.resolve_ids(
        artifacts["samples"].scan(), settings.select.exclude, "exclude"
    )
    pool = pool_tables.build_pool_table(artifacts, NOBODY, NOBODY).filter(
        ~pl.col("id").is_in(excluded)
    )
    chosen = artifacts["selection"].scan().select("id").collect()["id"]
    taken = np.flatnonzero(pool["id"].is_in(chosen.implode()).to_numpy())
    reasons = limiting.explain_full_limits(
        limiting.build_bounds(pool, len(chosen), limits), taken, pool["id"].to_list().index(row)
    )
    return reasons + (
        _find_near_duplicate(artifacts, chosen.to_list(), row, limits.cosine)
        if limits.cosine < 1
        else []
    )


def _read_selection_limits(artifacts: Artifacts, settings: Settings) -> Limits:
    """The limits that the selection kept to: those of the run, or those that `tacos reselect` was
    given.
    """
    manifest = artifacts["selection"].manifest
    if manifest["stage"] != "reselect":
        return pool_tables.build_limits(settings.select)
    given = manifest["settings"]["limits"]
    parts = {
        name: {key: QuotaAmount(**part) for key, part in given[name].items()}
        for name in ("per_source", "per_tag")
    }
    return Limits(**{**given, **parts})


def _find_near_duplicate(
    artifacts: Artifacts, chosen: list[str], row: str, limit: float
) -> list[str]:
    """The selected row that a row resembles most, where that is more than the limit."""
    ids, vectors = pool_tables.encode_samples(
        artifacts["samples"], encoder.load("static"), {*chosen, row}
    )
    cosine = vectors @ vectors[ids.index(row)]
    cosine[ids.index(row)] = -1
    nearest = int(np.argmax(cosine))
    if cosine[nearest] <= limit:
        return []
    return [
        f"it is a near duplicate of {ids[nearest]} (cosine {cosine[nearest]:.3f}, the limit is {limit:g})"
    ]
