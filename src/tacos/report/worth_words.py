"""What a judge's scores are worth, in sentences; and why that is no contradiction to its flips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tacos.pipeline.steps.reliability import Reliability
from tacos.report.facts import RunSummary

MANY_FLIPS = 0.2
"""A share of flips that is explained beside a high bound (good judges of close answers have it:
MT-Bench, arXiv 2306.05685)."""


def describe_worth(worth: Mapping[str, Any]) -> str:
    """What `RunSummary.worth` says, in one sentence without its full stop.

    >>> describe_worth({"reliability": 0.12, "basis": "set in judge.reliability"})
    'its scores explain 12% of the differences in quality (set in judge.reliability)'
    """
    known = Reliability(worth["reliability"], worth["basis"])
    if known.value is None:
        return f"unknown ({known.basis})"
    if not known.is_bound:
        return (
            f"its scores explain {known.value:.0%} of the differences in quality "
            f"({known.basis})"
        )
    # The word that the basis begins with stands before the figure here.
    basis = known.basis.removeprefix("at most, ")
    return (
        f"how right it is, nobody has measured; at most {known.value:.0%} of the differences "
        f"between its scores would come back if it were asked again ({basis}), which counts as "
        f"{known.weight:.0%} in selecting"
    )


def explain_bound(summary: RunSummary) -> str:
    """What a bound does not say, and how it goes together with many flips; "" for other worths."""
    known = Reliability(summary.worth["reliability"], summary.worth["basis"])
    if not known.is_bound:
        return ""
    text = (
        "That is how repeatable the scores are, not how right: what the judge gets wrong every "
        "time, such as a liking for length, is repeated, too."
    )
    flips = summary.diagnostics.get("flip_rate") or {"value": None}
    n_rated = summary.scores.get("score", {}).get("n", 0)
    if flips["value"] is None or flips["value"] < MANY_FLIPS or not n_rated:
        return text
    each = 2 * summary.n_verdicts / n_rated
    return (
        f"{text} It is no contradiction that {flips['value']:.1%} of {flips['n']:,} pairs change "
        f"their winner with the order: those are single verdicts. A score rests on {each:.1f} "
        f"verdicts in the mean ({summary.n_verdicts:,} on pairs of {n_rated:,} rows), and over "
        "both orders of a pair what the place adds cancels out."
    )
