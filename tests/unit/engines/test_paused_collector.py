"""Python's garbage collector pauses, and goes on as before."""

import gc
from collections.abc import Iterator

import pytest

from tacos.engines.paused_collector import pause_collector


@pytest.fixture(autouse=True)
def collector_on() -> Iterator[None]:
    """The collector is on before and after each test, whatever a test leaves."""
    gc.enable()
    yield
    gc.enable()


def test_it_is_off_within_and_on_again_after() -> None:
    with pause_collector():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_is_on_again_after_an_error() -> None:
    with pytest.raises(ValueError, match="a bad batch"), pause_collector():
        raise ValueError("a bad batch")
    assert gc.isenabled()


def test_one_that_was_off_stays_off() -> None:
    gc.disable()
    with pause_collector():
        pass
    assert not gc.isenabled()
