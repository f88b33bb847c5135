"""What the figures of the report cannot show: where a reader goes wrong who takes them at their
word.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tacos.report.figure_texts import format_share
from tacos.report.page_parts import Section
from tacos.report.report_input import ReportInput

FEW = 0.01
"""A share of failed replies that is worth a caution."""


class Caution(NamedTuple):
    """What not to believe, and why."""

    claim: str
    why: str


def build_not_to_believe(source: ReportInput) -> Section:
    """Cautions that hold of this run, those about the selection as a whole first."""
    cautions = [
        *_doubt_selection(source),
        *_doubt_judge(source),
        *_doubt_tags(source),
        *_doubt_rest(source),
    ]
    values = {"cautions": cautions, "warnings": source.summary.warnings}
    return Section("not-to-believe", "What not to believe", values)


def _doubt_selection(source: ReportInput) -> Iterator[Caution]:
    """Is the selection good?"""
    summary = source.summary
    yield Caution(
        "That a model trained on these rows will be better.",
        "No model was trained here. The report compares rows, not what is learned from them.",
    )
    figures = summary.selection
    score = _read(figures, "selection", "mean_score")
    pool = _read(figures, "pool", "mean_score")
    if score is not None and pool is not None:
        yield Caution(
            "That a higher mean score shows a good selection.",
            f"The selection's mean score is {score:.1f} against {pool:.1f} of all rows that have "
            "one because rows were taken by this score: it would be higher even if the scores were "
            "noise. " + (summary.verdict.get("sentence") or ""),
        )
    own = _read(figures, "selection", "coverage")
    chance = _read(figures, "random", "coverage")
    if own is not None and chance is not None and own < chance:
        yield Caution(
            "That the selection is more diverse than chance.",
            f"It covers {format_share(own)} of the tags; as many random rows cover "
            f"{format_share(chance)}. Of the best rows by score, many are alike.",
        )


def _doubt_judge(source: ReportInput) -> Iterator[Caution]:
    """Are the scores right?"""
    summary = source.summary
    if not summary.scores:
        return
    if summary.checks_no_facts:
        yield Caution(
            "That selected answers are true.",
            "The judge reads style and fit to the question; it knows no facts.",
        )
    else:
        yield Caution(
            "That selected answers are true.",
            "Scores are opinions of a language model, which may be taken in by a confident "
            "answer. Nothing was looked up.",
        )
    longest = _read(summary.selection, "selection", "median_length")
    usual = _read(summary.selection, "pool", "median_length")
    if longest is not None and usual and longest > 1.25 * usual:
        yield Caution(
            "That all of what the selected rows have in score is quality, and not length.",
            f"Their answers have {longest:,.0f} characters in the median, those of the pool "
            f"{usual:,.0f}. Judges like long answers, so compare with the longest rows in the "
            "table above, or match lengths (--match-length).",
        )
    n_scored = max(figures["n"] for figures in summary.scores.values())
    if n_scored < summary.n_samples:
        n_unscored = summary.n_samples - n_scored
        yield Caution(
            "That dropped rows are bad.",
            f"{n_unscored:,} of {summary.n_samples:,} usable rows have no score: they were left "
            "out before the comparison, by a cheap rule.",
        )
    if summary.certainty and summary.certainty.get("error") is not None:
        spread = 1.96 * float(summary.certainty["error"] or 0)
        yield Caution(
            "That neighbours in rank differ.",
            f"A score is sure to about +- {spread:.1f} points (95%): rows closer than that are "
            "in an order that another run of the same judge could turn round.",
        )


def _doubt_tags(source: ReportInput) -> Iterator[Caution]:
    """Are the tags right?"""
    summary = source.summary
    if not summary.n_canonical_tags:
        return
    merged = sum(step["n_merged"] for step in summary.normalisation)
    yield Caution(
        "That each tag fits its rows, and that merged tags mean the same.",
        f"Tags are a model's; {merged:,} of {summary.n_raw_tags:,} raw tags were merged into "
        "others by rules and likeness, and no person checked them. tacos check-tags measures "
        "both; wrong merges are undone with --overrides.",
    )
    yield Caution(
        "That rows near each other in the map of clusters are alike, or far ones are not.",
        "A plane cannot show the distances of hundreds of dimensions. Clusters were made before "
        "the map, and their names are only their most telling tags.",
    )
    if summary.n_untagged:
        yield Caution(
            "That coverage counts every topic.",
            f"{summary.n_untagged:,} of {summary.n_samples:,} rows have no tag, so no figure of "
            "tags knows of them.",
        )


def _doubt_rest(source: ReportInput) -> Iterator[Caution]:
    """Are the other figures complete?"""
    summary = source.summary
    failed = {
        stage: sum(reasons.values())
        for stage, reasons in summary.rejects.items()
        if stage not in {"samples", "selection", "shortlist"}
    }
    n_failed = sum(failed.values())
    if n_failed:
        yield Caution(
            "That every row was asked about.",
            f"{n_failed:,} replies could not be used ({', '.join(failed)}). If they were of one "
            "kind of row, that kind is judged less well than it looks.",
        )
    lines: list[dict[str, Any]] = [
        line for lines in summary.spending.values() for line in lines
    ]
    if any(line["usd"] is None for line in lines):
        yield Caution(
            "That the dollars are all of them.",
            "The price of a model is not known; its tokens are counted.",
        )
    elif lines:
        yield Caution(
            "That the dollars are those of the bill.",
            "They are tokens times the prices that tacos was given; discounts and taxes are not "
            "in them.",
        )


def _read(
    figures: dict[str, dict[str, float | None]],
    group: str,
    name: str,
) -> float | None:
    """A figure of a group of rows, where there is one."""
    return figures.get(group, {}).get(name)
