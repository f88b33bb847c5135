"""From a selection to a verdict by the command line, with a model that is so small that a CPU trains
it: the same with a trainer that trains nothing and with TRL itself.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
from tests.experiment_world import write_lines
from tests.server.fault_server import Behaviour, FaultServer
from tests.small_world import run_command

DEMO = Path(__file__).resolve().parents[1] / "demo" / "sample.jsonl"
N_SELECTED = 200
N_QUESTIONS = 10
CATEGORIES = ("writing", "roleplay", "humanities", "stem", "extraction")
TRAINING = ["--recipe", "tiny", "--set", "max_length=128"]
N_HELD_OUT = 8


def select_demo(folder: Path) -> Path:
    """A run that selected 200 rows of the bundled sample."""
    output = folder / "selected.jsonl"
    run_tacos("select", DEMO, "-n", N_SELECTED, "-o", output)
    assert len(output.read_text().splitlines()) == N_SELECTED
    return folder / "selected.jsonl.run"


def write_questions(folder: Path) -> None:
    """Ten questions of two turns, and answers that people might have written."""
    questions = [
        {
            "question_id": number,
            "category": CATEGORIES[number % len(CATEGORIES)],
            "turns": [
                f"What would sailor number {number} bring home?",
                "And to whom?",
            ],
        }
        for number in range(N_QUESTIONS)
    ]
    held_out = [
        {
            "instruction": f"What lies in drawer number {number} of the captain?",
            "output": f"A map of island {number}, and a letter. " * (1 + number),
        }
        for number in range(N_HELD_OUT)
    ]
    write_lines(folder / "sea.jsonl", questions)
    write_lines(folder / "drawers.jsonl", held_out)


def list_steps(run: Path, base: Path, server: FaultServer) -> dict[str, list[Any]]:
    """The command lines from training to the verdict."""
    judge = ["--judge", "tiny-1", "--llm", server.url, "--ledger", "ledger.sqlite"]
    short = ["--max-tokens", "16"]
    train = [run, *TRAINING, "--model", base]
    grade = ["answers.jsonl", "--questions", "sea.jsonl", "--references", "none"]
    return {
        "train": [*train, "-o", "trained", "--checkpoint-steps", "5"],
        "answer": ["trained", "sea.jsonl", "-o", "answers.jsonl", *short],
        "mt-bench": [*grade, *judge, "-o", "grades.jsonl", "--json"],
        "prove": [
            *train,
            *("-o", "experiment", "--seeds", "2"),
            *("--without", "full", "--without", "length-matched"),
            *("--held-out", "drawers.jsonl", "--questions", "sea.jsonl"),
            *judge,
            *short,
        ],
    }


KILLED_AT: dict[str, Callable[[], bool]] = {
    "train": Path("trained/checkpoints/checkpoint-5/trainer_state.json").is_file,
    "answer": Path("answers.jsonl.run").is_dir,
    "prove": lambda: len(list(Path("experiment/scores").glob("*/*.jsonl"))) >= 2,
}
"""Command -> when it is killed."""


def go_both_ways(
    folder: Path,
    run: Path,
    base: Path,
    killed: Collection[str] = tuple(KILLED_AT),
    seconds: float = 600,
) -> dict[str, Any]:
    """The results of all commands without a kill, which are checked; with kills they are the same.

    Args:
        folder: An empty folder to work in.
        run: A run that selected 200 rows.
        base: The folder of the base model.
        killed: The commands that are killed.
        seconds: The longest that a command may take until then.
    """
    found = {}
    with FaultServer(Behaviour()) as server, pytest.MonkeyPatch.context() as patch:
        for name in ("whole", "killed"):
            place = folder / name
            place.mkdir()
            patch.chdir(place)
            write_questions(place)
            steps = list_steps(run, base, server)
            found[name] = go_through(steps, killed if name == "killed" else (), seconds)
            check_whole(found[name])
    assert found["killed"] == found["whole"]
    return found["whole"]


def go_through(
    steps: dict[str, list[Any]], killed: Collection[str], seconds: float
) -> dict[str, Any]:
    """Run all commands in the working directory; the results without what a clock decides.

    Some are killed first, after `seconds` at most.
    """
    grades = ""
    for name, words in steps.items():
        if name in killed:
            kill_command([name, *words], KILLED_AT[name], seconds)
        text = run_tacos(name, *words)
        if name == "mt-bench":
            grades = text
    results = json.loads(Path("experiment/results.json").read_text())
    del results["declared"]
    for training in results["trainings"]:
        del training["seconds"]
    return {
        "weights": Path("trained/model/model.safetensors").read_bytes(),
        "answers": Path("answers.jsonl").read_text(),
        "grades": json.loads(grades),
        "judgments": Path("grades.jsonl").read_text(),
        "results": results,
        "duels": {
            str(path): path.read_text()
            for path in sorted(Path("experiment/duels").glob("*/*.jsonl"))
        },
    }


def run_tacos(*words: object) -> str:
    """What a command prints; it must end well.

    A trainer whose tacos was killed holds its folder for a moment.
    """
    for _ in range(100):
        code, text = run_command(*words)
        if "in use" not in text:
            break
        time.sleep(0.1)
    assert code == 0, text
    return text


def kill_command(words: list[Any], is_time: Callable[[], bool], seconds: float) -> None:
    """Start a command, and kill it once it has come so far."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tacos", *map(str, words)],
        env={**os.environ, "TACOS_FAKE_PAUSE": "0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + seconds
    while not is_time():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, words
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def check_whole(found: dict[str, Any]) -> None:
    """What the results of all commands must say."""
    assert len(found["answers"].splitlines()) == N_QUESTIONS
    assert len(found["judgments"].splitlines()) == 2 * N_QUESTIONS
    results = found["results"]
    assert len(results["trainings"]) == 3 * 2 + 1
    assert {part["n_rows"] for part in results["trainings"]} == {0, N_SELECTED}
    assert not results["missing"]
    assert not results["unjudged"]
    assert results["circular"] == []
    assert {part["instrument"] for part in results["comparisons"]} == {
        "answer-loss",
        "duels",
    }
    assert "selection" in results["verdict"]
    assert results["verdict"] in Path("experiment/report.html").read_text()
