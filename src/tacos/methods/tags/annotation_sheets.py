"""Sheets on which people judge tags: what goes out, and how a filled one comes back.

A sheet has one row per case, in an order and with numbers that do not tell which are planted.
People fill `answer` with yes or no (right? the same meaning in all?); an empty answer is a missing
one. Several people fill a copy each.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tacos.errors import InputError
from tacos.methods.samples.truncation import truncate_text
from tacos.methods.tags.tag_checks import JUDGEMENTS, PRECISION
from tacos.records import REJECTS

QUESTIONS = {
    True: "Is this tag right for this instruction?",
    False: "Does the tag fit all, and mean the same in all?",
}
YES = ("yes", "y", "true", "1", "right")
NO = ("no", "n", "false", "0", "wrong")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that starts so is a formula to a spreadsheet."""
N_SHOWN = 40
"""Characters of an unclear answer that its reason repeats."""
COLUMNS = ["case", "task", "question", "tag", "text", "answer", "comment"]


def build_annotation_sheet(
    cases: pl.DataFrame, texts: Mapping[str, str], max_chars: int = 4000
) -> pl.DataFrame:
    """The sheet of `cases` (by `CASES`): case, task, question, tag, text, answer (empty), comment
    (empty).
    """
    rows = []
    for case in cases.sort("case").iter_rows(named=True):
        shown = [truncate_text(texts[id_], max_chars) for id_ in case["ids"]]
        single = case["task"] == PRECISION
        text = (
            shown[0]
            if single
            else "\n\n".join(f"[{i}] {one}" for i, one in enumerate(shown, start=1))
        )
        rows.append(
            (
                case["case"],
                case["task"],
                QUESTIONS[single],
                _escape_formula(case["tag"]),
                _escape_formula(text),
                "",
                "",
            )
        )
    schema = dict.fromkeys(COLUMNS, pl.String()) | {"case": pl.UInt32()}
    return pl.DataFrame(rows, schema, orient="row")


def _escape_formula(text: str) -> str:
    """`text` so that a spreadsheet does not run it."""
    return f"'{text}" if text.startswith(FORMULA) else text


def read_annotation_sheet(
    filled: pl.DataFrame, cases: pl.DataFrame, judge: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One person's judgements by `JUDGEMENTS`, and by `REJECTS` the answers that cannot be read.

    Lines with nothing in them, which spreadsheets like to add, are no rows. Raises `InputError`
    where the sheet lacks a column, repeats a case, belongs to other cases, or nothing is answered.
    """
    lacking = [name for name in ("case", "tag", "answer") if name not in filled.columns]
    if lacking:
        raise InputError(f"the sheet of {judge} has no column {lacking[0]!r}")
    filled = filled.filter(
        ~pl.all_horizontal(pl.all().cast(pl.String).fill_null("").str.strip_chars() == "")
    )
    _check_sheet(filled, cases, judge)
    answer = pl.col("answer").cast(pl.String).fill_null("").str.strip_chars().str.to_lowercase()
    comment = (
        pl.col("comment").cast(pl.String).fill_null("")
        if "comment" in filled.columns
        else pl.lit("")
    )
    rows = filled.select(pl.col("case").cast(pl.UInt32), answer, comment.alias("reason")).sort(
        "case"
    )
    if (rows["answer"] == "").all():
        raise InputError(
            f"the sheet of {judge} has no answer: write yes or no into its column 'answer'"
        )
    clear = pl.col("answer").is_in([*YES, *NO, ""])
    said = (
        pl.when(pl.col("answer").is_in(YES)).then(True).when(pl.col("answer").is_in(NO)).then(False)
    )
    known = rows.filter(clear).with_columns(
        said.alias("answer"), judge=pl.lit(judge), person=pl.lit(True), reply=pl.lit("")
    )
    unclear = rows.filter(~clear).select(
        id=pl.format("case {}", "case"),
        stage=pl.lit("check-tags"),
        reason=pl.lit(f"the answer of {judge} is neither yes nor no: ")
        + pl.col("answer").str.slice(0, N_SHOWN),
        raw="answer",
        failure=pl.lit(True),
    )
    return known.select(JUDGEMENTS.names()).cast(JUDGEMENTS), unclear.cast(REJECTS)


def _check_sheet(filled: pl.DataFrame, cases: pl.DataFrame, judge: str) -> None:
    """Raise `InputError` unless each row of a sheet is one of the cases, once, with its tag."""
    numbers = filled["case"].cast(pl.UInt32, strict=False)
    if numbers.null_count():
        raise InputError(f"the sheet of {judge} has a row without a case number")
    if numbers.is_duplicated().any():
        raise InputError(
            f"the sheet of {judge} has case {numbers.filter(numbers.is_duplicated())[0]} twice"
        )
    tags = dict(cases.select("case", "tag").iter_rows())
    for number, tag in zip(numbers, filled["tag"].cast(pl.String), strict=True):
        if number not in tags or (tag or "").strip().removeprefix("'") != _escape_formula(
            tags[number]
        ).strip().removeprefix("'"):
            raise InputError(
                f"the sheet of {judge} belongs to other cases: case {number} is not about {tag!r} here; "
                "is it of this run, and written with the same check settings (--set, --settings) as now?"
            )
