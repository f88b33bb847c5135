"""The judge's own scores, and what they are worth."""

from __future__ import annotations

from tacos.report.figure_texts import format_score
from tacos.report.judge_words import NO_FACTS
from tacos.report.page_parts import DataTable, Section
from tacos.report.report_input import ReportInput
from tacos.report.score_figures import describe_length_correlation


def build_scores(source: ReportInput) -> Section | None:
    """The means of the scores; None for a run without scores."""
    summary = source.summary
    if not summary.scores:
        return None
    rows = []
    for name, figures in summary.scores.items():
        cells = (
            name,
            f"{figures['n']:,}",
            format_score(figures["mean"]),
            format_score(figures["selected"]),
            describe_length_correlation(figures) or "n/a",
        )
        rows.append(cells)
    head = (
        "",
        "rated rows",
        "mean",
        "mean of the selected",
        "correlation with length",
    )
    values = {
        "summary": summary,
        "table": DataTable(head, rows, frozenset({1, 2, 3})),
        "no_facts": NO_FACTS,
    }
    return Section("scores", "Scores", values)
