"""What the run cost: seconds of every stage, and dollars, tokens and requests of those that asked a
language model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tacos.report.page_parts import DataTable, Section
from tacos.report.report_input import ReportInput
from tacos.report.spending_figures import describe_spending

PAID = ("requests", "prompt_tokens", "answer_tokens")


def build_spending(source: ReportInput) -> Section:
    """A line per stage, the longest first, and the sum."""
    summary = source.summary
    spending = summary.spending
    stages = sorted(summary.seconds, key=lambda stage: -summary.seconds[stage])
    rows = [
        (
            stage,
            summary.models.get(stage, ""),
            f"{summary.seconds[stage]:,.1f}",
            *_format_paid(spending.get(stage, ())),
        )
        for stage in stages
    ]
    every_line = [line for lines in spending.values() for line in lines]
    total = ("in all", "", f"{summary.total_seconds:,.1f}", *_format_paid(every_line))
    head = (
        "stage",
        "model",
        "seconds",
        "requests",
        "tokens in",
        "tokens out",
        "US dollars",
    )
    texts = describe_spending(spending)
    values = {
        "total": list(texts.values())[-1] if texts else "",
        "seconds": summary.total_seconds,
        "n_samples": summary.n_samples,
        "table": DataTable(
            head,
            [*rows, total],
            frozenset(range(2, len(head))),
            "What each stage took; rounds together",
        ),
    }
    return Section("spending", "Cost and time", values)


def _format_paid(lines: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Requests, tokens in, tokens out, dollars of the lines of a stage; "" for none."""
    if not lines:
        return ("", "", "", "")
    counts = [f"{sum(line.get(name, 0) for line in lines):,}" for name in PAID]
    prices = [line["usd"] for line in lines]
    dollars = f"{sum(price for price in prices if price is not None):.4f}"
    if None in prices:
        dollars = "not known" if set(prices) == {None} else f"{dollars} and more"
    return (*counts, dollars)
