"""What the judges did and how far they can be trusted: lines of the summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tacos.counts import count_words
from tacos.report import figure_texts
from tacos.report.facts import RunSummary
from tacos.report.judge_tastes import describe_tastes
from tacos.report.judge_words import NO_FACTS
from tacos.report.score_figures import describe_length_correlation

RATES = (
    ("flips", "flip_rate"),
    ("ties", "tie_rate"),
    ("first position wins", "first_share"),
)

Lines = Iterator[tuple[str, str]]
"""Label and text of each line."""


def format_judging(summary: RunSummary) -> Lines:
    """What the judges did and how far they can be trusted."""
    if summary.n_graded:
        yield "judged", _format_single_grades(summary)
    if not summary.n_pairs:
        return
    diagnostics = summary.diagnostics
    yield "comparisons", f"{summary.n_pairs:,} pairs, {summary.n_verdicts:,} verdicts"
    # A single judge has no name of its own in the figures.
    by_judge = summary.judges or {"": diagnostics}
    for judge, rates in by_judge.items():
        label = f"judge {judge}".strip()
        yield label, _format_judge_rates(rates)
    tastes = describe_tastes(summary.tastes)
    if tastes:
        yield "judge's taste", " ".join(tastes)
    for agreement in summary.agreement:
        judges = " and ".join(agreement["judges"])
        share = _format_rate(agreement)
        yield judges, f"prefer the same side in {share} pairs"
    silent = [name for name, rates in summary.judges.items() if not rates["n_verdicts"]]
    if silent:
        judges = " and ".join(silent)
        yield (
            "warning",
            f"no usable verdict by {judges}: the scores are the others' alone",
        )
    if diagnostics["collapsed"]:
        yield (
            "warning",
            "the judge gave nearly all rows the same score: its scores say little",
        )


def format_scores(summary: RunSummary) -> Lines:
    """The judges' scores and how far they follow length."""
    for name, figures in summary.scores.items():
        mean = figure_texts.format_score(figures["mean"])
        text = f"mean {mean} of {count_words(figures['n'], 'row')}"
        if figures["selected"] is not None:
            selected = figure_texts.format_score(figures["selected"])
            text += f", {selected} of those selected"
        correlation = describe_length_correlation(figures)
        if correlation:
            text += f"; correlation with length {correlation}"
        yield name, text
    if summary.checks_no_facts:
        yield "note", NO_FACTS
    for warning in summary.warnings:
        yield "warning", warning


def format_certainty(certainty: Mapping[str, float | None]) -> str:
    """How far the scores, and the cut by them, stand out from noise."""
    if not certainty:
        return "n/a: the judge never contradicts itself, so there is no error estimate"
    half_width = 1.96 * (certainty["error"] or 0)  # of a 95% interval
    scores = f"a score is sure to about +- {half_width:.1f} points"
    if certainty["recall"] is None:
        return scores
    return (
        f"{scores}; of the {certainty['n']:,} best by score, "
        f"{certainty['recall']:.0%} are expected to be truly the best"
    )


def _format_single_grades(summary: RunSummary) -> str:
    """Who graded how many rows one by one, and why no pairs were compared."""
    n_graded = summary.n_graded
    texts = [f"{count_words(n_graded.get('grade', 0), 'row')}, one by one"]
    if "reread" in n_graded:
        texts.append(f"{n_graded['reread']:,} of them again by the slow tier")
    if summary.lacks_close_tier:
        texts.append(
            "once: the embedded judge's slower, second reading needs weights that are not "
            "installed (guide, Install)"
        )
    if summary.is_pointwise:
        texts.append("no pairs were compared, since this judge sees one row at a time")
    return "; ".join(texts)


def _format_judge_rates(rates: Mapping[str, Any]) -> str:
    """The rates of one judge, and how many of its verdicts are missing."""
    texts = []
    for label, key in RATES:
        rate = _format_rate(rates[key])
        texts.append(f"{label} {rate}")
    # Before any rating: what rate.length takes out of the scores is still in these.
    correlation = rates["length_correlation"]["value"]
    if correlation is not None:
        shown = figure_texts.format_correlation(correlation)
        texts.append(f"correlation of its verdicts with length {shown}")
    n_missing = rates["n_missing"]
    if n_missing:
        n_asked = rates["n_verdicts"] + n_missing
        texts.append(f"missing {n_missing:,} of {n_asked:,}")
    return ", ".join(texts)


def _format_rate(rate: Mapping[str, Any]) -> str:
    """A share and how many rows it rests on; one that does not apply is n/a, never 0%."""
    if rate["value"] is None:
        return "n/a"
    share = figure_texts.format_share(rate["value"])
    return f"{share} of {rate['n']:,}"
