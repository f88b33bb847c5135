"""What a run cost in money and time: lines of the summary."""

from __future__ import annotations

from collections.abc import Iterator

from tacos.counts import count_words
from tacos.llm.transport.endpoint_names import NOT_NOTED
from tacos.report.facts import RunSummary
from tacos.report.spending_figures import describe_spending

SHORTEST = 0.05
"""Seconds from which on a stage is listed."""

Lines = Iterator[tuple[str, str]]
"""Label and text of each line."""


def format_spending(summary: RunSummary) -> Lines:
    """What the answers cost, by stage and in all."""
    for stage, text in describe_spending(summary.spending).items():
        yield f"paid for {stage}", text


def format_replies(summary: RunSummary) -> Lines:
    """Questions asked anew, and replies of other endpoints, by stage."""
    for stage, origins in summary.replies.items():
        n_anew = origins["asked_anew"]
        if n_anew:
            yield (
                f"replies to {stage}",
                f"{count_words(n_anew, 'question')} asked anew: earlier replies could not be used",
            )
        for endpoint, n_replies in origins["other_endpoints"].items():
            source = f"by another endpoint: {endpoint}"
            if endpoint == NOT_NOTED:
                source = (
                    "of which no endpoint was noted (a reply file, or an older ledger)"
                )
            yield f"replies to {stage}", f"{n_replies:,} from the ledger, {source}"


def format_seconds(
    summary: RunSummary,
    waited: float | None,
    *,
    is_new: bool = True,
) -> str:
    """How long the command took, the total of the stages, and those that took longest, the slowest
    first; `is_new` says whether all of them ran in this command.
    """
    slowest_first = sorted(summary.seconds.items(), key=lambda item: -item[1])
    stages = [
        f"{stage} {value:.1f}" for stage, value in slowest_first if value >= SHORTEST
    ]
    details = f" ({', '.join(stages)})" if stages else ""
    total = summary.total_seconds
    if waited is None:
        return f"{total:.1f} in stages{details}"
    command = f"{waited:.1f} for this command"
    # Stages that are up to date did not run again, however short they were.
    if not is_new or total > waited:
        return f"{command}; the stages took {total:.1f} when they ran{details}"
    return f"{command}, of which {total:.1f} in stages{details}"
