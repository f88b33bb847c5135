"""The selected rows, best first, with their texts and what took them."""

from __future__ import annotations

import polars as pl

from tacos.methods.samples.last_question import find_last_question
from tacos.methods.samples.truncation import truncate_text
from tacos.report.keep_reasons import explain_keep
from tacos.report.page_parts import Section
from tacos.report.report_input import ReportInput

N_SHOWN = 200
"""Selected rows that are shown; the sidecar has all of them."""
TEXT_LENGTH = 8_000
"""Characters of an instruction, and of a response: a text of a megabyte makes the page slow."""
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


def build_selected_rows(source: ReportInput) -> Section:
    """The first rows by rank."""
    shown = source.rows.sort("rank").head(N_SHOWN).select(SHOWN_COLUMNS)
    # Transcripts begin alike; what tells rows of a list apart is what is asked last.
    questions = [find_last_question(text) for text in shown["instruction"]]
    reasons = [explain_keep(source.made, row) for row in shown.iter_rows(named=True)]
    shown = shown.with_columns(
        question=pl.Series(questions, dtype=pl.String),
        instruction=_shorten_texts(shown["instruction"]),
        response=_shorten_texts(shown["response"]),
        reason=pl.Series(reasons, dtype=pl.String),
    )
    values = {
        "rows": shown.to_dicts(),
        "n_more": source.rows.height - shown.height,
    }
    return Section("selected-rows", "Selected rows, best first", values)


def _shorten_texts(texts: pl.Series) -> pl.Series:
    """Texts of at most `TEXT_LENGTH` characters; what is cut says how much."""
    shortened = [truncate_text(text, TEXT_LENGTH) for text in texts]
    return pl.Series(shortened, dtype=pl.String)
