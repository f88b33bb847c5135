"""The contract of an engine: the same results in the same order, wherever the work runs."""

import os
import threading
from collections.abc import Iterator

import polars as pl
import pytest

from tacos.engines.base import Engine, Where
from tacos.engines.local import LocalEngine


def double(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.col("x") * 2)


def fail_on_three(frame: pl.DataFrame) -> pl.DataFrame:
    if 3 in frame["x"]:
        raise ValueError("three")
    return frame


def where_it_ran(_: int) -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


@pytest.fixture(scope="module", params=[1, 2], ids=["one worker", "two workers"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    made = LocalEngine(request.param)
    yield made
    made.close()


WHERES: tuple[Where, ...] = ("process", "thread", "here")


@pytest.mark.parametrize("where", WHERES)
@pytest.mark.parametrize("size", [1, 3, 50])
def test_shards_of_any_size_give_the_same_rows(
    engine: Engine, where: Where, size: int
) -> None:
    rows = pl.DataFrame({"x": range(50)})
    found = pl.concat(engine.map(double, rows.iter_slices(size), where))
    assert found["x"].to_list() == [2 * i for i in range(50)]


@pytest.mark.parametrize("where", WHERES)
def test_no_batches_give_no_results(engine: Engine, where: Where) -> None:
    assert list(engine.map(double, [], where)) == []


@pytest.mark.parametrize("where", WHERES)
def test_an_exception_of_the_work_reaches_the_caller(
    engine: Engine, where: Where
) -> None:
    with pytest.raises(ValueError, match="three"):
        list(
            engine.map(
                fail_on_three, pl.DataFrame({"x": range(6)}).iter_slices(1), where
            )
        )


@pytest.mark.parametrize("where", WHERES)
def test_only_a_few_batches_are_drawn_ahead(engine: Engine, where: Where) -> None:
    drawn: list[int] = []

    def batches() -> Iterator[pl.DataFrame]:
        for number in range(40):
            drawn.append(number)
            yield pl.DataFrame({"x": [number]})

    results = engine.map(double, batches(), where)
    next(results)
    assert len(drawn) <= 6
    list(results)
    assert len(drawn) == 40


def test_processes_are_processes_and_threads_are_threads() -> None:
    engine = LocalEngine(2)
    try:
        assert os.getpid() not in {
            pid for pid, _ in engine.map(where_it_ran, range(4), "process")
        }
        assert {pid for pid, _ in engine.map(where_it_ran, range(4), "thread")} == {
            os.getpid()
        }
    finally:
        engine.close()
