"""Whole selections from generated rows of growing number: time of each stage, peak memory, and what
lies on disk.

    # or: python benchmarks/bench_scale.py --rows 100000 1000000 --place build/scale [--ray]
    make bench-scale

`tacos select -n 10000` with the settings as they are, over rows of `benchmarks.row_generator`, one
number of rows after the other. The slow tier reads where its weights are installed. A run that was
killed goes on: rows, runs and figures stay in `--place`.

Seconds are the run's own, by stage; memory is that of all processes together (proportional set
size, sampled every 0.2 s), by the artifact that was being made or was there last. Prints tables,
and a line of JSON at the end.

With `--ray` each number of rows is selected from once more by `--engine ray` with Ray's processes on
this machine: whether all its files are equal, and how many times as long it takes, start of Ray
included.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from process_memory import PeakMemory
from row_generator import generate_rows
from tacos.formats.writing import write_rows

SIZES = (100_000, 1_000_000, 10_000_000)
SECONDS = 0.2


def generate_file(place: Path, n_rows: int) -> Path:
    """The file of so many rows, made if it is not there."""
    path = place / f"rows-{n_rows}.jsonl.zst"
    if not path.exists():
        unfinished = place / f"unfinished-{n_rows}.jsonl.zst"
        rows = (generated.row for generated in generate_rows(n_rows))
        write_rows(rows, unfinished)
        unfinished.rename(path)
    return path


def find_stage(run: Path) -> str:
    """What the run is doing: "making grades", or "after grades" until it makes the next artifact
    ("after selection" while the report is drawn).
    """
    draft = _find_newest(run.glob(".making/*"))
    if draft is not None:
        return f"making {draft.name.rpartition('-')[0]}"
    manifest = _find_newest(run.glob("[!.]*/**/manifest.json"))
    if manifest is None:
        return "start"
    return f"after {manifest.relative_to(run).parent.parent}"


def _find_newest(paths: Iterable[Path]) -> Path | None:
    """The path that was written last; folders may move meanwhile."""
    times = {}
    with suppress(FileNotFoundError):
        for path in paths:
            times[path] = path.stat().st_mtime
    return max(times, key=lambda path: times[path], default=None)


def measure_selection(
    source: Path,
    n: int,
    name: str,
    options: Sequence[str],
) -> dict[str, Any]:
    """Run `tacos select` to `name.run` beside the source: seconds, and megabytes at most by
    artifact, those of earlier tries included.
    """
    run = source.with_name(f"{name}.run")
    output = source.with_name(f"{name}.chosen.jsonl")
    figures_file = source.with_name(f"{name}.figures.json")
    figures: dict[str, Any] = {"wall_s": 0.0, "n_starts": 0, "peak_mb": {}}
    if figures_file.exists():
        figures = json.loads(figures_file.read_text())
    if figures.get("is_complete"):
        return figures
    figures["n_starts"] += 1
    before = figures["wall_s"]
    words = ("-n", n, "-o", output, "--run", run, *options)
    command = [sys.executable, "-m", "tacos", "select", source, *words]
    started = time.monotonic()
    with subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.DEVNULL
    ) as process:
        watch = PeakMemory(psutil.Process(process.pid))
        while process.poll() is None:
            stage = find_stage(run)
            megabytes = round(watch.look(stage) / 1e6)
            figures["peak_mb"][stage] = max(megabytes, figures["peak_mb"].get(stage, 0))
            figures["wall_s"] = round(before + time.monotonic() - started, 1)
            figures_file.write_text(json.dumps(figures))
            time.sleep(SECONDS)
    if process.returncode:
        raise SystemExit(process.returncode)
    figures |= describe_run(run)
    figures["sha256"] = hash_files(run, output)
    figures["is_complete"] = True
    figures_file.write_text(json.dumps(figures))
    return figures


def describe_run(run: Path) -> dict[str, Any]:
    """Seconds by stage, and bytes and files by artifact."""
    seconds: dict[str, float] = {}
    bytes_of: dict[str, int] = {}
    n_files = 0
    for manifest_file in run.rglob("manifest.json"):
        manifest = json.loads(manifest_file.read_text())
        stage = manifest["stage"]
        seconds[stage] = round(seconds.get(stage, 0.0) + manifest["duration_s"], 1)
        files = list(manifest_file.parent.iterdir())
        bytes_of[stage] = sum(file.stat().st_size for file in files)
        n_files += len(files)
    return {"seconds": seconds, "bytes": bytes_of, "n_files": n_files}


def hash_files(run: Path, output: Path) -> str:
    """One hash of the rows selected and of all tables of the run, by name and content."""
    digest = hashlib.sha256()
    tables = sorted(run.rglob("*.parquet"))
    for path in [output, *tables]:
        name = "" if path == output else str(path.relative_to(run))
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{name} {content}\n".encode())
    return digest.hexdigest()


def compare_engines(local: dict[str, Any], ray: dict[str, Any]) -> dict[str, Any]:
    """Whether Ray made the same files, and how many times as much it took."""
    return {
        "is_equal": ray["sha256"] == local["sha256"],
        "time": round(ray["wall_s"] / local["wall_s"], 2),
        "memory": round(
            max(ray["peak_mb"].values()) / max(local["peak_mb"].values()), 2
        ),
    }


def print_table(figures: dict[str, Any], n_rows: int) -> None:
    """The figures of one number of rows."""
    print(
        f"{n_rows:,} rows: {figures['wall_s']:,} s in {figures['n_starts']} starts, "
        f"{max(figures['peak_mb'].values()):,} MB at most, "
        f"{sum(figures['bytes'].values()) / 1e6:,.0f} MB in {figures['n_files']:,} files"
    )
    for stage, seconds in figures["seconds"].items():
        rate = n_rows / max(seconds, 0.1)
        megabytes = figures["bytes"][stage] / 1e6
        print(
            f"  {stage:14}{seconds:>10,.1f} s{rate:>12,.0f} rows/s{megabytes:>9,.1f} MB"
        )
    for artifact, peak in figures["peak_mb"].items():
        print(f"  {artifact:23}{peak:>8,} MB in all processes")


def compare_sizes(small: dict[str, Any], large: dict[str, Any]) -> dict[str, float]:
    """How many times as much time and memory the larger number of rows takes."""
    return {
        "time": round(
            sum(large["seconds"].values()) / sum(small["seconds"].values()), 2
        ),
        "memory": round(
            max(large["peak_mb"].values()) / max(small["peak_mb"].values()), 2
        ),
        "bytes": round(sum(large["bytes"].values()) / sum(small["bytes"].values()), 2),
    }


def main() -> None:
    """Measure each number of rows, and how the figures grow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES)
    parser.add_argument("-n", type=int, default=10_000, help="rows to select")
    parser.add_argument("--place", type=Path, default=Path("build/scale"))
    parser.add_argument("--options", default="", help="more options of tacos select")
    parser.add_argument("--ray", action="store_true", help="once more, on Ray")
    arguments = parser.parse_args()
    arguments.place.mkdir(parents=True, exist_ok=True)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    found: dict[int, dict[str, Any]] = {}
    of_ray = {}
    options = arguments.options.split()
    for n_rows in sorted(arguments.rows):
        source = generate_file(arguments.place, n_rows)
        name = f"rows-{n_rows}"
        found[n_rows] = measure_selection(source, arguments.n, name, options)
        print_table(found[n_rows], n_rows)
        if arguments.ray:
            on_ray = (*options, "--engine", "ray")
            figures = measure_selection(source, arguments.n, f"{name}-ray", on_ray)
            print_table(figures, n_rows)
            comparison = compare_engines(found[n_rows], figures)
            print(
                f"Ray: {'equal' if comparison['is_equal'] else 'OTHER'} files, "
                f"{comparison['time']} times the time, "
                f"{comparison['memory']} times the memory"
            )
            of_ray[n_rows] = {**figures, **comparison}
    growth = {}
    sizes = list(found)
    for small, large in pairwise(sizes):
        growth[f"{small} to {large}"] = compare_sizes(found[small], found[large])
    print(json.dumps({"rows": found, "ray": of_ray, "growth": growth}))


if __name__ == "__main__":
    main()
