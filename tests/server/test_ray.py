"""Questions to an endpoint from four actors of Ray: the same artifacts, the limits held together,
nothing bought twice where an actor is killed.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.server.fault_server import Behaviour, FaultServer
from tests.server.questions import KEY
from tests.server.test_commands import SAMPLE, artifacts, select

pytest.importorskip("ray", reason="the extra ray is not installed")
pytestmark = pytest.mark.slow
N_ROWS = 240


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    lines = SAMPLE.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:N_ROWS]))
    return path


@pytest.fixture
def server() -> Iterator[FaultServer]:
    faults = {"500": 0.05, "invalid-json": 0.05, "429": 0.02}
    with FaultServer(Behaviour(faults, latency=0.02, seconds=0.2)) as found:
        yield found


def test_four_actors_make_the_artifacts_of_one_machine(
    tmp_path: Path, data: Path, server: FaultServer
) -> None:
    for name in ("here", "ray"):
        (tmp_path / name).mkdir()
    select(tmp_path / "here", data, server)
    n_here = len(server.asked)
    select(tmp_path / "ray", data, server, "--engine", "ray")
    assert artifacts(tmp_path / "ray") == artifacts(tmp_path / "here")
    # Another ledger, so everything was asked once more; no question that nobody asked before.
    assert len(server.asked) == n_here


def test_the_actors_hold_the_rate_limit_together(tmp_path: Path, data: Path) -> None:
    with FaultServer(Behaviour({}, latency=0.02)) as server:
        rate = ("--set", "llm.rpm=200", "--until", "tag")
        select(tmp_path, data, server, *rate, "--engine", "ray")
        times = server.times
    assert len(times) >= N_ROWS * 0.9
    n_in_a_minute = max(
        sum(start <= later < start + 60 for later in times) for start in times
    )
    assert 150 <= n_in_a_minute <= 200 * 1.05


@pytest.mark.parametrize("n_killed", [1, 2])
def test_a_killed_actor_loses_nothing_and_nothing_is_bought_twice(
    tmp_path: Path, data: Path, n_killed: int
) -> None:
    with FaultServer(Behaviour({}, latency=0.05)) as server:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tacos", "select", data, "-n", "20"),
                *(
                    "-o",
                    tmp_path / "out.jsonl",
                    "--llm",
                    server.url,
                    "--model",
                    "tiny-1",
                ),
                *("--ledger", tmp_path / "ledger.sqlite", "--engine", "ray"),
                *("--set", "llm.rpm=2400"),
            ],
            env={**os.environ, "OPENAI_API_KEY": KEY, "NO_PROXY": "*"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for number in range(n_killed):
            wait_for_questions(server, 40 * (number + 1))
            askers = find_askers(process.pid)
            os.kill(askers[number % len(askers)].pid, signal.SIGKILL)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors.decode()
        asked_once_more = server.asked.total() - len(server.asked)
    # What the server was still answering when the actor died is lost: nobody has the reply.
    assert asked_once_more <= 16 * n_killed


def find_askers(pid: int) -> list[psutil.Process]:
    """The actors below a process that ask the endpoint."""
    found = [
        each
        for each in psutil.Process(pid).children(recursive=True)
        if "_Asker" in each.name() or "_Asker" in " ".join(each.cmdline())
    ]
    assert found
    return found


def wait_for_questions(server: FaultServer, n: int, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while server.asked.total() < n:
        assert time.monotonic() < until
        time.sleep(0.05)
