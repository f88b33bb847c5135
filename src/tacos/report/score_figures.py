"""The judges' scores in figures: their means, how far they follow length, and a warning where
length decides.

What it does not know: whether the scores are right. A judge's own scores never answer that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.counts import count_words
from tacos.methods.judging.comparisons import NUMBERS
from tacos.methods.judging.judge_health import correlate_ranks
from tacos.pipeline.steps.matched_rows import match_rows, sort_by_id
from tacos.pipeline.steps.pool import (
    average_cheap_grades,
    encode_ids,
    find_newest_scores,
    read_scores,
    take_best_scores,
)
from tacos.pipeline.steps.row_codes import RowCodes
from tacos.records import Table
from tacos.report.figure_texts import format_correlation
from tacos.store.artifacts import Artifact

Artifacts = Mapping[str, Artifact]

CORRELATION_THAT_DECIDES = 0.7
"""From this rank correlation on, length explains half of the variance of the ranks."""
SHARE_THAT_DECIDES = 0.5
"""A rule of length that leaves out more rows than this decides more than the judge does."""
LENGTH_RULE = "longest-per-tag-set"


def summarise_scores(
    artifacts: Artifacts,
    settings: Settings,
) -> dict[str, dict[str, Any]]:
    """Of "score", and of "value" and "correctness" where the judges gave both: `n` rated rows, the
    `mean` over them, the mean over the `selected` ones (None without any), and two of Spearman's
    correlations with the length of the response: `length_correlation` over the rated rows, and
    `pool_length_correlation` over the whole pool, by the scores if they cover it and else by the
    cheap grades (None without either).

    Empty if the run has no scores.
    """
    newest = find_newest_scores(artifacts)
    if newest is None:
        return {}
    codes = RowCodes.of_samples(artifacts["samples"])
    samples = _read_lengths(artifacts["samples"], codes)
    columns = ("id", "score", *NUMBERS)
    scores = read_scores(artifacts[newest], columns, samples["id"], codes)
    rated = _join_lengths(take_best_scores(scores), samples)
    whole_pool = _read_whole_pool(artifacts, settings, rated, samples, codes)
    selected = rated.clear()
    if "selection" in artifacts:
        ids = codes.encode(artifacts["selection"].scan().select("id").collect()["id"])
        selected = rated.filter(pl.col("id").is_in(ids.implode()))

    figures = {}
    for name in ("score", *NUMBERS):
        # Judges of one score give neither of the two numbers.
        given = rated[name].drop_nulls()
        if given.is_empty():
            continue
        of_rated = correlate_ranks(rated, name, "length")
        of_pool = of_rated
        if whole_pool is not rated:
            of_pool = correlate_ranks(whole_pool, name, "length")
        figures[name] = {
            "n": len(given),
            "mean": given.mean(),
            "selected": selected[name].mean(),
            "length_correlation": asdict(of_rated),
            "pool_length_correlation": asdict(of_pool),
        }
    return figures


def _read_lengths(samples: Table, codes: RowCodes) -> pl.DataFrame:
    """id (its code) and length of every sample, sorted by id."""
    batches = samples.batches(["id", "length"])
    return sort_by_id(pl.concat(encode_ids(batch, codes) for batch in batches))


def _join_lengths(rated: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    """Rows with their `length`, sorted by id; `samples` are all ids and lengths, sorted, too."""
    in_order = sort_by_id(rated)
    return in_order.hstack(match_rows(in_order["id"], samples))


def _read_whole_pool(
    artifacts: Artifacts,
    settings: Settings,
    rated: pl.DataFrame,
    samples: pl.DataFrame,
    codes: RowCodes,
) -> pl.DataFrame:
    """id, score, value, correctness, length of every sample, as far as a judge saw it.

    Rows that the shortlist left out have a cheap grade or nothing.
    """
    n_samples = artifacts["samples"].manifest["n_rows"]
    if rated["score"].count() == n_samples:
        return rated
    grades = artifacts.get("grades")
    if grades is None:
        return rated.clear()
    graded = average_cheap_grades(grades, settings).rename({"grade": "score"})
    return _join_lengths(encode_ids(graded, codes), samples)


def warn_about_rating(artifacts: Artifacts, settings: Settings) -> list[str]:
    """One sentence if `rate.length` is set where no verdicts are rated."""
    is_rated = any(name.startswith("verdicts/") for name in artifacts)
    if is_rated or not settings.rate.length or find_newest_scores(artifacts) is None:
        return []
    return [
        "rate.length=true changed nothing: the judge graded each row by itself, and no verdicts "
        "were rated; it needs a judge that compares (judge.mode=comparative)"
    ]


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
    if "score" not in scores:
        return warnings
    correlations = [
        scores["score"]["length_correlation"],
        scores["score"]["pool_length_correlation"],
    ]
    known = [each for each in correlations if each["value"] is not None]
    strongest = max(known, key=lambda each: abs(each["value"]), default=None)
    if strongest is None or abs(strongest["value"]) < CORRELATION_THAT_DECIDES:
        return [*warnings, *_warn_about_value(scores)]
    favoured = "longest" if strongest["value"] > 0 else "shortest"
    described = describe_length_correlation(scores["score"])
    warnings.append(
        "length decides: the scores follow the length of the response (rank correlation "
        f"{described}); taking the {favoured} rows would select much the same"
    )
    return warnings


def _warn_about_value(scores: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One sentence where the value follows length, though the score, made of it, does so less."""
    if "value" not in scores:
        return []
    figures = scores["value"]
    correlations = [figures["length_correlation"], figures["pool_length_correlation"]]
    known = [abs(each["value"]) for each in correlations if each["value"] is not None]
    if max(known, default=0.0) < CORRELATION_THAT_DECIDES:
        return []
    return [
        "the value follows the length of the response (rank correlation "
        f"{describe_length_correlation(figures)}), and a part of the score with it: compare the "
        "lengths of pool and selection, or match them (--match-length)"
    ]


def warn_about_numbers(
    settings: Settings,
    scores: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """One sentence where one score was asked for, but the judge gives two numbers whatever it is
    asked.
    """
    # In `paper` it is part of the procedure, whoever judges.
    if settings.preset == "paper" or settings.judge.scores == "two":
        return []
    if "value" not in scores:
        return []
    return [
        "judge.scores=one changed nothing: it asks language models for one score, and this judge "
        "gives value and correctness"
    ]


def describe_length_correlation(figures: Mapping[str, Any]) -> str:
    """Both correlations of a number with length, in words; "" if neither is known."""
    rated = figures["length_correlation"]
    of_pool = figures["pool_length_correlation"]
    if rated["value"] is None and of_pool["value"] is None:
        return ""
    over_rated = format_correlation(rated["value"])
    if rated == of_pool:
        return f"{over_rated} over the whole pool"
    over_pool = format_correlation(of_pool["value"])
    by_grades = "of which most rows have no grade"
    if of_pool["n"]:
        by_grades = f"by the grades of all {count_words(of_pool['n'], 'row')}"
    return (
        f"{over_rated} over the {rated['n']:,} shortlisted rows, {over_pool} over the whole pool "
        f"({by_grades})"
    )


def _count_rows_left_out(shortlist: Artifact) -> int:
    """Samples that the rule of length left out in every one of their clusters."""
    # A sample that one cluster kept was seen by a judge after all.
    by_length = pl.col("reason").str.ends_with(LENGTH_RULE)
    left_out = shortlist.rejects().filter(by_length).select("id").unique()
    if left_out.is_empty():
        return 0
    kept = shortlist.scan().select("id").collect()
    return left_out.join(kept, on="id", how="anti").height
