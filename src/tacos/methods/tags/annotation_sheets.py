"""Builds the sheets on which people judge tags, and reads the filled ones.

A sheet has one row per case, in an order and with numbers that do not reveal which cases are
planted. People write yes or no into `answer`: is the tag right, or does it mean the same in all
instructions? An empty answer is a missing one. With several people, each fills in a copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from tacos.errors import InputError
from tacos.methods.samples.truncation import truncate_text
from tacos.methods.tags.tag_checks import CONSISTENCY, JUDGEMENTS, PRECISION
from tacos.records import REJECTS
from tacos.visible_text import FORMULA_ESCAPE, escape_formula

QUESTIONS = {
    PRECISION: "Is this tag right for this instruction?",
    CONSISTENCY: "Does the tag fit all, and mean the same in all?",
}
YES = (
    "yes",
    "y",
    "true",
    "1",
    "right",
)
NO = (
    "no",
    "n",
    "false",
    "0",
    "wrong",
)
N_SHOWN = 40
"""Characters of an unclear answer that its reason quotes."""
SHEET = {
    "case": pl.UInt32(),
    "task": pl.String(),
    "question": pl.String(),
    "tag": pl.String(),
    "text": pl.String(),
    "answer": pl.String(),
    "comment": pl.String(),
}
"""The columns of a sheet."""


# Building


def build_annotation_sheet(
    cases: pl.DataFrame,
    texts: Mapping[str, str],
    max_chars: int = 4000,
) -> pl.DataFrame:
    """The sheet of `cases` (by `CASES`), with columns by `SHEET`; answer and comment are empty.

    `texts` gives the instruction of each sample id; each is cut to `max_chars` characters.
    """
    rows: list[dict[str, Any]] = []
    for case in cases.sort("case").iter_rows(named=True):
        instructions = [truncate_text(texts[id_], max_chars) for id_ in case["ids"]]
        text = _render_instructions(instructions)
        row = {
            "case": case["case"],
            "task": case["task"],
            "question": QUESTIONS[case["task"]],
            "tag": escape_formula(case["tag"]),
            "text": escape_formula(text),
            "answer": "",
            "comment": "",
        }
        rows.append(row)
    return pl.DataFrame(rows, SHEET)


def _render_instructions(instructions: Sequence[str]) -> str:
    """A single instruction as it is; several with numbers."""
    if len(instructions) == 1:
        return instructions[0]
    numbered = [
        f"[{number}] {instruction}"
        for number, instruction in enumerate(instructions, start=1)
    ]
    return "\n\n".join(numbered)


# Reading


def read_annotation_sheet(
    filled: pl.DataFrame,
    cases: pl.DataFrame,
    judge: str,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One person's judgements by `JUDGEMENTS`, and the unreadable answers by `REJECTS`.

    Empty lines, which spreadsheets tend to add, are ignored. Raises `InputError` if the sheet lacks
    a column, repeats a case, belongs to other cases, or has no answer at all.
    """
    for name in ("case", "tag", "answer"):
        if name not in filled.columns:
            raise InputError(
                f"the sheet of {judge} has no column {name!r}; add it again"
            )
    sheet = _drop_empty_lines(filled)
    _check_sheet(sheet, cases, judge)

    # People may delete the column of comments: nothing depends on it.
    if "comment" not in sheet.columns:
        sheet = sheet.with_columns(comment=pl.lit(""))
    rows = sheet.select(
        pl.col("case").cast(pl.UInt32),
        answer=_strip_text("answer").str.to_lowercase(),
        reason=pl.col("comment").cast(pl.String).fill_null(""),
    ).sort("case")
    if (rows["answer"] == "").all():
        raise InputError(
            f"the sheet of {judge} has no answer: write yes or no into its column 'answer'"
        )
    is_clear = pl.col("answer").is_in([*YES, *NO, ""])
    judgements = _tabulate_judgements(rows.filter(is_clear), judge)
    rejects = _tabulate_unclear_answers(rows.filter(~is_clear), judge)
    return judgements, rejects


def _drop_empty_lines(filled: pl.DataFrame) -> pl.DataFrame:
    """The lines of a sheet with anything in them."""
    texts = pl.all().cast(pl.String).fill_null("")
    is_empty = pl.all_horizontal(texts.str.strip_chars() == "")
    return filled.filter(~is_empty)


def _strip_text(column: str) -> pl.Expr:
    """A column as text without surrounding white space; "" for null."""
    text = pl.col(column).cast(pl.String).fill_null("")
    return text.str.strip_chars()


def _tabulate_judgements(
    rows: pl.DataFrame,
    judge: str,
) -> pl.DataFrame:
    """Clear answers (case, answer, reason) by `JUDGEMENTS`; an empty answer is null."""
    answer = pl.col("answer")
    is_yes = (
        pl.when(answer.is_in(YES))
        .then(True)
        # what is neither stays null
        .when(answer.is_in(NO))
        .then(False)
    )
    judgements = rows.with_columns(
        is_yes.alias("answer"),
        judge=pl.lit(judge),
        person=pl.lit(True),
        reply=pl.lit(""),
    )
    return judgements.select(JUDGEMENTS.names()).cast(JUDGEMENTS)


def _tabulate_unclear_answers(
    rows: pl.DataFrame,
    judge: str,
) -> pl.DataFrame:
    """Answers that are neither yes nor no (case, answer), by `REJECTS`."""
    quoted = pl.col("answer").str.slice(0, N_SHOWN)
    rejects = rows.select(
        id=pl.format("case {}", "case"),
        stage=pl.lit("check-tags"),
        reason=pl.lit(f"the answer of {judge} is neither yes nor no: ") + quoted,
        raw="answer",
        failure=pl.lit(True),
    )
    return rejects.cast(REJECTS)


def _check_sheet(
    sheet: pl.DataFrame,
    cases: pl.DataFrame,
    judge: str,
) -> None:
    """Raise `InputError` unless each row of a sheet is one of the cases, once, with its tag."""
    numbers = sheet["case"].cast(pl.UInt32, strict=False)
    if numbers.null_count():
        raise InputError(
            f"the sheet of {judge} has a row without a case number: restore its column 'case'"
        )
    duplicates = numbers.filter(numbers.is_duplicated())
    if len(duplicates):
        raise InputError(
            f"the sheet of {judge} has case {duplicates[0]} twice: keep one of the rows"
        )
    tags = dict(cases.select("case", "tag").iter_rows())
    sheet_tags = sheet["tag"].cast(pl.String)
    for number, tag in zip(numbers, sheet_tags, strict=True):
        # Compared as written: a tag of the data may start with a formula, too.
        expected = escape_formula(tags.get(number, ""))
        is_same = _unescape_tag(tag or "") == _unescape_tag(expected)
        if number in tags and is_same:
            continue
        raise InputError(
            f"the sheet of {judge} belongs to other cases: case {number} is not about {tag!r} "
            "here. Use a sheet of this run, and the check settings (--set, --settings) with which "
            "it was written"
        )


def _unescape_tag(tag: str) -> str:
    """A tag as compared: programs may strip white space and the escape of formulas."""
    return tag.strip().removeprefix(FORMULA_ESCAPE)
