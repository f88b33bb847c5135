"""What the run cost: dollars, tokens and requests of every stage."""

from __future__ import annotations

from tacos.report.page_parts import Section
from tacos.report.report_input import ReportInput
from tacos.report.spending_figures import describe_spending


def build_spending(source: ReportInput) -> Section | None:
    """A text per stage that was paid for; None for a run that asked no language model."""
    texts = describe_spending(source.summary.spending)
    if not texts:
        return None
    return Section("spending", "Paid", {"texts": texts})
