"""Fuzzes the reading of files: small valid files of every container and layout, spoilt in one way.

    python -m tests.fuzz.files 10000
    python -m tests.fuzz.files --only 4711         (one file again, with what is wrong of it)

Each file is read and ingested in a worker process. Wrong are: an exception other than an error of
one line, a crash, more than 2 seconds, more than 1 GiB, and whatever `tests.fuzz.checks` finds:
rows lost, texts and numbers altered, questions taken for answers. It prints how many files were
spoilt in which way, what was wrong, and a line of JSON; it fails if anything was.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.cases import make_case
from tests.fuzz.checks import check_case

N_FILES = 10_000
SEED = 14
CHUNK = 1_000
"""Files of one worker."""
SECONDS = 2.0
MIB = 1024
STUCK = 60.0
"""Seconds after which a worker is stuck that uses no processor time."""


class Finding(NamedTuple):
    """Something wrong with one file."""

    number: int
    problem: str


def check_numbers(numbers: Sequence[int], seed: int) -> Iterator[Finding]:
    """Check files in this process, without limits."""
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            for problem in check_one(number, seed, Path(folder)):
                yield Finding(number, problem)


def check_one(number: int, seed: int, folder: Path) -> list[str]:
    """What is wrong with one file."""
    try:
        return check_case(make_case(seed, number), folder)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # polars' panics are no `Exception`
        frames = traceback.extract_tb(error.__traceback__)
        place = next(
            (frame for frame in reversed(frames) if "/tacos/" in frame.filename),
            frames[-1],
        )
        where = f"{Path(place.filename).name}:{place.lineno}"
        return [f"traceback: {type(error).__name__} at {where}: {str(error)[:100]}"]


def run_worker(numbers: Sequence[int], seed: int, pipe: Connection) -> None:
    """Check files; before and after each, say so."""
    with tempfile.TemporaryDirectory() as folder:
        # What is imported late is no part of any file's time.
        check_numbers_of_warm_up(seed, Path(folder))
        for number in numbers:
            case = make_case(seed, number)
            pipe.send(("begin", number, [case.kind]))
            found = check_one(number, seed, Path(folder))
            pipe.send(("end", number, found))
            if _peak_mib() > MIB:
                return


def check_numbers_of_warm_up(seed: int, folder: Path) -> None:
    """Read a few files, so that everything is imported."""
    import pandas  # noqa: F401

    for number in range(20):
        check_one(number, seed, folder)


def _peak_mib() -> int:
    """The most memory that this process held so far."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def _cpu_seconds(pid: int | None) -> float:
    """The processor time that a process used: the machine may be busy with others."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mib(pid: int | None) -> int:
    """The memory that a process holds."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return (
        int(status.partition("VmRSS:")[2].split()[0]) // 1024
        if "VmRSS" in status
        else 0
    )


class Worker:
    """A process that checks files one after another, and what it said last."""

    def __init__(self, numbers: Sequence[int], seed: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe(duplex=False)
        self.process = context.Process(target=run_worker, args=(numbers, seed, theirs))
        self.process.start()
        theirs.close()
        self.begun: int | None = None
        self._cpu_limit = self._time_limit = 0.0

    def begin(self, number: int) -> None:
        """Note which file it reads, and from when on."""
        self.begun = number
        self._cpu_limit = _cpu_seconds(self.process.pid) + SECONDS
        self._time_limit = time.monotonic() + STUCK

    def find_problem(self) -> str:
        """Which limit it exceeds, "" for none."""
        if self.begun is None:
            return ""
        if _memory_mib(self.process.pid) > MIB:
            return f"memory: more than {MIB} MiB"
        used = _cpu_seconds(self.process.pid)
        if used > self._cpu_limit or time.monotonic() > self._time_limit:
            return f"hang: more than {SECONDS:g} s"
        return ""


def fuzz_chunk(
    numbers: Sequence[int], seed: int, kinds: Counter[str]
) -> Iterator[Finding]:
    """Check files in a worker, which is replaced where it hangs or dies."""
    rest = list(numbers)
    while rest:
        worker = Worker(rest, seed)
        yield from _follow_worker(worker, rest, kinds)
        worker.process.kill()
        worker.process.join()


def _follow_worker(
    worker: Worker, rest: list[int], kinds: Counter[str]
) -> Iterator[Finding]:
    """What a worker finds; the files that it finished, or at which it ended, go from `rest`."""
    while rest:
        try:
            message = worker.pipe.recv() if worker.pipe.poll(0.02) else None
        except EOFError:
            yield Finding(rest.pop(0), "crash, or memory for good")
            return
        if message is None:
            problem = worker.find_problem()
            if problem:
                yield Finding(rest.pop(0), problem)
                return
            continue
        word, number, said = message
        if word == "begin":
            worker.begin(number)
            kinds[re.sub(r" (['{\[]|and ).*", "", said[0])] += 1
        elif word == "end":
            rest.remove(number)
            worker.begun = None
            for each in said:
                yield Finding(number, each)


def main() -> None:
    """Fuzz and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("n_files", nargs="?", type=int, default=N_FILES)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--only", type=int)
    options = parser.parse_args()
    if options.only is not None:
        case = make_case(options.seed, options.only)
        print(case.name, case.layout, case.container, case.kind, case.content[:3_000])
        for finding in check_numbers([options.only], options.seed):
            print(finding.problem)
        return
    started = time.perf_counter()
    kinds: Counter[str] = Counter()
    findings: list[Finding] = []
    last = options.first + options.n_files
    for first in range(options.first, last, CHUNK):
        numbers = range(first, min(first + CHUNK, last))
        findings += fuzz_chunk(numbers, options.seed, kinds)
    for kind, count in kinds.most_common():
        print(f"{count:6}  {kind}")
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(re.split(r"[:'\d]", finding.problem)[0], []).append(finding)
    for name, group in sorted(groups.items(), key=lambda item: -len(item[1])):
        print(f"\n{len(group)} x {name}")
        for finding in group[:12]:
            print(f"    {finding.number}: {finding.problem[:300]}")
    figures = {
        "n_files": options.n_files,
        "seconds": round(time.perf_counter() - started, 1),
        "wrong": {name: len(group) for name, group in groups.items()},
    }
    print(json.dumps(figures))
    if findings:
        sys.exit(1)


if __name__ == "__main__":
    main()
