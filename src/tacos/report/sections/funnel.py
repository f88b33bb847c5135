"""What became of the rows: how many were read, and where the others were left, for which reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tacos.pipeline.steps.matched_rows import count_distinct_ids
from tacos.pipeline.steps.pool import find_newest_scores
from tacos.report.facts import LEFT_OUT
from tacos.report.judge_words import name_judge
from tacos.report.page_parts import DataTable, Section
from tacos.report.report_input import ReportInput
from tacos.store.exact_duplicates import DUPLICATE

CLEANED = "clean: "
"""How the reason of a row begins that a rule of cleaning left out."""


class FunnelStep(NamedTuple):
    """Rows that came as far as this, and why the others of the step before did not."""

    name: str
    n: int
    share: float
    """Of the rows read."""
    losses: list[tuple[str, int]]
    note: str = ""


def build_funnel(source: ReportInput) -> Section:
    """The steps from read to selected rows, the rules of the shortlist, and failed replies."""
    summary = source.summary
    shortlisted = [
        (rule, what, f"{count:,}")
        for what, rules in summary.shortlist.items()
        for rule, count in rules.items()
    ]
    failed = [
        (stage, reason, f"{count:,}")
        for stage, reasons in summary.rejects.items()
        if stage not in {"samples", "selection", "shortlist"}
        for reason, count in reasons.items()
    ]
    values = {
        "steps": list(_list_steps(source)),
        "shortlisted": DataTable(
            ("rule", "", "rows"),
            shortlisted,
            frozenset({2}),
            "The shortlist: which rows enter comparison. A row counts once in each cluster that "
            "it is compared in.",
        ),
        "failed": DataTable(
            ("asked for", "what was wrong", "replies"),
            failed,
            frozenset({2}),
            "Replies that could not be used. Their rows stay in the pool, without what was asked.",
        ),
    }
    return Section("funnel", "What became of the rows", values)


def _list_steps(source: ReportInput) -> Iterator[FunnelStep]:
    """Read, readable, clean, distinct, graded, shortlisted, scored, selected; a step that lost no
    row and says nothing new is left out.
    """
    summary = source.summary
    n_read = summary.n_read

    def build_step(
        name: str, n: int, losses: list[tuple[str, int]], note: str = ""
    ) -> FunnelStep:
        share = n / n_read if n_read else 0.0
        return FunnelStep(name, n, share, losses, note)

    yield build_step("read", n_read, [])
    n = n_read
    for name, losses in _group_rejects(summary.rejects.get("samples", {})).items():
        if losses:
            n -= sum(count for _, count in losses)
            yield build_step(name, n, losses)
    graded = source.artifacts.get("grades")
    if graded is not None:
        n_graded = count_distinct_ids(graded.batches(["id"]))
        yield build_step(
            "graded one by one", n_graded, [], f"by {name_judge(graded.model)}"
        )
    yield from (
        build_step(name, n, losses, note)
        for name, n, losses, note in _list_judged(source)
    )
    others = summary.rejects.get("selection", {})
    yield build_step(
        "selected", summary.n_selected, list(others.items()), _note_rest(source)
    )


def _group_rejects(reasons: Mapping[str, int]) -> dict[str, list[tuple[str, int]]]:
    """Step -> what it left out: unreadable rows, rows that a rule cleans away, duplicates."""
    groups: dict[str, list[tuple[str, int]]] = {
        "readable, with a question and an answer": [],
        "left by cleaning": [],
        "without duplicates": [],
    }
    for reason, count in reasons.items():
        name = "readable, with a question and an answer"
        if reason.startswith(CLEANED):
            name = "left by cleaning"
        elif reason == DUPLICATE:
            name = "without duplicates"
        groups[name].append((reason.removeprefix(CLEANED), count))
    return groups


def _list_judged(
    source: ReportInput,
) -> Iterator[tuple[str, int, list[tuple[str, int]], str]]:
    """The shortlist and the rows with a score, where comparisons decide."""
    summary = source.summary
    if "shortlist" in source.artifacts and not summary.shortlist_note:
        n = count_distinct_ids(source.artifacts["shortlist"].batches(["id"]))
        rules = [
            (f"left out by the rule {reason.removeprefix(LEFT_OUT)}", count)
            for reason, count in summary.rejects.get("shortlist", {}).items()
        ]
        yield "shortlisted", n, rules, "only these were compared"
    newest = find_newest_scores(source.artifacts)
    if newest is not None:
        scores = source.artifacts[newest].batches(["id", "score"])
        n = count_distinct_ids(batch.drop_nulls("score") for batch in scores)
        yield "scored", n, [], ""


def _note_rest(source: ReportInput) -> str:
    """How many rows the selection had to choose from."""
    n_left = source.summary.n_samples - source.summary.n_selected
    return f"{n_left:,} usable rows were not taken"
