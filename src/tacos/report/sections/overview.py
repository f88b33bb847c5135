"""What was asked, what came out, and what to know before anything else."""

from __future__ import annotations

from tacos.methods.samples.reading_notes import describe_unread
from tacos.report.extension_facts import describe_extension
from tacos.report.lead_sentences import describe_asked, describe_result, read_size
from tacos.report.next_steps import suggest_steps
from tacos.report.page_parts import Section
from tacos.report.report_input import ReportInput
from tacos.report.selection_request import describe_request
from tacos.report.shown_paths import show_paths
from tacos.report.spending_figures import describe_dollars


def build_overview(source: ReportInput) -> Section:
    """The request and its result in a sentence each, the verdict, and the most important counts."""
    summary = source.summary
    size = read_size(source.artifacts, source.settings)
    values = {
        "asked": describe_asked(summary, size, source.inputs),
        "came_out": describe_result(summary),
        "request": describe_request(summary.request) if summary.request else "",
        "summary": summary,
        "verdict": summary.verdict,
        "next_steps": suggest_steps(source),
        "dollars": describe_dollars(summary.spending),
        "unread": describe_unread(summary.taken),
        "extended": describe_extension(show_paths(summary.extended))
        if summary.extended
        else "",
    }
    return Section("overview", "In short", values)
