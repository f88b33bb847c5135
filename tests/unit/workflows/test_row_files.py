"""Rows as files for people: what a spreadsheet reads is what was written."""

import csv
import io
from typing import Any

import pytest
from pydantic import ValidationError

from tacos.config.sections import SelectSettings
from tacos.workflows.row_files import COLUMNS, write_csv
from tacos.workflows.row_search import RowQuery


def make_row(text: str) -> dict[str, Any]:
    return dict.fromkeys(COLUMNS, text)


@pytest.mark.parametrize("text", ["x\r=1+1", "\r=1", "a\r\n=1", "a\n=1", '"\r=1'])
def test_a_line_end_in_a_text_starts_no_cell(text: str) -> None:
    content = b"".join(write_csv([make_row(text), make_row("plain")])).decode()
    header, row, last = csv.reader(io.StringIO(content, newline=""))
    assert tuple(header) == tuple(COLUMNS)
    assert {cell.removeprefix("'") for cell in row} == {text}
    assert set(last) == {"plain"}
    # A reader that takes a bare \r outside quotes for a line end finds as many rows.
    outside_quotes = "".join(content.split('"')[::2])
    assert outside_quotes.count("\r") == 3


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_limit_that_is_no_number_is_refused(value: str) -> None:
    for name in ("min_score", "max_score", "min_correctness", "max_correctness"):
        with pytest.raises(ValidationError, match="finite"):
            RowQuery.model_validate({name: value})
    with pytest.raises(ValidationError):
        SelectSettings.model_validate({"tag_price": float(value)})
