"""The main job on the 52,002 rows of Alpaca: wall time, peak memory, rows per second of each stage,
sameness.

`make bench-select`, or `python benchmarks/bench_select.py [DATA] [-n 1000]`. For each preset: a
first call, a second call in the same run directory, one with one worker in a fresh directory (same
bytes?), and one with another seed (other rows?). Peak memory is that of all processes together
(proportional set size, sampled every 0.1 s). Goals: <= 120 s, <= 2 GB on 2 cores, and the second
call under 3 s.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from process_memory import PeakMemory

ALPACA = (
    Path(__file__).parents[2] / "shared" / "data" / "corpora" / "alpaca_data.json.gz"
)


def timed(*words: object) -> dict[str, Any]:
    """Run `tacos select ...`: its summary, wall seconds and peak megabytes."""
    command = [sys.executable, "-m", "tacos", "select", *map(str, words), "--json"]
    started, peak = time.monotonic(), 0.0
    with (
        tempfile.TemporaryFile() as printed,
        subprocess.Popen(command, stdout=printed) as process,
    ):
        watch = PeakMemory(psutil.Process(process.pid))
        while process.poll() is None:
            peak = max(peak, watch.look())
            time.sleep(0.1)
        if process.returncode:
            raise SystemExit(process.returncode)
        printed.seek(0)
        summary = json.loads(printed.read())
    return {
        "summary": summary,
        "wall_s": round(time.monotonic() - started, 2),
        "peak_mb": round(peak / 1e6),
    }


def preset_figures(data: Path, n: int, preset: str, folder: Path) -> dict[str, Any]:
    """All figures of one preset."""
    first, other, seeded = (
        folder / f"{name}.json" for name in ("first", "other", "seeded")
    )
    one = timed(data, "-n", n, "-o", first, "--preset", preset)
    two = timed(data, "-n", n, "-o", first, "--preset", preset)
    timed(data, "-n", n, "-o", other, "--preset", preset, "--workers", 1)
    timed(
        data,
        "-n",
        n,
        "-o",
        seeded,
        "--preset",
        preset,
        "--seed",
        2,
        "--run",
        f"{first}.run",
    )
    n_rows = one["summary"]["n_samples"]
    rows, rows2 = (json.loads(path.read_text()) for path in (first, seeded))
    return {
        "wall_s": one["wall_s"],
        "peak_mb": one["peak_mb"],
        "second_call_s": two["wall_s"],
        "second_call_made": two["summary"]["made"],
        "same_bytes_with_one_worker": first.read_bytes() == other.read_bytes(),
        "n_selected": len(rows),
        "n_distinct": len({json.dumps(row) for row in rows}),
        "share_shared_with_seed_2": round(
            len({json.dumps(r) for r in rows} & {json.dumps(r) for r in rows2}) / n, 3
        ),
        "seconds": one["summary"]["seconds"],
        "rows_per_s": {
            stage: round(n_rows / max(s, 0.01))
            for stage, s in one["summary"]["seconds"].items()
            if s > 0.5
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, default=ALPACA)
    parser.add_argument("-n", type=int, default=1000)
    arguments = parser.parse_args()
    figures = {}
    for preset in ("robust", "paper"):
        with tempfile.TemporaryDirectory() as folder:
            figures[preset] = preset_figures(
                arguments.data, arguments.n, preset, Path(folder)
            )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
