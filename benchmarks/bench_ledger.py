"""How fast the two kinds of ledger are: SQLite in a file, PostgreSQL on this machine.

    python benchmarks/bench_ledger.py [--n 20000] [--processes 4]

- `puts`: replies per second that one process puts one by one and waits for, in groups (`Ledger.put`).
- `gets`: replies per second that it looks up, 500 at a time (`Ledger.get`).
- `questions`: per second on the whole way of a question: leased 500 at a time, put, looked up by
  nobody before; by one process, and by several at once that share the ledger.

Every reply is on the disk before it counts: `fsync` is on, and the server's files are in the same
folder as SQLite's. A reply has the size of a tagger's (about 600 bytes).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tests' server

from tests.server.postgres_server import run_postgres  # noqa: E402

from fast_server import REPLY  # noqa: E402
from tacos.llm.ledger.ledger import Ledger, open_ledger  # noqa: E402
from tacos.llm.ledger.schema import LedgerEntry  # noqa: E402

BATCH = 500


def make_entries(first: int, n: int) -> list[LedgerEntry]:
    """Replies of a tagger, each with a key as long as real ones."""
    raw = REPLY.decode()
    entries = []
    for number in range(first, first + n):
        key = f"{number:064x}"
        entries.append(
            LedgerEntry(
                *(key, "fast-1", "fast-1-2026-01-01", "tag", "stop", 412, 48, 0.2),
                *(time.time(), "online", raw, "http://127.0.0.1:8000/v1"),
            )
        )
    return entries


def measure_puts(book: Ledger, entries: list[LedgerEntry]) -> float:
    """Seconds until all of them are on disk."""
    failures: list[object] = []
    began = time.perf_counter()
    for entry in entries:
        book.put(entry, lambda written, error: failures.append(error))
    book.flush()
    took = time.perf_counter() - began
    assert not any(failures)
    return took


def measure_gets(book: Ledger, entries: list[LedgerEntry]) -> float:
    """Seconds in which all of them are looked up."""
    keys = [entry.key for entry in entries]
    began = time.perf_counter()
    n_known = 0
    for start in range(0, len(keys), BATCH):
        n_known += len(book.get(keys[start : start + BATCH]))
    assert n_known == len(keys)
    return time.perf_counter() - began


def measure_questions(book: Ledger, entries: list[LedgerEntry]) -> float:
    """Seconds in which all of them are leased and answered."""
    began = time.perf_counter()
    for start in range(0, len(entries), BATCH):
        batch = entries[start : start + BATCH]
        leases = book.take([entry.key for entry in batch])
        assert len(leases.ours) == len(batch)
        for entry in batch:
            book.put(entry, lambda written, error: None)
    book.flush()
    return time.perf_counter() - began


def work(location: str, number: int, n: int) -> None:
    """One of several processes: wait for the start, answer questions of its own, print how long."""
    entries = make_entries((number + 1) * 1_000_000, n)
    with open_ledger(location) as book:
        print("ready", flush=True)
        sys.stdin.readline()
        began = time.time()
        measure_questions(book, entries)
        print(json.dumps([began, time.time()]), flush=True)


def measure_processes(location: str, n_processes: int, n: int) -> float:
    """Seconds in which several processes answer n questions each."""
    command = [sys.executable, __file__, "--worker", location, "--n", str(n)]
    processes = [
        subprocess.Popen(
            [*command, "--number", str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(n_processes)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    times = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        output, _ = process.communicate()
        times.append(json.loads(output))
    return float(max(end for _, end in times) - min(began for began, _ in times))


def measure(location: str, n: int, n_processes: int) -> dict[str, float]:
    """The figures of one kind, per second."""
    with open_ledger(location) as book:
        entries = make_entries(0, n)
        seconds = {
            "puts": measure_puts(book, entries),
            "gets": measure_gets(book, entries),
            "questions": measure_questions(book, make_entries(n, n)),
        }
    shared = f"questions, {n_processes} processes"
    seconds[shared] = measure_processes(location, n_processes, n // n_processes)
    return {name: round(n / took) for name, took in seconds.items()}


def main() -> None:
    """Print the figures of both kinds, and how much of SQLite's PostgreSQL has."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    parser.add_argument("--number", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.number, options.n)
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(run_postgres())
        locations = {
            "sqlite": str(folder / "ledger.sqlite"),
            "postgres": server.make_database(),
        }
        figures = {
            name: measure(location, options.n, options.processes)
            for name, location in locations.items()
        }
    ratios = {
        name: round(figures["postgres"][name] / per_second, 2)
        for name, per_second in figures["sqlite"].items()
    }
    result = {"n": options.n, "per_s": figures, "postgres / sqlite": ratios}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
