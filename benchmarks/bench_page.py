"""The local page on a million generated rows: how long a person waits, and what it needs.

    make bench-page     # or: python benchmarks/bench_page.py [-n 1000000] [--run DIR]

`tacos ui` runs as a process of its own, and is asked over HTTP as its page asks it. "First paint" is
all that the page fetches until rows are shown: itself, its scripts, filters and rows; with a
browser at hand, also the time until a browser shows them. Searches are for other words each time,
so that none was made before; filters and orders are each asked for the first time, too. p95 is the
19th of 20 by length. Times are of the wall clock; `load` is what else the machine did.
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import polars as pl

import generated_run

N_TIMES = 20
QUIET_S = 2.0
N_SELECTED = 10_000
STATIC = Path(__file__).resolve().parents[1] / "src" / "tacos" / "web" / "static"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=1_000_000)
    parser.add_argument("--run", type=Path, help="where the run is, or will be")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = arguments.run or Path(folder) / "generated.run"
        if not run.is_dir():
            generated_run.write_run(run, arguments.n, N_SELECTED)
        started = time.perf_counter()
        with start_page(run) as page:
            ready = time.perf_counter() - started
            figures = measure_page(page, choose_words(run), choose_rows(run))
    print(
        json.dumps(
            {
                "rows": arguments.n,
                "start_s": round(ready, 2),
                **figures,
                "cores": os.cpu_count(),
                "load": round(os.getloadavg()[0], 1),
            }
        )
    )


class Page:
    """The page, asked as its own script does."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        port = re.findall(r":(\d+)/", url)[0]
        token = url.partition("token=")[2]
        self._connection = HTTPConnection("127.0.0.1", int(port), timeout=600)
        self._headers = {"Cookie": f"tacos-{port}={token}"}
        self._origin = f"http://127.0.0.1:{port}"
        self._last_asked = time.monotonic()

    def get(self, path: str, **params: Any) -> bytes:
        """An answer; the time of a failed one would mean nothing."""
        query = f"?{urlencode(params)}" if params else ""
        return self._ask("GET", path + query)

    def post(self, path: str, value: Any) -> bytes:
        """The answer to a value that is sent."""
        headers = {"Content-Type": "application/json", "Origin": self._origin}
        return self._ask("POST", path, json.dumps(value), headers)

    def read_peak(self) -> int:
        """The most memory that the server has needed, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) // 1024

    def _ask(
        self,
        method: str,
        path: str,
        body: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> bytes:
        if time.monotonic() - self._last_asked > QUIET_S:
            self._connection.close()  # the server hangs up on quiet connections
        self._connection.request(
            method, path, body, {**self._headers, **(headers or {})}
        )
        response = self._connection.getresponse()
        content = response.read()
        self._last_asked = time.monotonic()
        if response.status != 200:
            raise RuntimeError(f"{path}: {response.status} {content[:200]!r}")
        return content


@contextmanager
def start_page(run: Path) -> Iterator[Page]:
    """The page of a run, as soon as it can be opened."""
    command = [sys.executable, "-m", "tacos", "ui", str(run), "--no-browser"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.startswith("Open "):
                    yield Page(process, line.removeprefix("Open ").strip())
                    break
        finally:
            process.terminate()


def measure_page(
    page: Page, words: Sequence[str], rows: Sequence[str]
) -> dict[str, Any]:
    """Seconds of everything that a person does."""
    files = [f"/static/{file.relative_to(STATIC)}" for file in STATIC.rglob("*.*")]

    def paint(_: int) -> None:
        for path in ("/", *files, "/api/run", "/api/filters", "/api/rows"):
            page.get(path)

    clusters = [{"cluster": number, "per_page": 50} for number in range(N_TIMES // 4)]
    tags = [{"tag": f"Tag {number}"} for number in range(N_TIMES // 4)]
    scores = [{"min_score": low, "max_score": low + 3} for low in range(40, 45)]
    others = [
        {"state": "rejected"},
        {"state": "selected", "sort": "rank"},
        {"source": "dolly.jsonl"},
        {"fault": "unclear"},
        {"reason": "empty response"},
    ]
    filters: list[dict[str, Any]] = [*clusters, *tags, *scores, *others]
    orders: list[dict[str, Any]] = [
        {"sort": sort, "descending": descending}
        for sort in ("score", "length", "correctness", "value", "rank")
        for descending in ("true", "false")
    ]
    figures = {
        "first_paint": time_calls(paint),
        "text_search": time_calls(
            lambda time_: page.get("/api/rows", text=words[time_])
        ),
        "text_search_by_score": time_calls(
            lambda time_: page.get(
                "/api/rows", text=words[-1 - time_], sort="score", descending="true"
            )
        ),
        "filter": time_calls(lambda time_: page.get("/api/rows", **filters[time_])),
        "order": time_calls(
            lambda time_: page.get("/api/rows", **orders[time_]), len(orders)
        ),
        "next_page": time_calls(lambda time_: page.get("/api/rows", page=time_ + 2)),
        "story": time_calls(lambda time_: page.get("/api/row", row=rows[time_])),
    }
    browser = time_browser(page.url)
    if browser is not None:
        figures["first_paint_in_browser"] = browser
    peak_mb = page.read_peak()
    what_if = {
        "what_if_first": time_calls(
            lambda time_: page.post("/api/what-if", {"n": "5000"}), 1
        ),
        "what_if": time_calls(
            lambda time_: page.post("/api/what-if", {"n": str(6000 + time_)}), 5
        ),
    }
    return {
        **figures,
        "peak_mb": peak_mb,
        **what_if,
        "peak_mb_with_what_if": page.read_peak(),
    }


def time_calls(call: Callable[[int], object], n: int = N_TIMES) -> dict[str, float]:
    """Median, p95 and longest of n calls, in seconds."""
    seconds = []
    for number in range(n):
        started = time.perf_counter()
        call(number)
        seconds.append(time.perf_counter() - started)
    return summarise(seconds)


def summarise(seconds: list[float]) -> dict[str, float]:
    """Median, p95 by nearest rank, and the longest."""
    ordered = sorted(seconds)
    place = max(0, -(-95 * len(ordered) // 100) - 1)
    return {
        "n": len(ordered),
        "median": round(statistics.median(ordered), 3),
        "p95": round(ordered[place], 3),
        "longest": round(ordered[-1], 3),
    }


def time_browser(url: str) -> dict[str, float] | None:
    """Seconds until a new browser window shows rows; None where there is no browser."""
    path = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        return None
    if path is None:
        return None
    seconds = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, chromium_sandbox=os.geteuid() != 0
        )
        for _ in range(N_TIMES):
            context = browser.new_context()
            window = context.new_page()
            started = time.perf_counter()
            window.goto(url, wait_until="commit")
            window.wait_for_selector("a.entry")
            seconds.append(time.perf_counter() - started)
            context.close()
        browser.close()
    return summarise(seconds)


def choose_words(run: Path) -> list[str]:
    """Words of the run's texts, frequent and rare ones, none twice."""
    part = min(run.glob("samples/*/part-*.parquet"))
    texts = pl.read_parquet(part, columns=["response"], n_rows=10_000)["response"]
    words = texts.str.strip_chars(".").str.split(" ").explode()
    counts = words.filter(words.str.len_chars() > 2).value_counts(sort=True)
    step = max(1, counts.height // (2 * N_TIMES))
    return counts[::step].head(2 * N_TIMES)[words.name].to_list()


def choose_rows(run: Path) -> list[str]:
    """The ids of rows from all over the run."""
    parts = sorted(run.glob("samples/*/part-*.parquet"))
    ids = pl.concat([pl.read_parquet(part, columns=["id"]) for part in parts])["id"]
    return ids[:: max(1, len(ids) // N_TIMES)].head(N_TIMES).to_list()


if __name__ == "__main__":
    main()
