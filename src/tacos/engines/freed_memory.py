"""Memory that a process has freed, given back to the system."""

from __future__ import annotations

import ctypes
import os
import sys

ALLOCATOR = "_RJEM_MALLOC_CONF"
"""The environment variable that sets jemalloc, which polars takes its memory from."""
AT_ONCE = "dirty_decay_ms:0,muzzy_decay_ms:0"
"""Gives pages back as soon as they are free, see https://jemalloc.net/jemalloc.3.html."""
OF_POLARS = "dirty_decay_ms:500,muzzy_decay_ms:1000"
"""What polars puts before that variable once it is imported, for all processes that it starts."""
ARROW_POOL = "ARROW_DEFAULT_MEMORY_POOL"
"""The environment variable that says where pyarrow takes its memory from, see
https://arrow.apache.org/docs/cpp/env_vars.html.
"""
READ_AHEAD = "POLARS_ROW_GROUP_PREFETCH_SIZE"
"""The environment variable of the row groups that polars reads ahead of those in work."""
M_ARENA_MAX = -8
"""The parameter of mallopt(3) for how many parts of memory the C library has."""


def save_memory() -> None:
    """Have libraries take no more memory than they need, and give it back as soon as it is free,
    unless the person has set them. Call this before polars and pyarrow are imported.

    By itself, polars keeps what is free for a second and more (150 to 300 MB beside a pool of 10
    million rows) and reads at least 8 row groups ahead (60 MB), and pyarrow and the C library keep
    what their threads had once (100 MB after reading a million rows).
    """
    # What a program that has imported polars passes on was set by nobody.
    given = os.environ.get(ALLOCATOR, "").replace(OF_POLARS, "").strip(",")
    if "decay_ms" not in given:
        os.environ[ALLOCATOR] = ",".join(filter(None, (given, AT_ONCE)))
    os.environ.setdefault(ARROW_POOL, "system")
    os.environ.setdefault(READ_AHEAD, str(os.cpu_count() or 1))
    if sys.platform != "linux" or "MALLOC_ARENA_MAX" in os.environ:
        return
    # One part for all threads: most memory is not taken from there.
    set_parameter = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_parameter is not None:
        set_parameter(M_ARENA_MAX, 1)


def give_back_memory() -> None:
    """Give back what lies free between blocks in use: the C library keeps it, more than 100 MB
    after clustering. Does nothing where the library cannot (malloc_trim is one of glibc).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
