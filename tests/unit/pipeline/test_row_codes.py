"""Ids as numbers: they sort as the texts do, and are found again."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.pipeline.frame_table import FrameTable
from tacos.pipeline.steps.pool import read_scores
from tacos.pipeline.steps.row_codes import RowCodes, find_codes
from tacos.records import build_reject_frame
from tacos.store import artifacts
from tacos.store.artifacts import Store

# The last two begin with the name of another file, before and after a digit.
FILES = ["a.json", "b.json.gz", "ä b.json", "dir/a.json", "a", "a!.json", "a:b.json"]


def to_series(ids: list[str]) -> pl.Series:
    """Ids as a column of a table has them."""
    return pl.Series("id", ids, pl.String)


@given(st.lists(st.tuples(st.sampled_from(FILES), st.integers(0, 10**7)), unique=True))
def test_codes_sort_as_the_texts_do_and_give_them_back(
    rows: list[tuple[str, int]],
) -> None:
    ids = [f"{file}:{row}" for file, row in rows]
    codes = RowCodes.of_samples(FrameTable(pl.DataFrame({"id": to_series(ids)})))
    numbers = codes.encode(to_series(ids))
    assert codes.name(numbers).to_list() == ids
    assert [codes.name_one(number) for number in numbers] == ids
    assert codes.name(numbers.sort()).to_list() == sorted(ids)
    assert codes.encode_list(ids) == numbers.to_list()


def test_an_id_that_no_sample_has_gets_no_code_or_is_not_found() -> None:
    codes = RowCodes(["a.json"], n_digits=2)
    unknown = to_series(["b.json:1", "a.json:100", "a.json", "a.json:", ""])
    assert codes.encode(unknown).to_list() == [None] * 5
    known = codes.encode(to_series(["a.json:10", "a.json:2"]))
    wanted = codes.encode(to_series(["a.json:2", "a.json:3", "b.json:2", "a.json:10"]))
    assert find_codes(known, wanted).tolist() == [1, -1, -1, 0]
    assert find_codes(known.clear(), wanted).tolist() == [-1] * 4


def test_scores_are_read_by_codes_as_by_texts() -> None:
    ids = to_series(["a.json:1", "a.json:10", "a.json:2"])
    codes = RowCodes(["a.json"], n_digits=2)
    scores = pl.DataFrame(
        {"id": to_series(["a.json:2", "a.json:1"]), "score": [2.0, 1.0]}
    )
    columns = ("id", "score")
    by_text = read_scores(FrameTable(scores), columns, ids)
    by_code = read_scores(FrameTable(scores), columns, codes.encode(ids), codes)
    assert codes.name_rows(by_code).equals(by_text)


@pytest.mark.parametrize("n_per_part", [2, 10])
def test_a_table_with_codes_is_written_with_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_per_part: int
) -> None:
    monkeypatch.setattr(artifacts, "N_ROWS_PER_PART", n_per_part)
    ids = to_series(["a.json:10", "a.json:2", "b.json:0"])
    codes = RowCodes.of_samples(FrameTable(pl.DataFrame({"id": ids})))
    table = pl.DataFrame({"id": codes.encode(ids), "n": [1, 2, 3]})
    schema = pl.Schema({"id": pl.String(), "n": pl.UInt8()})
    draft = Store(tmp_path).begin("shortlist", "key", resume=False)
    draft.write_in_parts(table, schema, build_reject_frame(), codes.name_rows)
    written = draft.commit({}).scan().collect()
    assert written.rows() == [("a.json:10", 1), ("a.json:2", 2), ("b.json:0", 3)]
    assert written.schema == schema
