"""What became of the rows: how many were read, and where the others were left, for which reason."""

from __future__ import annotations

from tacos.report.page_parts import DataTable, Section
from tacos.report.report_input import ReportInput


def build_funnel(source: ReportInput) -> Section:
    """Rejected rows by stage and reason, and the rules of the shortlist."""
    summary = source.summary
    rejected = [
        (reason, stage, f"{count:,}")
        for stage, reasons in summary.rejects.items()
        if stage != "shortlist"
        for reason, count in reasons.items()
    ]
    shortlisted = [
        (rule, what, f"{count:,}")
        for what, rules in summary.shortlist.items()
        for rule, count in rules.items()
    ]
    values = {
        "summary": summary,
        "rejected": DataTable(
            ("reason", "stage", "rows"),
            rejected,
            frozenset({2}),
            "Rejected rows",
        ),
        "shortlisted": DataTable(
            ("rule", "", "rows"),
            shortlisted,
            frozenset({2}),
            "The shortlist: which rows enter comparison. A row counts once in each cluster that "
            "it is compared in.",
        ),
    }
    return Section("funnel", "What became of the rows", values)
