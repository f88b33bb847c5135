"""The HTML report: one file, no network, made from the same figures as the terminal's table."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import polars as pl
from jinja2 import Environment, StrictUndefined, Template

from tacos.methods.samples.last_question import find_last_question
from tacos.methods.samples.reading_notes import describe_unread
from tacos.report import figure_texts
from tacos.report.extension_facts import describe_extension
from tacos.report.facts import RunSummary
from tacos.report.judge_words import NO_FACTS
from tacos.report.score_figures import describe_length_correlation
from tacos.report.selection_request import describe_request
from tacos.report.spending_figures import describe_spending
from tacos.visible_text import clean_text

N_SHOWN = 200
"""Selected rows shown in full; the sidecar has all of them."""
N_BINS = 30


SHOWN_COLUMNS = (
    "rank",
    "id",
    "score",
    "value",
    "correctness",
    "cluster",
    "rule",
    "tags",
    "instruction",
    "response",
)


def render_report(
    summary: RunSummary,
    scores: pl.DataFrame,
    rows: pl.DataFrame,
) -> str:
    """The report as HTML; `scores` and `rows` are the selection in input order."""
    shown = rows.sort("rank").head(N_SHOWN).select(SHOWN_COLUMNS)
    # Transcripts begin alike; what tells rows of a list apart is what is asked last.
    questions = [find_last_question(text) for text in shown["instruction"]]
    shown = shown.with_columns(question=pl.Series(questions, dtype=pl.String))
    sizes = [cluster["n_members"] for cluster in summary.clusters]
    # The template scales bars by the largest cluster.
    return _load_template().render(
        summary=summary,
        no_facts=NO_FACTS,
        unread=describe_unread(summary.taken),
        spending=describe_spending(summary.spending),
        extended=describe_extension(summary.extended) if summary.extended else "",
        figures=figure_texts.SUMMARY_FIGURES,
        request=describe_request(summary.request) if summary.request else "",
        most=max(sizes, default=1),
        scores=_build_histogram(scores["score"].drop_nulls()),
        lengths=_build_histogram(scores["length"]),
        rows=shown.to_dicts(),
        n_more=rows.height - shown.height,
    )


def _build_histogram(values: pl.Series) -> list[dict[str, Any]]:
    """Bins of equal width: low, high, n, and the height as a share of the fullest bin's."""
    if values.is_empty():
        return []
    low = float(values.min())  # type: ignore[arg-type]
    high = float(values.max())  # type: ignore[arg-type]
    # All values may be equal: then the first bin has them all.
    width = (high - low) / N_BINS or 1.0
    distances = values.cast(pl.Float64) - low
    positions = distances / width
    # The largest value belongs to the last bin, not to one of its own.
    numbers = positions.floor().cast(pl.Int64).clip(0, N_BINS - 1)
    counts = dict(numbers.value_counts().iter_rows())
    fullest = max(counts.values())
    bins = []
    for number in range(N_BINS):
        n = counts.get(number, 0)
        bins.append(
            {
                "low": low + number * width,
                "high": low + (number + 1) * width,
                "n": n,
                "share": n / fullest,
            }
        )
    return bins


@cache
def _load_template() -> Template:
    """The report's template; it escapes everything that is put into it."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_clean_output,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The digits of the terminal's tables
    environment.filters |= {
        "correlation": figure_texts.format_correlation,
        "figure": _format_figure,
        "label": figure_texts.LABELS.__getitem__,
        "length_correlation": describe_length_correlation,
        "score": figure_texts.format_score,
        "share": figure_texts.format_share,
    }
    file = files("tacos.report").joinpath("report.html.jinja")
    return environment.from_string(file.read_text("utf-8"))


def _clean_output(value: Any) -> Any:
    """What a browser would obey, or leave out, is shown as a sign."""
    return clean_text(value) if isinstance(value, str) else value


def _format_figure(value: float | None, name: str) -> str:
    """A figure of a selection; a filter's value comes first."""
    return figure_texts.format_figure(name, value)
