"""The tags of rows as numbers, and the rows of each tag."""

import numpy as np
import polars as pl
import pytest

from tacos.methods.selecting import row_tags
from tacos.methods.selecting.row_tags import number_tags

TAGS = [["x", "y"], [], ["y"], None, ["z", "x", "z"], ["y"]]


def test_a_tag_counts_once_in_a_row() -> None:
    tags = number_tags(pl.Series(TAGS))
    assert tags.count_tags().tolist() == [2, 0, 1, 0, 2, 1]
    assert tags.count_carriers().tolist() == [2, 3, 1]


@pytest.mark.parametrize("n_at_once", [1, 2, 5, 100])
def test_carriers_stand_in_the_order_of_the_rows(
    n_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_tags, "N_AT_ONCE", n_at_once)
    tags = number_tags(pl.Series(TAGS))
    rows = np.array([4, 2, 3, 0, 5])
    carriers = tags.list_carriers(rows)
    for tag, name in enumerate("xyz"):
        own = [place for place, row in enumerate(rows) if name in (TAGS[row] or ())]
        assert carriers.of(tag).tolist() == own
    # No rows carry nothing.
    assert tags.list_carriers(rows[:0]).numbers.tolist() == []


@pytest.mark.parametrize("n_at_once", [1, 2, 100])
def test_rows_are_put_in_another_order(
    n_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_tags, "N_AT_ONCE", n_at_once)
    tags = number_tags(pl.Series(TAGS))
    rows = np.array([4, 1, 0, 5, 3, 2], np.uint32)
    arranged = tags.arrange(rows)
    own = [set(arranged.of(place).tolist()) for place in range(len(rows))]
    assert own == [set(tags.of(int(row)).tolist()) for row in rows]
    assert tags.arrange(rows[:0]).n_rows == 0


@pytest.mark.parametrize("n_at_once", [1, 3, 100])
def test_values_of_rows_are_taken_in_slices(
    n_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_tags, "N_AT_ONCE", n_at_once)
    values = np.array([7, 8, 9], np.int16)
    taken = row_tags.gather_values(values, np.array([2, 0, 0, 1], np.uint32))
    assert taken.dtype == np.int16
    assert taken.tolist() == [9, 7, 7, 8]
