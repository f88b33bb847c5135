"""The selection beside its pool, as many random rows and as many of the longest."""

from __future__ import annotations

from tacos.report.figure_texts import LABELS, SUMMARY_FIGURES, format_figure
from tacos.report.page_parts import DataTable, Figure, Section
from tacos.report.plots.complexity_coverage import draw_complexity_coverage
from tacos.report.report_input import ReportInput


def build_pool_and_selection(source: ReportInput) -> Section:
    """The figures of the summary, a line per group of rows."""
    rows = []
    for name, figures in source.summary.selection.items():
        cells = [format_figure(each, figures[each]) for each in SUMMARY_FIGURES]
        rows.append((name, *cells))
    head = ("", *(LABELS[name] for name in SUMMARY_FIGURES))
    table = DataTable(head, rows, frozenset(range(1, len(head))))
    return Section(
        "pool-and-selection",
        "The selection beside pool, chance and length",
        {"table": table, "figure": _draw_diversity(source)},
    )


def _draw_diversity(source: ReportInput) -> Figure | None:
    """Coverage and tags per row as a figure; None where no row has a tag."""
    chance = source.summary.random_range
    if chance is None:
        return None
    return draw_complexity_coverage(source.summary.selection, chance)
