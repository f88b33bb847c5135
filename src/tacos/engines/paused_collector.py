"""Python's garbage collector, paused while a batch is computed."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def pause_collector() -> Iterator[None]:
    """Do not look for objects that refer to each other: the many small objects of a batch make
    Python go through those of a whole model again and again, and hold nothing that counting
    references does not free.

    A collector that was off before stays off.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
