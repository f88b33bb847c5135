"""What to do next: a step for each figure of a run that asks for one, with the figure.

A step stands here only where the run's own figures support it. None says that the next selection
will be better: it says what to look at, and by which command.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import NamedTuple

from tacos.methods.measures.judge_tastes import Taste
from tacos.pipeline.steps.reliability import ASSUMED, Reliability
from tacos.report.better_than_random import TO_KNOW
from tacos.report.figure_texts import format_share
from tacos.report.report_input import ReportInput
from tacos.report.shown_paths import show_path

MUCH_LONGER = 1.25
"""Times the median length of the pool: from here on lengths are worth a step."""
MUCH_FAVOURED = 1.25
"""Times its share of the pool that a source has of the selection, likewise."""
MUCH_DISLIKED = 5.0
"""Points that the rows of a tag get less: from here on it is worth a step."""
N_TOPICS = 3
"""Tags that one step names."""
NO_WEIGHT = 0.999
"""A reliability above this leaves tags nothing that a price could raise."""


class NextStep(NamedTuple):
    """What the figures say, what to do about it, and the command that does ("": none)."""

    why: str
    what: str
    command: str = ""


def suggest_steps(source: ReportInput) -> list[NextStep]:
    """The steps that the figures of a run ask for, those about the selection first."""
    return [
        *_cover_more_tags(source),
        *_match_lengths(source),
        *_balance_sources(source),
        *_restore_topics(source),
        *_measure_judge(source),
    ]


def _cover_more_tags(source: ReportInput) -> Iterator[NextStep]:
    """Where the selection covers fewer tags than random rows, at a price that can be raised."""
    coverage = source.summary.verdict.get("coverage")
    if not coverage or source.request.strategy != "tacos" or source.request.selector:
        return
    if source.summary.verdict["coverage_place"] != "below":
        return
    own, chance = map(format_share, coverage)
    reliability = source.request.reliability
    if reliability is None or reliability > NO_WEIGHT or not source.made.takes_by_sum:
        return
    notes = source.artifacts["selection"].manifest["notes"]
    made_price = notes.get("tag_price", source.settings.select.tag_price)
    price = made_price * max(ASSUMED / (1 - reliability), 4.0)
    why = f"It covers {own} of the tags; as many random rows cover {chance}."
    if reliability > ASSUMED:
        why += (
            f" The judge's reliability is taken to be {reliability:.0%}, so a new tag counts "
            f"{1 - reliability:.1%} of its price."
        )
    yield NextStep(
        why,
        "Select again at a higher price of new tags, and look at what the scores lose.",
        _write_reselect(source, f"--tag-price {price:.2g}", "more-tags.jsonl"),
    )


def _match_lengths(source: ReportInput) -> Iterator[NextStep]:
    """Where the selected responses are longer, and the judge is known to give points for it."""
    if source.request.limits.match_length or "length" not in source.summary.tastes:
        return
    taste = Taste(**source.summary.tastes["length"])
    longest = source.summary.selection["selection"]["median_length"]
    usual = source.summary.selection["pool"]["median_length"]
    if not taste.low > 0 or not usual or not longest or longest < MUCH_LONGER * usual:
        return
    yield NextStep(
        f"The judge gives {taste.points:.1f} points for twice the length at the same grade by "
        f"another judge, and the median selected response has {longest:,.0f} characters against "
        f"{usual:,.0f} in the pool.",
        "Select again with the lengths of the pool (where too few rows of some lengths are rated, "
        "it says so, and what to do), or "
        "take the length out of the scores: tacos select with --set rate.length=true.",
        _write_reselect(source, "--match-length", "same-lengths.jsonl"),
    )


def _balance_sources(source: ReportInput) -> Iterator[NextStep]:
    """Where a source that the judge gives points to has far more than its share."""
    if source.request.limits.per_source:
        return
    n_pool = source.pool.height
    n_selected = source.rows.height
    for name, figures in source.summary.tastes.get("sources", {}).items():
        taste = Taste(**figures)
        of_source = source.pool.filter(source=name)
        of_pool = of_source.height / n_pool
        of_selection = int(of_source["is_selected"].sum()) / n_selected
        if not taste.low > 0 or of_selection < MUCH_FAVOURED * of_pool:
            continue
        quota = shlex.quote(f"{name}<={of_pool:.0%}")
        yield NextStep(
            f"Rows of {name} get {taste.points:.1f} points more than others with the same grade "
            f"by another judge, and have {of_selection:.1%} of the selection against "
            f"{of_pool:.1%} of the pool.",
            "If they are not better in what you need, limit their share.",
            _write_reselect(source, f"--quota-source {quota}", "balanced.jsonl"),
        )


def _restore_topics(source: ReportInput) -> Iterator[NextStep]:
    """Where rows of a tag get fewer points, and the selection has less than half of their share."""
    if source.request.limits.per_tag or "canonical_tags" not in source.artifacts:
        return
    disliked = [
        (tag, Taste(**figures))
        for tag, figures in source.summary.tastes.get("topics", {}).items()
        if figures["high"] < 0 and figures["points"] <= -MUCH_DISLIKED
    ]
    disliked.sort(key=lambda item: item[1].points)
    if not disliked:
        return
    names = ("group", "n_pool", "n_selected", "expected")
    counts = {tag: figures for tag, *figures in source.tags.select(names).iter_rows()}
    named, quotas = [], []
    for tag, taste in disliked[:N_TOPICS]:
        n_tagged, n_taken, n_expected = counts[tag]
        if n_taken > n_expected / 2:
            continue
        named.append(
            f"{tag} ({-taste.points:.1f} points less; {n_taken:,} of its {n_tagged:,} rows are "
            f"selected, by chance {n_expected:.1f} would be)"
        )
        # Only rated rows can be taken.
        wanted = max(1, min(round(n_expected), taste.n))
        quotas.append(f"--quota-tag {shlex.quote(f'{tag}={wanted}')}")
    if named:
        yield NextStep(
            "The judge is against rows with the tags "
            f"{', '.join(named)}, compared with rows of the same grade by another judge.",
            "Read some of their comparisons. If the judge is wrong about them, give each its "
            "share of the selection.",
            _write_reselect(source, " ".join(quotas), "with-topics.jsonl"),
        )


def _measure_judge(source: ReportInput) -> Iterator[NextStep]:
    """Where nobody has compared the judge with people, or the comparison shows nothing."""
    worth = source.summary.worth
    answer = source.summary.verdict.get("answer")
    if answer == "not shown":
        yield NextStep(
            "Whether it is better than random does not show.",
            f"To know more, {TO_KNOW}.",
        )
        return
    # Where nothing is known, the verdict itself says what to do.
    if not worth or answer == "not known":
        return
    known = Reliability(worth["reliability"], worth["basis"])
    if known.is_bound:
        yield NextStep(
            "Nobody has measured the judge: what is known of it comes from its own verdicts.",
            f"To know how right it is, {TO_KNOW}.",
        )


def _write_reselect(source: ReportInput, option: str, output: str) -> str:
    """A command of `tacos reselect` with an option."""
    run = shlex.quote(show_path(source.run))
    return f"tacos reselect {run} -n {source.rows.height} {option} -o {output}"
