"""The report of a run over all of Alpaca: its size, the time to write it, and the time to open it.

    make bench-report     # or: python benchmarks/bench_report.py [--run DIR]

Without `--run`, 1,000 rows are selected from the 52,002 of Alpaca first. `tacos report` runs as a
process of its own. A browser (chromium) opens the file ten times, each time in a new window:
`first_paint_s` is until it shows the first text, `load_s` until all of the page is laid out and its
script has run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ALPACA = (
    Path(__file__).parents[2] / "shared" / "data" / "corpora" / "alpaca_data.json.gz"
)
N_TIMES = 10
FIRST_PAINT = (
    "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
)
PART = re.compile(
    r"<section id=\"([\w-]+)\".*?(?=<section id=|</main>)",
    re.DOTALL,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, help="a finished run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = arguments.run or select_alpaca(Path(folder))
        report = Path(folder) / "report.html"
        started = time.perf_counter()
        call_tacos("report", str(run), "-o", str(report))
        seconds = time.perf_counter() - started
        text = report.read_text("utf-8")
        figures = {
            "megabytes": round(report.stat().st_size / 1e6, 2),
            "write_s": round(seconds, 1),
            "largest_sections_mb": measure_sections(text),
            **open_report(report),
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 1),
        }
    print(json.dumps(figures))


def select_alpaca(folder: Path) -> Path:
    """A run over Alpaca in a folder."""
    output = folder / "selected.jsonl"
    call_tacos("select", str(ALPACA), "-n", "1000", "-o", str(output))
    return folder / "selected.jsonl.run"


def call_tacos(*words: str) -> None:
    command = [sys.executable, "-m", "tacos", *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def measure_sections(text: str) -> dict[str, float]:
    """Megabytes of the five largest sections."""
    sizes = {part[1]: len(part[0].encode()) / 1e6 for part in PART.finditer(text)}
    largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:5]
    return {name: round(sizes[name], 2) for name in largest}


def open_report(report: Path) -> dict[str, float]:
    """Median and longest seconds until the report is shown, and until it is loaded."""
    from playwright.sync_api import sync_playwright

    paints = []
    loads = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            chromium_sandbox=os.geteuid() != 0,
        )
        for _ in range(N_TIMES):
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            window = context.new_page()
            started = time.perf_counter()
            window.goto(report.as_uri(), wait_until="load")
            # Two frames later everything has been laid out and painted.
            window.evaluate(
                "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
            )
            loads.append(time.perf_counter() - started)
            paint = window.evaluate(FIRST_PAINT)
            paints.append(paint / 1000)
            context.close()
        browser.close()
    return {
        "first_paint_s": round(statistics.median(paints), 2),
        "load_s": round(statistics.median(loads), 2),
        "load_longest_s": round(max(loads), 2),
    }


if __name__ == "__main__":
    main()
