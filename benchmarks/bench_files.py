"""Generated JSON Lines of 2 GB, compressed by zstd, through the commands that read a whole file: time
and peak memory of each.

    # or: python benchmarks/bench_files.py --rows 1000000
    make bench-files

The rows are those of `benchmarks.row_generator`. Peak memory is that of all processes together
(proportional set size, sampled every 0.1 s). Goal: at most 1 GB each. Prints a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from bench_select import memory
from row_generator import generate_rows
from tacos.formats.json_rows import encode_json_row
from tacos.formats.writing import write_rows

N_ROWS = 5_000_000
"""Of about 400 bytes."""


def generate_file(path: Path, n_rows: int) -> int:
    """Write the rows; returns the bytes of the text before compression."""
    n_bytes = 0

    def encode() -> Iterator[bytes]:
        nonlocal n_bytes
        for generated in generate_rows(n_rows):
            line = encode_json_row(generated.row)
            n_bytes += len(line) + 1
            yield line

    write_rows(encode(), path)
    return n_bytes


def measure_command(*words: object) -> dict[str, Any]:
    """Run `tacos ...`: seconds, and megabytes at most."""
    command = [sys.executable, "-m", "tacos", *map(str, words)]
    started = time.monotonic()
    peak = 0.0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, memory(psutil.Process(process.pid)))
            time.sleep(0.1)
    if process.returncode:
        raise SystemExit(process.returncode)
    return {
        "seconds": round(time.monotonic() - started, 1),
        "peak_mb": round(peak / 1e6),
    }


def main() -> None:
    """Print the figures of each command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=N_ROWS)
    n_rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="tacos-") as folder:
        place = Path(folder)
        source = place / "rows.jsonl.zst"
        n_bytes = generate_file(source, n_rows)
        figures = {
            "rows": n_rows,
            "bytes": n_bytes,
            "bytes_compressed": source.stat().st_size,
            "inspect": measure_command("inspect", source),
            "clean --preset strict": measure_command(
                "clean", source, "-o", place / "kept.jsonl.zst", "--preset", "strict"
            ),
            "select --until ingest": measure_command(
                "select", source, "-o", place / "chosen.jsonl", "--until", "ingest"
            ),
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
