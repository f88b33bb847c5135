"""Sheets for people go out blind and come back checked."""

import io

import polars as pl
import pytest

from tacos.errors import InputError
from tacos.methods.tags import annotation_sheets
from tacos.methods.tags.tag_checks import CASES, JUDGEMENTS

TEXTS = {
    "a": "Write a poem",
    "b": '=HYPERLINK("http://x")',
    "c": 'Zeile\nzwei, "quoted"',
}
ROWS = [
    (1, "precision", "Poetry", ["a"], False, None),
    (2, "consistency", "Code", ["b", "c"], True, 1),
    (3, "precision", "-ish", ["b"], True, None),
]


@pytest.fixture
def cases() -> pl.DataFrame:
    return pl.DataFrame(ROWS, CASES, orient="row")


def filled(cases: pl.DataFrame, *answers: str | None) -> pl.DataFrame:
    return annotation_sheets.build_annotation_sheet(cases, TEXTS).with_columns(
        pl.Series("answer", answers, dtype=pl.String)
    )


def test_a_sheet_does_not_say_what_is_planted(cases: pl.DataFrame) -> None:
    sheet = annotation_sheets.build_annotation_sheet(cases, TEXTS)
    assert sheet.columns == [
        "case",
        "task",
        "question",
        "tag",
        "text",
        "answer",
        "comment",
    ]
    assert sheet["text"].to_list() == [
        "Write a poem",
        '[1] =HYPERLINK("http://x")\n\n[2] Zeile\nzwei, "quoted"',
        '\'=HYPERLINK("http://x")',
    ]
    assert sheet["answer"].to_list() == ["", "", ""]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_sheet_comes_back_through_csv_and_jsonl(
    cases: pl.DataFrame, form: str
) -> None:
    sheet = filled(cases, "yes", "No ", "")
    if form == "csv":
        back = pl.read_csv(io.StringIO(sheet.write_csv()), infer_schema=False)
    else:
        back = pl.read_ndjson(io.StringIO(sheet.write_ndjson()))
    judgements, rejects = annotation_sheets.read_annotation_sheet(back, cases, "Ann")
    assert judgements.schema == JUDGEMENTS
    assert judgements.select("case", "judge", "person", "answer").rows() == [
        (1, "Ann", True, True),
        (2, "Ann", True, False),
        (3, "Ann", True, None),
    ]
    assert rejects.is_empty()


def test_an_answer_that_cannot_be_read_is_a_reject_and_never_a_default(
    cases: pl.DataFrame,
) -> None:
    judgements, rejects = annotation_sheets.read_annotation_sheet(
        filled(cases, "perhaps", "1", None), cases, "Ann"
    )
    assert judgements["answer"].to_list() == [True, None]
    assert rejects.select("id", "reason", "raw").rows() == [
        ("case 1", "the answer of Ann is neither yes nor no: perhaps", "perhaps")
    ]


def test_rows_may_be_shuffled_and_some_left_out(cases: pl.DataFrame) -> None:
    judgements, _ = annotation_sheets.read_annotation_sheet(
        filled(cases, "y", "n", "y")[[2, 0]], cases, "Ann"
    )
    assert judgements["case"].to_list() == [1, 3]


def test_a_sheet_of_other_cases_is_refused(cases: pl.DataFrame) -> None:
    sheet = filled(cases, "y", "n", "y")
    with pytest.raises(InputError, match="case 1 is not about 'Prose' here"):
        annotation_sheets.read_annotation_sheet(
            sheet.with_columns(tag=pl.lit("Prose")), cases, "Ann"
        )
    with pytest.raises(InputError, match="belongs to other cases: case 9"):
        annotation_sheets.read_annotation_sheet(
            sheet.with_columns(case=pl.Series([1, 2, 9])), cases, "Ann"
        )
    with pytest.raises(InputError, match="case 1 twice"):
        annotation_sheets.read_annotation_sheet(
            pl.concat([sheet, sheet[:1]]), cases, "Ann"
        )
    with pytest.raises(InputError, match="no column 'answer'"):
        annotation_sheets.read_annotation_sheet(sheet.drop("answer"), cases, "Ann")
    with pytest.raises(InputError, match="without a case number"):
        annotation_sheets.read_annotation_sheet(
            sheet.with_columns(case=pl.Series(["x", "2", "3"])), cases, "Ann"
        )


def test_empty_lines_that_a_spreadsheet_added_are_no_rows(cases: pl.DataFrame) -> None:
    sheet = filled(cases, "y", "n", "y").cast(pl.String)
    blank = pl.DataFrame({name: [None, " "] for name in sheet.columns}, sheet.schema)
    judgements, rejects = annotation_sheets.read_annotation_sheet(
        pl.concat([sheet, blank]), cases, "Ann"
    )
    assert (judgements.height, rejects.height) == (3, 0)


def test_a_sheet_in_which_nothing_is_answered_is_refused(cases: pl.DataFrame) -> None:
    with pytest.raises(InputError, match="the sheet of Ann has no answer"):
        annotation_sheets.read_annotation_sheet(
            filled(cases, "", " ", ""), cases, "Ann"
        )
