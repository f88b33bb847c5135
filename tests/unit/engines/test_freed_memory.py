"""Freed memory goes back to the system."""

import os
import subprocess
import sys

import numpy as np
import polars  # noqa: F401 - it sets what the processes below inherit
import pytest

from tacos.engines.freed_memory import ALLOCATOR, ARROW_POOL, give_back_memory

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


@pytest.mark.parametrize("pool", ["system", "mimalloc"])
def test_pyarrow_shares_the_memory_of_the_c_library_unless_it_was_set(
    pool: str,
) -> None:
    own = {} if pool == "system" else {ARROW_POOL: pool}
    program = """
from tacos.engines.freed_memory import save_memory
save_memory()
import pyarrow
print(pyarrow.default_memory_pool().backend_name)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={k: v for k, v in os.environ.items() if k != ARROW_POOL} | own,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == pool


@pytest.mark.skipif(sys.platform != "linux", reason="polars has jemalloc on Linux")
def test_what_polars_frees_goes_back_at_once() -> None:
    """Of 200 MB in many columns, all but one of them dropped, hardly anything is left."""
    left = measure_freed_columns("save_memory()")
    kept = measure_freed_columns("")
    assert left < 20e6 < 100e6 < kept


@pytest.mark.skipif(sys.platform != "linux", reason="polars has jemalloc on Linux")
def test_it_does_below_a_program_that_has_imported_polars() -> None:
    """Polars passes its own setting on to all processes, such as a `tacos` that a script starts."""
    of_polars = os.environ[ALLOCATOR]
    assert of_polars
    assert measure_freed_columns("save_memory()", of_polars) < 20e6
    own = f"{of_polars},dirty_decay_ms:60000"
    assert measure_freed_columns("save_memory()", own) > 100e6


def measure_freed_columns(first: str, setting: str = "") -> float:
    """Bytes that a fresh process holds of columns that it has dropped, after this statement, with
    this setting of jemalloc in its environment.
    """
    program = f"""
from tacos.engines.freed_memory import save_memory
{first}
import polars as pl
def read(): return int(open("/proc/self/statm").read().split()[1]) * 4096
before = read()
columns = [pl.int_range(250_000, eager=True) for _ in range(100)]
del columns[:-1]
print(read() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, ALLOCATOR: setting},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)
