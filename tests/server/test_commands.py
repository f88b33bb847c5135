"""The whole way through the command line: online, batch, exchange, budget, kills; the same rows
every time, no key.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.server.fault_server import Behaviour, FaultServer
from tests.server.questions import KEY
from typer.testing import CliRunner

from tacos.cli import app
from tacos.errors import TacosError
from tacos.llm.ledger.ledger import LedgerEntry, open_ledger

SAMPLE = Path(__file__).parents[2] / "demo" / "sample.jsonl"
N_ROWS = 120
PRICES = ("--set", "llm.price_in=1", "--set", "llm.price_out=2")


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """A server that answers quickly and, now and then, badly."""
    faults = {"500": 0.05, "invalid-json": 0.05, "fenced": 0.05, "429": 0.02}
    with FaultServer(Behaviour(faults, latency=0.02, seconds=0.2)) as found:
        yield found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some rows of the bundled sample."""
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    path.write_text(
        "".join(SAMPLE.read_text("utf-8").splitlines(keepends=True)[:N_ROWS])
    )
    return path


def tacos(
    folder: Path, *words: object, ledger: str = "ledger.sqlite", code: int = 0
) -> str:
    """Run a command in a process of its own; what it printed."""
    command = [
        sys.executable,
        "-m",
        "tacos",
        *map(str, words),
        "--ledger",
        str(folder / ledger),
    ]
    environment = {**os.environ, "OPENAI_API_KEY": KEY, "NO_PROXY": "*"}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert KEY not in done.stdout + done.stderr
    return done.stdout + done.stderr


def select(
    folder: Path, data: Path, server: FaultServer, *more: object, **rest: object
) -> str:
    """`tacos select` at the server."""
    endpoint = ("--llm", server.url, "--model", "tiny-1", *PRICES)
    return tacos(
        folder,
        "select",
        data,
        "-n",
        20,
        "-o",
        folder / "out.jsonl",
        *endpoint,
        *more,
        **rest,
    )  # type: ignore[arg-type]


def artifacts(folder: Path) -> dict[str, bytes]:
    """Every table of a run, and its output."""
    files = [
        *folder.glob("out.jsonl.run/**/*.parquet"),
        folder / "out.jsonl",
        folder / "out.jsonl.scores.jsonl",
    ]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def online(
    tmp_path_factory: pytest.TempPathFactory, data: Path, server: FaultServer
) -> dict[str, bytes]:
    """The tables of an undisturbed online run."""
    folder = tmp_path_factory.mktemp("online")
    select(folder, data, server)
    for file in folder.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file
    return artifacts(folder)


@pytest.mark.slow
def test_exchange_files_make_the_same_artifacts(
    tmp_path: Path, data: Path, server: FaultServer, online: dict[str, bytes]
) -> None:
    select(tmp_path, data, server, "--until", "ingest")
    asked = server.asked.total()
    run, out, back = (
        tmp_path / "out.jsonl.run",
        tmp_path / "requests.jsonl",
        tmp_path / "replies.jsonl",
    )
    while "no requests left" not in tacos(
        tmp_path, "requests", "export", run, "-o", out
    ):
        lines = [json.loads(line) for line in out.read_text().splitlines()]
        answers = [
            {
                "custom_id": each["custom_id"],
                "response": {"body": server.answer(each["body"])},
            }
            for each in lines
        ]
        back.write_text("\n".join(map(json.dumps, answers)))
        tacos(tmp_path, "requests", "import", run, back)
        out.unlink()
    select(tmp_path, data, server)
    assert server.asked.total() == asked
    assert artifacts(tmp_path) == online


@pytest.mark.slow
def test_the_batch_api_makes_the_same_artifacts(
    tmp_path: Path, data: Path, server: FaultServer, online: dict[str, bytes]
) -> None:
    select(tmp_path, data, server, "--until", "ingest")
    asked = server.asked.total()
    printed = tacos(
        tmp_path, "requests", "batch", tmp_path / "out.jsonl.run", "--poll", 0.02
    )
    assert "every request is answered" in printed
    select(tmp_path, data, server)
    assert server.asked.total() == asked
    assert artifacts(tmp_path) == online


@pytest.mark.slow
def test_the_budget_stops_cleanly_and_the_same_command_goes_on(
    tmp_path: Path, data: Path, server: FaultServer, online: dict[str, bytes]
) -> None:
    endpoint = ("--llm", server.url, "--model", "tiny-1", *PRICES)
    quotes = json.loads(tacos(tmp_path, "quote", data, "-n", 20, *endpoint, "--json"))
    tenth = sum(each["usd"]["mid"] for each in quotes) / 10
    printed = select(tmp_path, data, server, "--budget", f"{tenth:.4f}usd", code=3)
    assert "the same command continues from here" in printed
    rest = json.loads(tacos(tmp_path, "ledger", "--json"))
    assert rest["n_replies"] > 0
    select(tmp_path, data, server)
    assert artifacts(tmp_path) == online


@pytest.mark.slow
def test_kills_change_nothing(
    tmp_path: Path, data: Path, server: FaultServer, online: dict[str, bytes]
) -> None:
    command = [
        sys.executable,
        "-m",
        "tacos",
        "select",
        str(data),
        "-n",
        "20",
        "-o",
        str(tmp_path / "out.jsonl"),
    ]
    command += [
        "--llm",
        server.url,
        "--model",
        "tiny-1",
        *PRICES,
        "--ledger",
        str(tmp_path / "ledger.sqlite"),
    ]
    environment = {**os.environ, "OPENAI_API_KEY": KEY, "NO_PROXY": "*"}
    for seconds in (2.0, 2.5, 3.0, 4.0):
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(seconds)
        process.kill()
        process.wait()
    select(tmp_path, data, server)
    assert artifacts(tmp_path) == online


def here(*words: object) -> str:
    """Run a command in this process; what it printed, or the message of the error it ended with."""
    found = CliRunner().invoke(app, [str(word) for word in words])
    if found.exception is not None and not isinstance(found.exception, TacosError):
        raise found.exception
    return str(found.exception or "") + found.output


def test_data_does_not_leave_this_machine_unasked(tmp_path: Path, data: Path) -> None:
    endpoint = (
        "--llm",
        "https://api.example.com/v1",
        "--model",
        "m",
        "--ledger",
        tmp_path / "ledger.sqlite",
    )
    for command in (
        ("select", data, "-n", 20, "-o", tmp_path / "out.jsonl"),
        ("quote", data, "-n", 20),
    ):
        printed = here(*command, *endpoint)
        assert (
            "cannot ask for confirmation (no terminal); "
            "pass --yes to allow sending data to api.example.com" in printed
        )
    assert not (tmp_path / "ledger.sqlite").exists()


def test_ledgers_can_be_moved(tmp_path: Path) -> None:
    one, two, lines = (
        tmp_path / name for name in ("one.sqlite", "two.sqlite", "all.jsonl")
    )
    with open_ledger(one) as book:
        book.put_all(
            [
                LedgerEntry(
                    key, "m", "m", "tag", "stop", 1, 1, 0.1, 0.0, "online", "{}"
                )
                for key in "ab"
            ]
        )
    assert json.loads(here("ledger", "--ledger", one, "--json"))["n_replies"] == 2
    assert "2 replies" in here("ledger", "--ledger", one)
    here("ledger", "--ledger", one, "export", lines)
    assert "2 new replies, 0 known already, 0 unreadable" in here(
        "ledger", "--ledger", two, "import", lines
    )


def test_an_import_says_what_it_took_in_also_where_the_run_cannot_go_on(
    tmp_path: Path, data: Path, server: FaultServer
) -> None:
    book, run, out, back = (
        ("--ledger", tmp_path / "l.sqlite"),
        *(tmp_path / name for name in ("run", "out", "back")),
    )
    endpoint = (
        "--llm",
        server.url,
        "--model",
        "tiny-1",
        "--set",
        "normalise.encoder=endpoint:tiny-1",
    )
    here("select", data, "-n", 20, "--run", run, *endpoint, "--until", "ingest", *book)
    here("requests", "export", run, "-o", out, *book)
    requests = [json.loads(line) for line in out.read_text().splitlines()]
    assert "no reply to any open request of this run" in here(
        "requests", "import", run, out, *book
    )
    tags = {"tags": [{"tag": "poem", "explanation": "x"}]}
    back.write_text(
        "\n".join(
            json.dumps({"custom_id": each["custom_id"], "content": tags})
            for each in requests
        )
    )
    printed = here("requests", "import", run, back, *book)
    assert f"{len(requests)} new replies" in printed
    assert (
        "vectors by tiny-1 are not in the ledger; run `tacos select` as before"
        in printed
    )
