"""Machines that share a ledger in PostgreSQL, and a database that goes away while they ask."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.disks import fill_disk, small_disk
from tests.server.fault_server import Behaviour, FaultServer
from tests.server.postgres_server import (
    ESCAPED_PASSWORD,
    INSTALL,
    PASSWORD,
    PostgresServer,
    find_programs,
    run_postgres,
)
from tests.server.questions import KEY

from tacos.llm.ledger.ledger import open_ledger

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "demo" / "sample.jsonl"
OF_ITS_OWN = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
"""Starts a process that sees no other one and is seen by none, as on another machine."""

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("data_folder"),
]


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that a test may stop."""
    if find_programs() is None:
        pytest.skip(INSTALL)
    with run_postgres() as server:
        yield server


@pytest.fixture
def machine() -> list[str]:
    """What starts a process as on a machine of its own."""
    if subprocess.run([*OF_ITS_OWN, "true"], capture_output=True).returncode != 0:
        pytest.skip("needs unshare, and the right to use it")
    return OF_ITS_OWN


def ask(
    machine: list[str],
    server: FaultServer,
    ledger: str,
    numbers: range,
    out: Path,
    concurrency: int = 64,
) -> subprocess.Popen[bytes]:
    """A process, on a machine of its own, that asks the questions with these numbers."""
    command = [
        *machine,
        *(sys.executable, "-m", "tests.server.asking_process", server.url, ledger),
        *(str(numbers.start), str(len(numbers)), str(out), str(concurrency)),
    ]
    return subprocess.Popen(command, cwd=ROOT)


def test_two_machines_with_two_processes_each_ask_no_question_twice(
    machine: list[str], postgres: PostgresServer, tmp_path: Path
) -> None:
    ledger = postgres.make_database()
    parts = [range(1000), range(500, 1500), range(1500), range(700, 900)]
    outs = [tmp_path / f"{number}.jsonl" for number in range(4)]
    with FaultServer(Behaviour(latency=0.05)) as server:
        processes = [
            ask(machine, server, ledger, part, out)
            for part, out in zip(parts, outs, strict=True)
        ]
        assert [process.wait(300) for process in processes] == [0] * 4
    assert len(server.asked) == server.asked.total() == 1500
    answers = [out.read_bytes().splitlines() for out in outs]
    assert [len(each) for each in answers] == [1000, 1000, 1500, 200]
    assert answers[0] == answers[2][:1000]
    assert answers[1] == answers[2][500:]
    assert answers[3] == answers[2][700:900]
    assert not any(b"null" in line for line in answers[2])


@pytest.mark.slow
def test_the_leases_of_a_machine_that_is_killed_end_and_another_one_asks(
    machine: list[str], postgres: PostgresServer, tmp_path: Path
) -> None:
    ledger = postgres.make_database()
    latency = 0.1
    with FaultServer(Behaviour(latency=latency)) as server:
        first = ask(machine, server, ledger, range(1500), tmp_path / "one", 16)
        while server.answered.total() < 300:
            time.sleep(0.01)
        second = ask(machine, server, ledger, range(1500), tmp_path / "two", 16)
        while server.answered.total() < 600:
            time.sleep(0.01)
        first.kill()
        first.wait()
        killed_at = time.monotonic()
        time.sleep(5)
        n_before = server.asked.total()
        time.sleep(5)
        # The other machine cannot know that it was killed.
        assert server.asked.total() == n_before
        assert second.wait(200) == 0
        took = time.monotonic() - killed_at
    assert took > 12, "the leases had not ended yet"
    assert len((tmp_path / "two").read_bytes().splitlines()) == 1500
    assert len(server.asked) == 1500
    # In flight, or answered and not committed yet.
    assert server.asked.total() - 1500 <= 2 * 16 + 4


def test_a_database_that_is_restarted_is_waited_for(
    own_server: PostgresServer, tmp_path: Path
) -> None:
    ledger = own_server.make_database()
    with FaultServer(Behaviour(latency=0.05)) as server:
        process = ask([], server, ledger, range(1500), tmp_path / "out", 32)
        for how, n_answered in ((signal.SIGINT, 300), (signal.SIGQUIT, 800)):
            while server.answered.total() < n_answered:
                time.sleep(0.01)
            own_server.stop(how)
            time.sleep(2)
            own_server.start()
        assert process.wait(200) == 0
    assert len(server.asked) == server.asked.total() == 1500
    with open_ledger(ledger) as book:
        assert book.size().n_replies == 1500


def tacos(*words: object, code: int = 0) -> str:
    """Run a command in a process of its own; what it printed."""
    environment = {**os.environ, "OPENAI_API_KEY": KEY, "NO_PROXY": "*"}
    done = subprocess.run(
        [sys.executable, "-m", "tacos", *map(str, words)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    check_no_secret(said)
    return said


def check_no_secret(text: str) -> None:
    """Nothing shows or keeps the password of the database."""
    for secret in (PASSWORD, ESCAPED_PASSWORD, KEY):
        assert secret not in text


def select(
    folder: Path, server: FaultServer, ledger: str, *more: object, code: int = 0
) -> str:
    """`tacos select` of 20 of 60 rows."""
    data = folder / "rows.jsonl"
    data.write_text("".join(SAMPLE.read_text().splitlines(keepends=True)[:60]))
    return tacos(
        *("select", data, "-n", 20, "-o", folder / "out.jsonl", "--ledger", ledger),
        *("--llm", server.url, "--model", "tiny-1", "--set", "llm.concurrency=4"),
        *more,
        code=code,
    )


@pytest.mark.slow
def test_a_database_that_stays_away_ends_the_run_with_one_line_and_it_resumes(
    own_server: PostgresServer, tmp_path: Path, data_folder: Path
) -> None:
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    for folder in (calm, rough):
        folder.mkdir()
    with FaultServer(Behaviour(latency=0.05)) as server:
        select(calm, server, str(calm / "ledger.sqlite"))
        n_questions = server.asked.total()
        assert len(server.asked) == n_questions

    ledger = own_server.make_database()
    with FaultServer(Behaviour(latency=0.2)) as server:

        def stop() -> None:
            while server.answered.total() < n_questions // 2:
                time.sleep(0.01)
            own_server.stop()

        stopping = threading.Thread(target=stop)
        stopping.start()
        said = select(rough, server, ledger, code=2)
        stopping.join()
        errors = [line for line in said.splitlines() if line.startswith("tacos: ")]
        assert len(errors) == 1, said
        assert errors[0].startswith("tacos: the ledger postgresql://127.0.0.1:")
        assert "start the database" in errors[0]
        assert "Traceback" not in said
        assert "paid for meanwhile are kept" in errors[0]
        assert list(data_folder.glob("unwritten/*.jsonl"))

        own_server.start()
        select(rough, server, ledger)
        # What came while the database was away was not bought again either.
        assert server.asked.total() == len(server.asked) == n_questions
    assert not list(data_folder.glob("unwritten/*"))
    for name in ("out.jsonl", "out.jsonl.scores.jsonl"):
        assert (rough / name).read_bytes() == (calm / name).read_bytes()


SMALL = {"max_wal_size": "32MB", "min_wal_size": "32MB", "shared_buffers": "16MB"}


@pytest.mark.slow
def test_a_full_disk_of_the_database_is_one_line_and_no_reply_is_lost(
    tmp_path: Path, data_folder: Path
) -> None:
    with small_disk() as disk, run_postgres(disk, **SMALL) as database:
        ledger = database.make_database()
        filler = disk / "filler"
        with FaultServer(Behaviour(latency=0.2)) as server:

            def fill() -> None:
                while server.answered.total() < 20:
                    time.sleep(0.01)
                fill_disk(filler)

            filling = threading.Thread(target=fill)
            filling.start()
            said = select(tmp_path, server, ledger, code=2)
            filling.join()
            errors = [line for line in said.splitlines() if line.startswith("tacos: ")]
            assert len(errors) == 1, said
            assert "No space left on device" in errors[0], said
            assert "free some space on the database's disk" in errors[0]
            n_before = server.asked.total()
            assert n_before >= 20
            filler.unlink()
            select(tmp_path, server, ledger)
            assert server.asked.total() == len(server.asked) > n_before
