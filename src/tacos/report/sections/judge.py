"""The judge's health: does it contradict itself, and towards what does it lean?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tacos.report.figure_texts import format_correlation, format_share
from tacos.report.judge_tastes import describe_tastes
from tacos.report.page_parts import DataTable, Section
from tacos.report.report_input import ReportInput

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


def build_judge(source: ReportInput) -> Section | None:
    """The figures of all verdicts, of each judge of a panel and of both numbers; None for a run
    without verdicts.
    """
    summary = source.summary
    if not summary.diagnostics:
        return None
    columns = {"all": summary.diagnostics, **summary.judges}
    head = ("", *columns) if summary.judges else ("", "figure")
    values = {
        "summary": summary,
        "tastes": describe_tastes(summary.tastes),
        "table": _build_table(head, list(LABELS), list(columns.values())),
        "numbers": _build_number_table(summary.diagnostics.get("numbers") or {}),
        "agreement": DataTable(
            ("two judges", "prefer the same side", "pairs"),
            [
                (
                    " and ".join(it["judges"]),
                    format_share(it["value"]),
                    f"{it['n']:,}",
                )
                for it in summary.agreement
            ],
            frozenset({1, 2}),
        ),
    }
    return Section("judge", "The judges" if summary.judges else "The judge", values)


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
