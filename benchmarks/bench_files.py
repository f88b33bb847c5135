"""Generated JSON Lines of 2 GB (`--bytes`: before compression), compressed by zstd, through the commands
that read a whole file: time and peak memory of each.

    # or: python benchmarks/bench_files.py --bytes 200MB --only inspect
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

from process_memory import PeakMemory
from row_generator import generate_rows
from tacos.formats.json_rows import encode_json_row
from tacos.formats.writing import write_rows

UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9}
MOST_ROWS = 10**12


def parse_bytes(text: str) -> int:
    """Bytes: 2GB, 300MB, 50kB.

    >>> parse_bytes("2GB")
    2000000000
    """
    number, unit = text[:-2], text[-2:]
    if unit not in UNITS or not number.replace(".", "", 1).isdigit():
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size: write 2GB, 300MB or 50kB"
        )
    return round(float(number) * UNITS[unit])


def generate_file(path: Path, n_bytes: int) -> int:
    """Write rows until their text, before compression, has so many bytes; returns their number."""
    n_rows = 0

    def encode() -> Iterator[bytes]:
        nonlocal n_rows
        n_written = 0
        for generated in generate_rows(MOST_ROWS):
            if n_written >= n_bytes:
                return
            line = encode_json_row(generated.row)
            n_written += len(line) + 1
            n_rows += 1
            yield line

    write_rows(encode(), path)
    return n_rows


def list_commands(source: Path, place: Path) -> dict[str, tuple[object, ...]]:
    """Name -> words of each command; what they write goes to `place`."""
    return {
        "inspect": ("inspect", source),
        "clean --preset light": (
            "clean",
            source,
            "-o",
            place / "light.jsonl.zst",
            "--preset",
            "light",
        ),
        "clean --preset strict": (
            "clean",
            source,
            "-o",
            place / "strict.jsonl.zst",
            "--preset",
            "strict",
        ),
        "export --for trl": ("export", source, "--for", "trl", "-o", place / "trl"),
        "select --until ingest": (
            "select",
            source,
            "-o",
            place / "chosen.jsonl",
            "--until",
            "ingest",
        ),
    }


def measure_command(*words: object) -> dict[str, Any]:
    """Run `tacos ...`: seconds, and megabytes at most."""
    command = [sys.executable, "-m", "tacos", *map(str, words)]
    started = time.monotonic()
    peak = 0.0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        watch = PeakMemory(psutil.Process(process.pid))
        while process.poll() is None:
            peak = max(peak, watch.look())
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
    parser.add_argument("--bytes", type=parse_bytes, default="2GB", dest="n_bytes")
    parser.add_argument("--only", nargs="+", help="names of commands, such as inspect")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tacos-") as folder:
        place = Path(folder)
        source = place / "rows.jsonl.zst"
        n_rows = generate_file(source, options.n_bytes)
        figures: dict[str, Any] = {
            "rows": n_rows,
            "bytes": options.n_bytes,
            "bytes_compressed": source.stat().st_size,
        }
        for name, words in list_commands(source, place).items():
            if options.only is None or name in options.only:
                figures[name] = measure_command(*words)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
