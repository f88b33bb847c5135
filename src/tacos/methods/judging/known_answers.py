"""Answers of earlier runs: a question that has one is not asked again.

A question carries its answer in the column `known`: a struct of all columns of the answer but those
that identify the question.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from tacos.methods.judging import comparisons
from tacos.records import GRADES, VERDICTS

Row = dict[str, Any]

GRADE_KEY = ("id", "judge", "repetition")
VERDICT_KEY = ("left", "right", "order", "judge", "repetition")
NUMBERED = ("pair", "cluster")
"""What a pair has in its own run: the question says what it is in this one."""


def attach_known_grades(
    questions: pl.DataFrame, known: pl.DataFrame | None
) -> pl.DataFrame:
    """Questions about samples, with the grades (GRADES, each question once) that there are."""
    if known is None:
        return questions
    answer = [name for name in GRADES if name not in GRADE_KEY]
    return _attach(questions, known, GRADE_KEY, answer)


def attach_known_verdicts(
    questions: pl.DataFrame, known: pl.DataFrame | None
) -> pl.DataFrame:
    """Questions about pairs, with the verdicts (VERDICTS, each question once) that there are."""
    if known is None:
        return questions
    answer = [name for name in VERDICTS if name not in (*VERDICT_KEY, *NUMBERED)]
    return _attach(questions, known, VERDICT_KEY, answer)


def reuse_known_grade(row: Row) -> Row | None:
    """A row of GRADES, if the input or an earlier run has it; or None."""
    given = row.get("given_score")
    if given is not None:
        return comparisons.copy_given_grade(row)
    return _reuse(row, GRADE_KEY)


def reuse_reread_grade(row: Row) -> Row | None:
    """A row of GRADES, if an earlier run has it; or None."""
    return _reuse(row, GRADE_KEY)


def reuse_known_verdict(row: Row) -> Row | None:
    """A row of VERDICTS, if an earlier run has it; or None."""
    return _reuse(row, (*NUMBERED, *VERDICT_KEY))


def _attach(
    questions: pl.DataFrame,
    known: pl.DataFrame,
    key: tuple[str, ...],
    answer: list[str],
) -> pl.DataFrame:
    """The questions in their order, with their answers."""
    return questions.join(
        known.select(*key, known=pl.struct(answer)),
        on=list(key),
        how="left",
        maintain_order="left",
    )


def _reuse(row: Row, key: tuple[str, ...]) -> Row | None:
    """The answer with what identifies its question; None where there is none."""
    known: Row | None = row.get("known")
    if known is None:
        return None
    return {name: row[name] for name in key} | known
