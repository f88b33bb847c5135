"""A run, items, questions and a base model for experiments with a trainer that trains nothing
(`tests/fake_trainer.py`).
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.fake_trainer import install_fake_trainer, make_fake_model
from tests.small_world import MODELS, judge_by_instruction, make_rows

import tacos

OWN = {**MODELS, "judge": judge_by_instruction}
N_ROWS = 120
N_SELECTED = 20
HELD_OUT = 30
N_PAIRS = 12
N_QUESTIONS = 11
SHORT = {"without": ["length-matched", "full", "untrained"]}
"""Options of an experiment of as few models as can be."""


def select_rows(run: Path) -> Path:
    """A run that selected 20 of 120 rows."""
    rows = make_rows(N_ROWS)
    # The pool has a question of the held-out answers, too.
    rows[7]["instruction"] = "What do the people of the village say about item 3?"
    tacos.select(rows, n=N_SELECTED, run=run, **OWN)
    return run


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that selected 20 of 120 rows."""
    return select_rows(tmp_path_factory.mktemp("prove") / "run")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a folder with items, a base model and the fake environment."""
    return furnish(tmp_path, monkeypatch)


def furnish(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with items, questions, a base model and the fake environment, to work in."""
    held_out = [
        {
            "instruction": f"What do the people of the village say about item {i}?",
            "output": f"word {i} " * (i * i // 3 + 1),
        }
        for i in range(HELD_OUT)
    ]
    pairs = [
        {
            "instruction": f"Which of the answers number {i} do people like?",
            "response_a": f"The better answer {i}. " * 3,
            "response_b": f"The worse answer {i}. " * (3 if i % 2 else 9),
            "preferred": "a" if i else "tie",
        }
        for i in range(N_PAIRS)
    ]
    questions = [
        {"question_id": i, "turns": [f"Please explain the wonder of the world no. {i}"]}
        for i in range(N_QUESTIONS)
    ]
    write_lines(folder / "held_out.jsonl", held_out)
    write_lines(folder / "pairs.jsonl", pairs)
    write_lines(folder / "wonders.jsonl", questions)
    make_fake_model(folder / "base")
    python = install_fake_trainer(folder / "env")
    monkeypatch.setenv("TACOS_TRAINER_PYTHON", str(python))
    monkeypatch.delenv("TACOS_FAKE", raising=False)
    monkeypatch.chdir(folder)
    return folder


def write_lines(file: Path, rows: list[dict[str, Any]]) -> None:
    """Rows as JSON lines."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def prove(run: Path, output: str = "out", **given: Any) -> tacos.Proof:
    """An experiment of two seeds by the recipe `tiny`, with what is given over it."""
    options: dict[str, Any] = {
        "recipe": "tiny",
        "model": "base",
        "seeds": 2,
        "held_out": "held_out.jsonl",
        "preferences": "pairs.jsonl",
    }
    return tacos.prove(run, output, **(options | given))


def finish_experiment(folder: Path, run: Path, **given: Any) -> Path:
    """The folder of a finished experiment with all its models, for tests to copy."""
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as monkeypatch:
        furnish(folder, monkeypatch)
        prove(run, keep_models=True, **given)
    return folder / "out"


def copy_experiment(finished: Path, *unmade: tuple[str, int]) -> None:
    """A finished experiment as `out` in the working directory, without some of its models."""
    shutil.copytree(finished, "out")
    for arm, seed in unmade:
        shutil.rmtree(f"out/trained/{arm}/seed-{seed}")
        Path(f"out/scores/{arm}/seed-{seed}.jsonl").unlink()


def read_results(folder: str | Path = "out") -> dict[str, Any]:
    """The results without what a clock or a kill may change."""
    results: dict[str, Any] = json.loads(Path(folder, "results.json").read_text())
    del results["declared"]
    for training in results["trainings"]:
        del training["seconds"]
    for name in ("time_ratio", "full_seconds", "selected_seconds", "seconds_spread"):
        if results["speed"] is not None:
            del results["speed"][name]
    return results
