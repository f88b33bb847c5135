"""The judges' scores in figures: their means, how far they follow length, and a warning where
length decides.

What it does not know: whether the scores are right. A judge's own scores never answer that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import polars as pl

from tacos.methods.judging.comparisons import NUMBERS
from tacos.methods.judging.judge_health import correlate_ranks
from tacos.pipeline.steps.pool import find_newest_scores
from tacos.records import SCORES, add_missing_columns
from tacos.store.artifacts import Artifact

Artifacts = Mapping[str, Artifact]

CORRELATION_THAT_DECIDES = 0.7
"""From this rank correlation on, length explains half of the variance of the ranks."""
SHARE_THAT_DECIDES = 0.5
"""A rule of length that leaves out more rows than this decides more than the judge does."""
LENGTH_RULE = "longest-per-tag-set"


def summarise_scores(artifacts: Artifacts) -> dict[str, dict[str, Any]]:
    """Of "score", and of "value" and "correctness" where the judges gave both: `n` rated rows, the
    `mean` over them, the mean over the `selected` ones (None without any), and `length_correlation`
    (Spearman, with the length of the response).

    Empty if the run has no scores.
    """
    newest = find_newest_scores(artifacts)
    if newest is None:
        return {}
    scores = add_missing_columns(artifacts[newest].scan(), SCORES)
    # In `paper`, a sample has a score in each of its clusters.
    by_id = scores.group_by("id").agg(pl.col("score", *NUMBERS).mean())
    lengths = artifacts["samples"].scan().select("id", "length")
    rated = by_id.join(lengths, on="id").collect().sort("id")
    selected = rated.clear()
    if "selection" in artifacts:
        ids = artifacts["selection"].scan().select("id").collect()
        selected = rated.join(ids, on="id", how="semi", maintain_order="left")

    figures = {}
    for name in ("score", *NUMBERS):
        # Judges of one score give neither of the two numbers.
        given = rated.drop_nulls(name)
        if given.is_empty():
            continue
        figures[name] = {
            "n": given.height,
            "mean": given[name].mean(),
            "selected": selected[name].mean(),
            "length_correlation": asdict(correlate_ranks(given, name, "length")),
        }
    return figures


def warn_about_length(
    artifacts: Artifacts,
    scores: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """One sentence, with the figure, for each way in which length decides what is selected.

    `scores` are the figures of `summarise_scores`.
    """
    warnings = []
    if "shortlist" in artifacts:
        n_samples = artifacts["samples"].manifest["n_rows"]
        n_left_out = _count_rows_left_out(artifacts["shortlist"])
        share = n_left_out / max(n_samples, 1)
        if share > SHARE_THAT_DECIDES:
            warnings.append(
                f"length decides: shortlist.rule={LENGTH_RULE} left out {n_left_out:,} of "
                f"{n_samples:,} rows ({share:.0%}) for a longer response with the same tags, "
                "before a judge saw them"
            )
    correlation = scores.get("score", {}).get("length_correlation")
    if correlation is None or correlation["value"] is None:
        return warnings
    value = correlation["value"]
    if abs(value) >= CORRELATION_THAT_DECIDES:
        favoured = "longest" if value > 0 else "shortest"
        warnings.append(
            f"length decides: the scores follow the length of the response (rank correlation "
            f"{value:.2f} over {correlation['n']:,} rows); taking the {favoured} rows would select "
            "much the same"
        )
    return warnings


def _count_rows_left_out(shortlist: Artifact) -> int:
    """Samples that the rule of length left out in every one of their clusters."""
    # A sample that one cluster kept was seen by a judge after all.
    by_length = pl.col("reason").str.ends_with(LENGTH_RULE)
    left_out = shortlist.rejects().filter(by_length).select("id").unique()
    kept = shortlist.scan().select("id").collect()
    return left_out.join(kept, on="id", how="anti").height
