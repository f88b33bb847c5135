"""The first questions of a stage are a random sample of all, whatever the batches are."""

import polars as pl

from tacos.pipeline.first_questions import BATCH, ROW, draw_rows, shuffle_places


def test_a_draw_does_not_depend_on_batches_and_is_no_beginning() -> None:
    table = pl.DataFrame({"number": range(1000)})
    drawn, n_all = draw_rows(table.iter_slices(64), seed=1, n_drawn=100)
    again, _ = draw_rows([table], seed=1, n_drawn=100)
    other, _ = draw_rows([table], seed=2, n_drawn=100)
    numbers = drawn["number"].to_list()
    assert n_all == 1000
    assert numbers == again["number"].to_list() != other["number"].to_list()
    assert numbers != sorted(numbers)
    assert len(set(numbers)) == 100
    # In four quarters of the table about as many each.
    counts = [
        sum(quarter * 250 <= n < quarter * 250 + 250 for n in numbers)
        for quarter in range(4)
    ]
    assert min(counts) > 10
    places = drawn.select(pl.col(BATCH) * 64 + pl.col(ROW)).to_series()
    assert places.to_list() == numbers


def test_a_few_rows_or_none() -> None:
    drawn, n_all = draw_rows([pl.DataFrame({"number": [1, 2]})], seed=1)
    assert (drawn.height, n_all) == (2, 2)
    assert draw_rows([], seed=1)[1] == 0
    assert sorted(shuffle_places(5, seed=1)) == [0, 1, 2, 3, 4]
