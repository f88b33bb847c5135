"""Tables of many rows are matched by hashes of their ids; what comes out is what a join gives."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.config import load_settings
from tacos.pipeline.frame_table import FrameTable
from tacos.pipeline.steps import judgements, matched_rows, tags
from tacos.pipeline.steps.matched_rows import (
    RowFinder,
    count_distinct_ids,
    has_distinct_ids,
    place_rows,
)
from tacos.pipeline.steps.pool import read_scores
from tacos.records import GRADES, add_missing_columns, conform_table


def number_ids(numbers: list[int]) -> pl.Series:
    """Ids of rows of one file."""
    return pl.Series("id", [f"data.jsonl:{number}" for number in numbers], pl.String)


def test_rows_are_found_by_their_ids_batch_by_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(matched_rows, "N_AT_ONCE", 7)
    numbers = np.random.default_rng(1).permutation(100).tolist()
    finder = RowFinder(lambda: [number_ids(numbers[:60]), number_ids(numbers[60:])])
    wanted = [*range(50), 100, *range(50, 100)]
    rows = finder.find(number_ids(wanted)).tolist()
    assert rows[50] == -1
    assert [numbers[row] for row in rows if row >= 0] == [*range(100)]


def test_nothing_is_found_among_no_rows() -> None:
    assert RowFinder(list).find(number_ids([3])).tolist() == [-1]


def test_an_id_that_comes_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        RowFinder(lambda: [number_ids([1, 2]), number_ids([1])])


@pytest.mark.parametrize("numbers", [[1, 2, 3], [3, 1, 2], []])
def test_ids_are_distinct_in_any_order(numbers: list[int]) -> None:
    assert has_distinct_ids(number_ids(numbers).to_frame())
    repeated = number_ids([*numbers, 7, 7])
    assert not has_distinct_ids(repeated.to_frame())


@given(st.integers(0, 30), st.integers(0, 2**32 - 1))
def test_rows_are_placed_as_a_sort_would_place_them(n_rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = pl.DataFrame(
        {
            "row": rng.permutation(n_rows).astype(np.uint32),
            "cluster": pl.Series(rng.integers(0, 9, n_rows), dtype=pl.UInt32),
            "score": rng.random(n_rows),
        }
    )
    if seed % 2:
        known = pl.Series(rng.random(n_rows) < 0.5, dtype=pl.Boolean)
        table = table.with_columns(score=pl.when(known).then("score"))
    cut = n_rows // 3
    batches = [table.clear(), table[:cut], table[cut:]]
    placed = place_rows(batches, n_rows)
    assert placed is not None
    assert placed.equals(table.sort("row").drop("row"))
    assert placed.schema == table.drop("row").schema
    # A place that nobody takes, or that two take.
    assert place_rows(batches, n_rows + 1) is None
    if cut:
        assert place_rows([*batches[:2], table[cut + 1 :], table[:1]], n_rows) is None


def test_scores_come_in_the_order_of_the_samples() -> None:
    samples = number_ids([1, 10, 2, 3])
    scores = pl.DataFrame({"id": number_ids([3, 2, 10]), "score": [3.0, 2.0, 10.0]})
    read = read_scores(FrameTable(scores), ("id", "score", "value"), samples)
    assert read["id"].to_list() == number_ids([10, 2, 3]).to_list()
    assert read["score"].to_list() == [10.0, 2.0, 3.0]
    # A run of an earlier version had no such column.
    assert read["value"].to_list() == [None] * 3
    # A sample may have a score in each of several clusters.
    twice = pl.concat([scores, scores.with_columns(pl.col("score") + 0.5)])
    read = read_scores(FrameTable(twice), ("id", "score"), samples)
    assert read["score"].to_list() == [10.0, 10.5, 2.0, 2.5, 3.0, 3.5]


def test_grades_become_scores_of_the_shortlisted_rows() -> None:
    graded = pl.DataFrame(
        {"id": number_ids([0, 1, 2]), "grade": [10.0, 11.0, 12.0], "judge": [""] * 3}
    )
    grades = conform_table(add_missing_columns(graded, GRADES), GRADES)
    shortlist = pl.DataFrame({"id": number_ids([2, 9, 0]), "cluster": [0, 0, 1]})
    settings = load_settings(judge={"mode": "singleton"})
    tables = {"grades": FrameTable(grades), "shortlist": FrameTable(shortlist)}
    output = judgements.rate_samples(tables, settings, None, 0)
    assert output.name_rows is not None
    scores = output.name_rows(output.table)
    assert scores.select("id", "cluster", "score").rows() == [
        ("data.jsonl:0", 1, 10.0),
        ("data.jsonl:2", 0, 12.0),
    ]


def test_ids_are_counted_once_over_all_batches() -> None:
    turns = number_ids([1, 1, 2]).to_frame(), number_ids([2, 3]).to_frame()
    assert count_distinct_ids(turns) == 3
    assert count_distinct_ids([]) == 0


@pytest.mark.parametrize("n_at_once", [2, 3, 50])
def test_raw_tags_are_counted_batch_by_batch(
    n_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tags, "N_COUNTED_AT_ONCE", n_at_once)
    rows = pl.DataFrame({"tags": [["x", "y"], [], ["y"], ["y", "z"]]})
    counts = tags._count_raw_tags(rows.iter_slices(1))
    assert counts.rows() == [("x", 1), ("y", 3), ("z", 1)]
    assert counts.schema == {"tag": pl.String, "count": pl.UInt32}
