"""How raw tags became canonical ones, and who tagged."""

from __future__ import annotations

from tacos.report.page_parts import DataTable, Section
from tacos.report.report_input import ReportInput


def build_tags(source: ReportInput) -> Section | None:
    """The steps of normalisation and the models of a cascade; None for a run without either."""
    summary = source.summary
    steps = [
        (
            step["name"],
            f"{step['n_in']:,}",
            f"{step['n_out']:,}",
            f"{step['n_merged']:,}",
            f"{step['n_dropped']:,}",
        )
        for step in summary.normalisation
    ]
    if not steps and not summary.tagged_by:
        return None
    values = {
        "distilled": summary.distilled,
        "tagged_by": DataTable(
            ("tags by", "instructions"),
            [(name, f"{n:,}") for name, n in summary.tagged_by.items()],
            frozenset({1}),
            "Cascade of taggers",
        ),
        "steps": DataTable(
            ("step", "tags in", "tags out", "merged", "dropped"),
            steps,
            frozenset({1, 2, 3, 4}),
            "From raw to canonical tags",
        ),
    }
    return Section("tags", "Tags", values)
