"""Memory that a process has freed, given back to the system."""

from __future__ import annotations

import ctypes
import os

ALLOCATOR = "_RJEM_MALLOC_CONF"
"""The environment variable that sets jemalloc, which polars takes its memory from."""
AT_ONCE = "dirty_decay_ms:0,muzzy_decay_ms:0"
"""Gives pages back as soon as they are free, see https://jemalloc.net/jemalloc.3.html."""


def give_back_at_once() -> None:
    """Have polars give memory back as soon as it is free, unless the person has set its allocator.

    By itself it keeps it for 10 seconds: 150 to 300 MB beside a pool of 10 million rows. Call this
    before polars is imported.
    """
    os.environ.setdefault(ALLOCATOR, AT_ONCE)


def give_back_memory() -> None:
    """Give back what lies free between blocks in use: the C library keeps it, more than 100 MB
    after clustering. Does nothing where the library cannot (malloc_trim is one of glibc).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
