"""What was asked, what came out, and what to know before anything else."""

from __future__ import annotations

from tacos.methods.samples.reading_notes import describe_unread
from tacos.report.extension_facts import describe_extension
from tacos.report.lead_sentences import describe_asked, describe_result, read_size
from tacos.report.page_parts import Section
from tacos.report.report_input import ReportInput
from tacos.report.selection_request import describe_request


def build_overview(source: ReportInput) -> Section:
    """The request and its result in words, the most important counts, and the warnings."""
    summary = source.summary
    values = {
        "summary": summary,
        "asked": describe_asked(
            summary,
            read_size(source.artifacts, source.settings),
            source.inputs,
        ),
        "result": describe_result(summary),
        "request": describe_request(summary.request) if summary.request else "",
        "unread": describe_unread(summary.taken),
        "extended": describe_extension(summary.extended) if summary.extended else "",
    }
    return Section("overview", "In short", values)
