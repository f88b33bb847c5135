"""The best and the worst rows by the judge, selected or not, with what the judge said."""

from __future__ import annotations

from typing import Any

import polars as pl

from tacos.methods.judging.judge_health import drop_null_rows
from tacos.methods.samples.last_question import find_last_question
from tacos.report.judge_words import describe_reasons
from tacos.report.page_parts import Section
from tacos.report.report_input import ReportInput

N_EACH = 6
MAX_TEXT = 1_500
"""Characters shown of a question and of an answer."""


def build_samples(source: ReportInput) -> Section | None:
    """Rows from both ends of the scores; None for a run without any."""
    scores = drop_null_rows(source.pool.select("id", "score"))
    if scores.height < 2 * N_EACH:
        return None
    ends = source.codes.name_rows(_find_ends(scores))
    best = ends.head(N_EACH)["id"].to_list()
    worst = ends.tail(N_EACH)["id"].reverse().to_list()
    rows = _read_rows(source, ends, [*best, *worst])
    values = {
        "n": scores.height,
        "groups": [
            ("Best by score", [rows[each] for each in best]),
            ("Worst by score", [rows[each] for each in worst]),
        ],
    }
    return Section("samples", "Best and worst rows", values)


def _find_ends(scores: pl.DataFrame) -> pl.DataFrame:
    """The best and the worst rows, in order; of equal scores the smaller id comes first."""
    # Sorted in full, ids and scores of large pools would stand in memory once more.
    lowest_best = scores["score"].top_k(N_EACH).min()
    highest_worst = scores["score"].bottom_k(N_EACH).max()
    is_end = (pl.col("score") >= lowest_best) | (pl.col("score") <= highest_worst)
    ends = scores.filter(is_end)
    return ends.sort("score", "id", descending=[True, False])


def _read_rows(
    source: ReportInput,
    scores: pl.DataFrame,
    ids: list[str],
) -> dict[str, dict[str, Any]]:
    """Texts, score and the judge's words of rows, by their id."""
    is_one = pl.col("id").is_in(ids)
    samples = source.artifacts["samples"].scan().filter(is_one)
    texts = samples.select("id", "instruction", "response").collect()
    selected = set(source.rows["id"])
    score_of = dict(scores.filter(is_one).select("id", "score").iter_rows())
    grades = None
    if "grades" in source.artifacts:
        grades = source.artifacts["grades"].scan().filter(is_one).collect()
    rows = {}
    for entry in texts.iter_rows(named=True):
        row = entry["id"]
        words = []
        if grades is not None:
            words = describe_reasons(grades.filter(pl.col("id") == row))
        rows[row] = {
            "id": row,
            "question": find_last_question(entry["instruction"])[:MAX_TEXT],
            "response": entry["response"][:MAX_TEXT],
            "score": score_of[row],
            "is_selected": row in selected,
            "words": words,
        }
    return rows
