"""Freed memory goes back to the system."""

import sys

import numpy as np
import pytest

from tacos.engines.freed_memory import give_back_memory

N_BLOCKS = 500
SIZE = 100_000
"""Bytes of a block: small enough that the C library keeps it."""


def read_resident_bytes() -> int:
    """What this process holds of the machine's memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4_096


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone can")
def test_what_lies_free_between_blocks_in_use_goes_back() -> None:
    blocks = [np.ones(SIZE, np.uint8) for _ in range(N_BLOCKS)]
    del blocks[:-1]
    before = read_resident_bytes()
    give_back_memory()
    assert before - read_resident_bytes() > N_BLOCKS * SIZE / 2
    assert blocks[0].all()
