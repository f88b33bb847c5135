"""Processes that share a ledger, and processes that are killed."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.server.fault_server import Behaviour, FaultServer

from tacos.llm.ledger import group_writer
from tacos.llm.ledger.ledger import open_ledger

ROOT = Path(__file__).parents[2]


def start(
    server: FaultServer, ledger: str, first: int, n: int, out: Path, concurrency: int
) -> subprocess.Popen[bytes]:
    """A process that asks questions `first` to `first + n`."""
    numbers = map(str, (first, n))
    command = [
        sys.executable,
        "-m",
        "tests.server.asking_process",
        server.url,
        ledger,
        *numbers,
        out,
        str(concurrency),
    ]
    return subprocess.Popen(command, cwd=ROOT)


def share(folder: Path, ledger: str, n: int) -> FaultServer:
    """Two processes ask n questions each, half of them the same ones."""
    with FaultServer(Behaviour(latency=0.05)) as server:
        outs = [folder / "one.jsonl", folder / "two.jsonl"]
        firsts = (0, n // 2)
        both = [
            start(server, ledger, first, n, out, 64)
            for first, out in zip(firsts, outs, strict=True)
        ]
        assert [process.wait(600) for process in both] == [0, 0]
        one, two = (out.read_bytes().splitlines() for out in outs)
    assert len(one) == len(two) == n
    assert one[n // 2 :] == two[: n // 2]
    assert not any(b"null" in line for line in one + two)
    return server


def test_two_processes_ask_no_question_twice(tmp_path: Path, location: str) -> None:
    server = share(tmp_path, location, 1000)
    assert len(server.asked) == server.asked.total() == 1500


@pytest.mark.slow
def test_two_processes_of_20000_questions_each(tmp_path: Path, location: str) -> None:
    started = time.monotonic()
    server = share(tmp_path, location, 20_000)
    n_twice = server.asked.total() - len(server.asked)
    print(
        f"30,000 questions, {n_twice} asked twice, {time.monotonic() - started:.0f} s"
    )
    assert len(server.asked) == 30_000
    assert n_twice == 0


def kill_and_resume(
    folder: Path,
    ledger: str,
    n: int,
    share_done: float,
    concurrency: int,
    latency: float,
) -> tuple[int, int]:
    """Kill a process once so many questions are answered, let another one finish.

    Questions that the server was asked twice, and answers when the kill came.
    """
    with FaultServer(Behaviour(latency=latency)) as server:
        out = folder / "out.jsonl"
        first = start(server, ledger, 0, n, out, concurrency)
        while server.answered.total() < share_done * n:
            time.sleep(0.001)
        n_before = server.answered.total()
        while server.answered.total() == n_before:
            time.sleep(0.0005)
        first.kill()
        first.wait()
        time.sleep(2 * latency)  # what was in flight ends at the server
        assert start(server, ledger, 0, n, out, concurrency).wait(300) == 0
        assert len(out.read_bytes().splitlines()) == n
        with open_ledger(ledger) as book:
            assert book.size().n_replies == n
        return server.asked.total() - n, n_before


@pytest.mark.parametrize("share_done", [0.5])
def test_a_kill_costs_no_more_than_what_was_in_flight(
    tmp_path: Path, location: str, share_done: float
) -> None:
    n_twice, _ = kill_and_resume(
        tmp_path, location, 1000, share_done, concurrency=32, latency=0.05
    )
    per_interval = group_writer.INTERVAL * 32 / 0.05
    assert n_twice <= 32 + 4 * per_interval, (
        "a slow machine commits late; without commits it would be all 500"
    )


@pytest.mark.slow
def test_ten_kills_around_half_of_5000_questions(tmp_path: Path) -> None:
    """Prints a line per kill: `pytest -m slow -s tests/faults/test_processes.py -k kills`."""
    random.seed(3)
    outputs = set()
    for number in range(10):
        folder = tmp_path / str(number)
        folder.mkdir()
        share_done = random.uniform(0.4, 0.6)
        n_twice, n_before = kill_and_resume(
            folder,
            str(folder / "l.sqlite"),
            5000,
            share_done,
            concurrency=64,
            latency=0.1,
        )
        per_interval = (
            (group_writer.INTERVAL + 0.05) * 64 / 0.1
        )  # an interval, and a commit under way
        print(
            f"kill {number}: after {n_before} answers; asked twice {n_twice} <= 64 + {per_interval:.0f}"
        )
        assert n_twice <= 64 + per_interval
        outputs.add((folder / "out.jsonl").read_bytes())
    assert len(outputs) == 1
