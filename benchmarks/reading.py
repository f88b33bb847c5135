"""Rows in: how fast files are read and parsed into samples, and how much memory that takes, on one
core.

    python benchmarks/reading.py [FILE] [--copies 20]

Reads FILE (default the Alpaca corpus in ../shared/data, or rows made here where that is absent) as
it is, and its rows again from a JSON array, JSON lines, CSV and Parquet of `copies` times the rows.
Peak memory is that of a process that only reads, so that it shows whether it grows with the file
(Linux only). The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson

from tacos.config import IngestSettings
from tacos.formats import reading, writing
from tacos.methods.samples import sample_parsing

ALPACA = (
    Path(__file__).resolve().parents[2]
    / "shared"
    / "data"
    / "corpora"
    / "alpaca_data.json.gz"
)


def timed(path: Path, parse: bool) -> dict[str, float]:
    """Seconds and rows of one pass over a file; with `parse` up to the table of samples."""
    started, n_rows, n_samples = time.perf_counter(), 0, 0
    for batch in reading.read_rows(path):
        n_rows += len(batch.rows) + len(batch.rejects)
        if parse:
            samples, _ = sample_parsing.parse_sample_batch(batch, IngestSettings())
            n_samples += sample_parsing.samples_to_frame(samples).height
    return {
        "seconds": time.perf_counter() - started,
        "n_rows": n_rows,
        "n_samples": n_samples,
    }


def in_own_process(path: Path, parse: bool) -> dict[str, float]:
    """`timed` in a fresh process, with its peak memory in MiB and what it had before it read
    anything.
    """
    command = [
        sys.executable,
        __file__,
        "--only",
        str(path),
        *(["--parse"] if parse else []),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def only(path: Path, parse: bool) -> None:
    """What the fresh process does."""
    before = peak_mib()
    figures = timed(path, parse)
    print(json.dumps({**figures, "mib_before": before, "mib_peak": peak_mib()}))


def peak_mib() -> int:
    """The most memory that this process held so far (`ru_maxrss` would count its parent's before
    exec).
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def best(path: Path, parse: bool, n_runs: int = 3) -> dict[str, float]:
    """The fastest of several runs."""
    return min(
        (in_own_process(path, parse) for _ in range(n_runs)),
        key=lambda figures: figures["seconds"],
    )


def rows_of(file: Path | None) -> list[bytes]:
    """Rows of the file, or 50,000 made ones."""
    if file is not None:
        return [
            orjson.dumps(row)
            for batch in reading.read_rows(file)
            for _, row in batch.rows
        ]
    return [
        orjson.dumps(
            {"instruction": f"Count to {i}.", "input": "", "output": "1, 2, " * 40}
        )
        for i in range(50_000)
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "file", nargs="?", type=Path, default=ALPACA if ALPACA.exists() else None
    )
    parser.add_argument("--copies", type=int, default=20)
    parser.add_argument("--only", type=Path)
    parser.add_argument("--parse", action="store_true")
    options = parser.parse_args()
    if options.only:
        only(options.only, options.parse)
        return
    rows = rows_of(options.file)
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        once = options.file or writing.write_rows(rows, Path(folder) / "once.json.gz")
        figures["as it is, read"], figures["as it is, read and parsed"] = (
            best(once, False),
            best(once, True),
        )
        for suffix in (".json", ".jsonl", ".csv", ".parquet"):
            path = writing.write_rows(
                (row for _ in range(options.copies) for row in rows),
                Path(folder) / f"x{suffix}",
            )
            mib = path.stat().st_size / (1 << 20)
            figures[f"{suffix} x {options.copies}"] = {
                **best(path, False, 1),
                "mib_file": round(mib),
            }
            path.unlink()
    for name, each in figures.items():
        print(
            f"{name:28}"
            + "  ".join(f"{key} {value:,.2f}" for key, value in each.items())
        )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
