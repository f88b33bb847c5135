"""Memory that a process has freed, given back to the system."""

from __future__ import annotations

import ctypes


def give_back_memory() -> None:
    """Give back what lies free between blocks in use: the C library keeps it, more than 100 MB
    after clustering. Does nothing where the library cannot (malloc_trim is one of glibc).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
