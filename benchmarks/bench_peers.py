"""Beside datatrove: read rows, drop exact and near-duplicates, write the rest.

    make bench-peers    # or, with datatrove[io,processing] and spacy in build/peers:
    python benchmarks/bench_peers.py --rows 1000000 [--peers build/peers]

`tacos clean` by the two rules, `tacos clean --preset strict` (which looks for secrets, refusals and
left-overs too) and datatrove's exact and MinHash pipelines (`datatrove_clean.py`, its own defaults)
read the same rows of `benchmarks.row_generator`, one after the other, each in a process of its own.
datatrove is installed apart (`pip install --target`); where it is not, tacos runs alone.

Printed are rows per second of the clock and of CPU, peak memory of all processes (proportional set
size, sampled), rows that stay, and which share of the planted repeats goes, by kind; then a line
of JSON. Rows that go and repeat nothing that was planted are "others": chance repeats of short
rows among them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from process_memory import PeakMemory
from row_generator import DUPLICATES, generate_rows

SECONDS = 0.2
RULES = (
    *("--rule", "duplicates", "--rule", "near-duplicates"),
    *("--without", "encoding", "--without", "secrets", "--without", "refusals"),
)
Kinds = Mapping[int, str]
"""Row -> how it repeats an earlier one; "new" if it does not."""


def write_source(folder: Path, n_rows: int) -> tuple[Path, Kinds]:
    """The generated rows with their number as `id`, and their kinds."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "rows.jsonl"
    kinds = {}
    with path.open("w", encoding="utf-8") as file:
        for number, generated in enumerate(generate_rows(n_rows)):
            kinds[number] = generated.kind
            file.write(json.dumps({**generated.row, "id": number}) + "\n")
    return path, kinds


def measure_command(
    command: Sequence[object],
    environment: Mapping[str, str],
) -> dict[str, float]:
    """Seconds of the clock and of CPU, and megabytes at most, of a command and its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    peak = 0.0
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            [str(word) for word in command],
            env={**os.environ, **environment},
            stdout=said,
            stderr=said,
        ) as process,
    ):
        watch = PeakMemory(psutil.Process(process.pid))
        while process.poll() is None:
            peak = max(peak, watch.look())
            time.sleep(SECONDS)
        seconds = time.monotonic() - started
        if process.returncode:
            said.seek(0)
            sys.stdout.write(said.read().decode()[-2000:])
            raise SystemExit(process.returncode)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "wall_s": round(seconds, 1),
        "cpu_s": round(cpu, 1),
        "peak_mb": round(peak / 1e6),
    }


def count_drops(kept: Path, kinds: Kinds) -> dict[str, Any]:
    """Rows that stay, and of each kind of planted repeat the share that goes."""
    stay = set()
    with kept.open(encoding="utf-8") as file:
        for line in file:
            stay.add(json.loads(line)["id"])
    n_of_kind = Counter(kinds.values())
    gone = Counter(kind for number, kind in kinds.items() if number not in stay)
    found = {
        kind: round(gone[kind] / max(1, n_of_kind[kind]), 3) for kind in DUPLICATES
    }
    return {"kept": len(stay), "found": found, "others": gone["new"]}


def main() -> None:
    """Run each and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--place", type=Path, default=Path("build/bench-peers"))
    parser.add_argument(
        "--peers",
        type=Path,
        default=Path("build/peers"),
        help="the folder that datatrove was installed into (pip install --target)",
    )
    options = parser.parse_args()
    source, kinds = write_source(options.place / "source", options.rows)
    print(
        f"{options.rows:,} rows, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    tacos = (sys.executable, "-m", "tacos", "clean", source, "-o")
    datatrove = (sys.executable, Path(__file__).with_name("datatrove_clean.py"))
    place = options.place / "datatrove"
    # It would go on from an earlier run.
    shutil.rmtree(place, ignore_errors=True)
    both, strict = options.place / "both.jsonl", options.place / "strict.jsonl"
    runs: dict[str, tuple[Sequence[object], dict[str, str], Path]] = {
        "tacos clean, both rules": ((*tacos, both, *RULES), {}, both),
        "tacos clean, strict": ((*tacos, strict, "--preset", "strict"), {}, strict),
    }
    if (options.peers / "datatrove").is_dir():
        runs["datatrove"] = (
            (*datatrove, source.parent, place),
            {"PYTHONPATH": str(options.peers.resolve())},
            place / "kept" / "rows.jsonl",
        )
    else:
        print(f"no datatrove in {options.peers}")
    figures: dict[str, dict[str, Any]] = {}
    for name, (command, environment, kept) in runs.items():
        found = measure_command(command, environment) | count_drops(kept, kinds)
        figures[name] = found
        print(
            f"{name:24}{found['wall_s']:>9,.1f} s{found['cpu_s']:>9,.1f} s CPU"
            f"{options.rows / found['wall_s']:>8,.0f} rows/s"
            f"{options.rows / found['cpu_s']:>8,.0f} rows/CPU s{found['peak_mb']:>7,} MB"
            f"  {found['kept']:,} stay, found {found['found']}, others {found['others']}"
        )
    print(json.dumps({"rows": options.rows, **figures}))


if __name__ == "__main__":
    main()
