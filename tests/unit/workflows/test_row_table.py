"""What the page says became of a row."""

from pathlib import Path

import polars as pl
from tests.small_world import judge_by_instruction, make_rows, tag_by_words

import tacos
from tacos.records import Reject, build_reject_frame
from tacos.store.artifacts import Store
from tacos.workflows.row_table import build_row_table


def test_a_row_without_tags_may_be_selected(tmp_path: Path) -> None:
    # The page said "selected: it is not JSON" of a row whose tags could not be used.
    done = tacos.select(
        make_rows(40),
        10,
        tagger=tag_by_words,
        judge=judge_by_instruction,
        settings={"normalise": {"alpha": 1}},
    )
    selected = done.table["id"][0]
    left_out = done.artifacts["tags"].scan().collect()["id"].to_list()[1]
    rejects = [Reject(selected, "tag", "it is not JSON", "{")]
    tags = done.artifacts["tags"].scan().collect()
    draft = Store(tmp_path).begin("tags", "key")
    draft.write(0, tags.filter(pl.col("id") != selected), build_reject_frame(rejects))
    failed = draft.commit(dict(done.artifacts["tags"].manifest))
    table = build_row_table({**done.artifacts, "tags": failed}, done.settings).rows
    row = table.row(by_predicate=pl.col("id") == selected, named=True)
    assert row["state"] == "selected"
    assert row["reason"] == "tags missing (it is not JSON)"
    other = table.row(by_predicate=pl.col("id") == left_out, named=True)
    assert "missing" not in (other["reason"] or "")
