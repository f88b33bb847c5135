"""The judge's health: what it is worth, towards what it is biased, and its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tacos.report.figure_texts import format_correlation, format_score, format_share
from tacos.report.judge_bias import describe_bias
from tacos.report.judge_tastes import describe_tastes
from tacos.report.judge_words import NO_FACTS
from tacos.report.page_parts import DataTable, Figure, Section
from tacos.report.plots.cluster_map import choose_drawn
from tacos.report.plots.score_plots import (
    draw_score_length,
    draw_value_correctness,
)
from tacos.report.report_input import ReportInput
from tacos.report.score_figures import describe_length_correlation
from tacos.report.worth_words import describe_worth, explain_bound

LABELS = {
    "n_verdicts": "verdicts",
    "n_missing": "verdicts missing",
    "flip_rate": "winner flips with the order",
    "one_sided_tie_rate": "a tie in one order only",
    "tie_rate": "ties",
    "first_share": "first position wins (fair: 50%)",
    "length_correlation": "correlation of its verdicts with length (before any rating)",
    "violation_rate": "circles: a beats b beats c beats a",
    "top_score_share": "share of the most common score",
    "collapsed": "nearly all scores the same",
    "number_correlation": "correlation of value and correctness",
}
"""Figure of `tacos.methods.judging.judge_health` -> what the table calls it."""
OF_NUMBERS = ("flip_rate", "length_correlation", "top_score_share", "collapsed")
OF_SCORES = (
    "",
    "rated rows",
    "mean",
    "mean of the selected",
    "correlation with length",
)


def draw_numbers(source: ReportInput) -> Figure | None:
    """The two numbers of the judge against each other; None where it gives only one, or none."""
    if "value" not in source.summary.scores:
        return None
    numbers = source.read_numbers()
    return draw_value_correctness(numbers, choose_drawn(numbers, source.settings.seed))


def build_judge(source: ReportInput, numbers: Figure | None) -> Section | None:
    """What the judge is worth, its biases in sentences, and the figures behind them, with the one
    of `draw_numbers`; None for a run without scores.
    """
    summary = source.summary
    if not summary.scores and not summary.diagnostics:
        return None
    columns = {"all": summary.diagnostics, **summary.judges}
    head = ("", *columns) if summary.judges else ("", "figure")
    names = list(LABELS) if summary.diagnostics else []
    drawn = [draw_score_length(source.pool, source.drawn), numbers]
    values = {
        "summary": summary,
        "worth": _start_sentence(describe_worth(summary.worth))
        if summary.worth
        else "",
        "bound": explain_bound(summary) if summary.worth else "",
        "no_facts": NO_FACTS,
        "findings": describe_bias(source),
        "tastes": describe_tastes(summary.tastes),
        "figures": [figure for figure in drawn if figure is not None],
        "scores": DataTable(OF_SCORES, _list_scores(source), frozenset({1, 2, 3})),
        "table": _build_table(head, names, list(columns.values())),
        "numbers": _build_number_table(summary.diagnostics.get("numbers") or {}),
        "agreement": _build_agreement_table(summary.agreement),
    }
    title = (
        "Can the judges be trusted?" if summary.judges else "Can the judge be trusted?"
    )
    return Section("judge", title, values)


def _start_sentence(text: str) -> str:
    """A text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def _list_scores(source: ReportInput) -> list[tuple[str, ...]]:
    """Score, value and correctness: means, and how far they follow length."""
    return [
        (
            name,
            f"{figures['n']:,}",
            format_score(figures["mean"]),
            format_score(figures["selected"]),
            describe_length_correlation(figures) or "n/a",
        )
        for name, figures in source.summary.scores.items()
    ]


def _build_agreement_table(agreement: list[dict[str, Any]]) -> DataTable:
    """How often each two judges of a panel prefer the same side."""
    rows = [
        (" and ".join(it["judges"]), format_share(it["value"]), f"{it['n']:,}")
        for it in agreement
    ]
    head = ("two judges", "prefer the same side", "pairs")
    return DataTable(head, rows, frozenset({1, 2}))


def _build_number_table(numbers: Mapping[str, Mapping[str, Any]]) -> DataTable:
    """The figures of value and correctness, where the judge gives both."""
    head = ("of the two numbers", *numbers)
    return _build_table(head, list(OF_NUMBERS) if numbers else [], [*numbers.values()])


def _build_table(
    head: tuple[str, ...],
    names: list[str],
    columns: list[Mapping[str, Any]],
) -> DataTable:
    """A line per figure, a column per judge or number."""
    rows = []
    for name in names:
        cells = [_format_diagnostic(name, column[name]) for column in columns]
        rows.append((LABELS[name], *cells))
    return DataTable(head, rows, frozenset(range(1, len(head))))


def _format_diagnostic(name: str, value: Any) -> str:
    """A share or a correlation with the cases that it rests on; a count; or yes and no."""
    if isinstance(value, Mapping):
        of_cases = f" of {value['n']:,}" if value["n"] else ""
        format_value = format_correlation if "correlation" in name else format_share
        return format_value(value["value"]) + of_cases
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}"
