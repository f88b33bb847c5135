"""Runs and a ledger that an earlier tree wrote (`tests/fixtures/before_0_2`): today's takes them
up, asks nothing and overwrites nothing. It selects by another objective since.

Everything goes through the command line, so that the modules behind it may move. The server has
another port than the one that was asked then: where a model runs is no part of a key.
"""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.server.fault_server import FaultServer

import tacos

BEFORE = Path(__file__).parents[1] / "fixtures" / "before_0_2"
COMMANDS = {
    "llm": (
        "--model",
        "tiny-1",
        "--set",
        "normalise.encoder=endpoint:tiny-1",
        "--set",
        "cluster.encoder=endpoint:tiny-1",
    ),
    "robust": (),
    "paper": (
        "--preset",
        "paper",
        "--set",
        "normalise.encoder=static",
        "--set",
        "cluster.encoder=static",
    ),
}
"""Run -> the options it was made with; see the fixture's README.md."""
WRITTEN_EACH_TIME = {"run.json", "report.html", ".lock"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of what the earlier tree left, without the output files."""
    copy = shutil.copytree(BEFORE, tmp_path / "before")
    for file in copy.glob("*/out.jsonl*"):
        file.unlink()
    return copy


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """The model's server; what it is asked, it counts, and answers."""
    with FaultServer() as found:
        yield found


def select(folder: Path, name: str, server: FaultServer) -> dict[str, Any]:
    """The command of a run given once more, from within `folder`; what it reports."""
    words = [
        "select",
        "rows.jsonl",
        "-n",
        "6",
        "-o",
        f"{name}/out.jsonl",
        "--run",
        f"{name}/pool",
        "--json",
    ]
    words += ["--ledger", "ledger.sqlite", "--workers", "1", *COMMANDS[name]]
    words += ["--llm", server.url] if name == "llm" else []
    environment = {**os.environ, "NO_PROXY": "*"}
    command = [sys.executable, "-m", "tacos", *words]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def artifacts(pool: Path) -> dict[str, bytes]:
    """Every file of a run directory that is written only once."""
    files = {
        str(file.relative_to(pool)): file for file in pool.rglob("*") if file.is_file()
    }
    return {
        name: file.read_bytes()
        for name, file in files.items()
        if name not in WRITTEN_EACH_TIME
    }


def state(pool: Path) -> dict[str, Any]:
    """What `run.json` says: the artifacts' keys and more, but for the time and the settings (the
    port is in them).
    """
    found = json.loads((pool / "run.json").read_text("utf-8"))
    return {
        name: value for name, value in found.items() if name not in {"time", "settings"}
    }


def sidecar(folder: Path) -> list[dict[str, Any]]:
    """What is said of each selected row; scores to 0.05, since the last bits differ between
    processors.
    """
    lines = (folder / "out.jsonl.scores.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [{**row, "score": pytest.approx(row["score"], abs=0.05)} for row in rows]


def n_replies(ledger: Path) -> int:
    """How many replies a ledger holds."""
    with closing(sqlite3.connect(ledger)) as database:
        return int(database.execute("SELECT count(*) FROM replies").fetchone()[0])


@pytest.mark.parametrize(
    "name",
    [
        "llm",
        "robust",
        "paper",
    ],
)
def test_a_finished_run_is_taken_up(
    folder: Path, server: FaultServer, name: str
) -> None:
    printed = select(folder, name, server)
    assert server.asked.total() == 0
    remade = {name.partition("/")[0] for name in printed["made"]}
    assert remade <= {"shortlist", "pairs", "verdicts", "scores", "selection"}
    assert (
        artifacts(folder / name / "pool").items()
        >= artifacts(BEFORE / name / "pool").items()
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_a_run_from_before_is_read_explained_and_selected_from_again(
    folder: Path, name: str
) -> None:
    done = tacos.load(folder / name / "pool")
    then = sidecar(BEFORE / name)
    assert [row["id"] for row in then] == done.scores["id"].to_list()
    kept = done.table["id"].to_list()
    assert done.explain(kept[0])["verdict"].startswith("kept, rank 1 of 6")
    assert done.settings.select.quota != "none"
    assert len(tacos.reselect(done, 4).rows) == 4


def test_a_ledger_answers_all_of_a_run(folder: Path, server: FaultServer) -> None:
    shutil.rmtree(folder / "llm")
    (folder / "llm").mkdir()
    printed = select(folder, "llm", server)
    assert server.asked.total() == 0
    assert set(printed["made"]) == state(BEFORE / "llm" / "pool")["artifacts"].keys()
    assert n_replies(folder / "ledger.sqlite") == n_replies(BEFORE / "ledger.sqlite")
