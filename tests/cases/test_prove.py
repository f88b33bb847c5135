"""`tacos prove` with a trainer that trains nothing (`tests/fake_trainer.py`): what is declared before
the first training, how it goes on after kills, and what is refused.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.fake_trainer import install_fake_trainer, make_fake_model
from tests.small_world import (
    MODELS,
    judge_by_instruction,
    make_rows,
    run_command,
)

import tacos
from tacos.errors import (
    ConfigError,
    InputError,
    ModelError,
    OutputError,
    RunError,
    TacosError,
    TrainingError,
)

OWN = {**MODELS, "judge": judge_by_instruction}
N_ROWS = 120
N_SELECTED = 20
HELD_OUT = 30
N_PAIRS = 12


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that selected 20 of 120 rows."""
    run = tmp_path_factory.mktemp("prove") / "run"
    rows = make_rows(N_ROWS)
    # The pool has a question of the held-out answers, too.
    rows[7]["instruction"] = "What do the people of the village say about item 3?"
    tacos.select(rows, n=N_SELECTED, run=run, **OWN)
    return run


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with items, a base model and the fake environment."""
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
    write_lines(tmp_path / "held_out.jsonl", held_out)
    write_lines(tmp_path / "pairs.jsonl", pairs)
    make_fake_model(tmp_path / "base")
    python = install_fake_trainer(tmp_path / "env")
    monkeypatch.setenv("TACOS_TRAINER_PYTHON", str(python))
    monkeypatch.delenv("TACOS_FAKE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


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


def read_results(folder: str = "out") -> dict[str, Any]:
    """The results without what a clock or a kill may change."""
    results: dict[str, Any] = json.loads(Path(folder, "results.json").read_text())
    del results["declared"]
    for training in results["trainings"]:
        del training["seconds"]
    for name in ("time_ratio", "full_seconds", "selected_seconds"):
        del results["speed"][name]
    return results


def test_an_experiment_from_plan_to_verdict(selected: Path, place: Path) -> None:
    results = prove(selected).results
    assert not results.missing
    assert len(results.trainings) == 4 * 2 + 2
    primary = [part for part in results.comparisons if part.is_primary]
    assert [part.other for part in primary] == ["random", "longest"]
    assert "random" in results.verdict
    assert results.label.startswith("This shows the mechanics, and is no evidence")
    assert results.speed is not None
    assert results.speed.n_full_rows == results.plan.n_pool == N_ROWS - 1
    names = [instrument.name for instrument in results.plan.instruments]
    assert names == ["answer-loss", "preference", "preference-matched"]
    page = Path("out/report.html").read_text()
    assert results.plan.hash() in page


def test_rows_that_ask_what_is_held_out_are_in_no_arm(
    selected: Path, place: Path
) -> None:
    proof = prove(selected, plan_only=True)
    assert proof.results.plan.removed == {"the same in held_out.jsonl": 1}
    files = list(Path("out/data").glob("*/*.jsonl"))
    assert len(files) == 4 * 2 + 1
    assert not [file for file in files if "village" in file.read_text()]


def test_arms_are_what_they_say(selected: Path, place: Path) -> None:
    plan = prove(selected, plan_only=True).results.plan
    n_selected = plan.n_selected
    rows = {
        file.parent.name + file.stem[-1]: file.read_text().splitlines()
        for file in Path("out/data").glob("*/*.jsonl")
    }
    for name in ("selection0", "random0", "longest0", "length-matched0"):
        assert len(rows[name]) == n_selected, name
    assert rows["random0"] != rows["random1"]
    assert rows["selection0"] == rows["selection1"]
    lengths = {name: sum(map(len, lines)) for name, lines in rows.items()}
    assert lengths["longest0"] > lengths["random0"]
    ratio = lengths["length-matched0"] / lengths["selection0"]
    assert ratio == pytest.approx(1, abs=0.1)


def test_the_plan_is_there_before_the_first_training(
    selected: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TACOS_FAKE", "fail")
    with pytest.raises(TrainingError):
        prove(selected)
    plan = json.loads(Path("out/plan.json").read_text())
    assert plan["plan"]["primary"] == "answer-loss"
    assert not list(Path("out/trained").glob("*/*/training.json"))
    monkeypatch.delenv("TACOS_FAKE")
    assert prove(selected).results.plan.hash() == plan["hash"]


def test_another_plan_in_the_same_folder_is_refused(
    selected: Path, place: Path
) -> None:
    prove(selected, plan_only=True)
    for changed, names in {
        "primary": ({"primary": "preference"}, "primary"),
        "recipe": ({"values": ["epochs=2"]}, "recipe_hash"),
        "seeds": ({"seeds": 3}, "arms"),
        "items": ({"n_items": 9}, "instruments"),
    }.values():
        with pytest.raises(RunError, match=f"declared otherwise.*{names}"):
            prove(selected, **changed)


def test_a_plan_that_was_edited_is_refused(selected: Path, place: Path) -> None:
    prove(selected, plan_only=True)
    plan = Path("out/plan.json")
    text = plan.read_text().replace(
        '"primary": "answer-loss"', '"primary": "preference"'
    )
    plan.write_text(text)
    with pytest.raises(RunError, match="changed after it was declared"):
        prove(selected)


def test_killed_trainings_and_scorings_go_on_to_the_same_end(
    selected: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove(selected, "whole")
    monkeypatch.setenv("TACOS_FAKE", "kill=2,mute")
    failures: list[type[TacosError]] = []
    # Each model is killed once in training and once when it scores.
    for _ in range(40):
        try:
            prove(selected)
            break
        except (TrainingError, ModelError) as error:
            failures.append(type(error))
    assert failures.count(TrainingError) >= 2
    assert failures.count(ModelError) >= 2
    assert read_results() == read_results("whole")


def test_a_command_that_is_killed_goes_on(selected: Path, place: Path) -> None:
    prove(selected, "whole")
    words = (
        f"prove {selected} --recipe tiny --model base --seeds 2 -o out "
        "--held-out held_out.jsonl --preferences pairs.jsonl"
    ).split()
    environment = {**os.environ, "TACOS_FAKE_PAUSE": "0.1"}
    for n_models in (1, 3):
        process = subprocess.Popen(
            [sys.executable, "-m", "tacos", *words],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while len(list(Path("out").glob("scores/*/*.jsonl"))) < n_models:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    n_before = len(list(Path("out").glob("scores/*/*.jsonl")))
    assert 3 <= n_before < 10
    code, text = run_command(*words)
    assert code == 0, text
    assert read_results() == read_results("whole")


def test_weights_go_unless_they_are_to_stay(selected: Path, place: Path) -> None:
    prove(selected)
    assert not list(Path("out").glob("trained/*/*/model"))
    assert len(list(Path("out").glob("trained/*/*/training.json"))) == 9
    prove(selected, "kept", keep_models=True)
    assert len(list(Path("kept").glob("trained/*/*/model"))) == 9


def test_a_finished_experiment_is_read_again(selected: Path, place: Path) -> None:
    first = prove(selected)
    before = {path: path.stat().st_mtime_ns for path in Path("out").glob("scores/*/*")}
    again = prove(selected)
    after = {path: path.stat().st_mtime_ns for path in Path("out").glob("scores/*/*")}
    assert before == after
    assert again.results.as_dict() == first.results.as_dict()


def test_two_at_once_are_refused(selected: Path, place: Path) -> None:
    import fcntl

    prove(selected, plan_only=True)
    with open("out/.lock", "a+b") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="in use by another process"):
            prove(selected)


def test_scores_of_other_items_are_refused(selected: Path, place: Path) -> None:
    prove(selected)
    path = Path("out/scores/random/seed-1.jsonl")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(RunError, match="lacks items of the plan: delete it"):
        prove(selected)


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        ({"held_out": (), "preferences": ()}, ConfigError, "nothing to measure by"),
        ({"seeds": 1}, ConfigError, "give 2 at least"),
        ({"primary": "duels"}, ConfigError, "primary"),
        ({"primary": "preference", "preferences": ()}, ConfigError, "primary"),
        ({"without": "random"}, ConfigError, "arm to go without"),
        ({"model": "./nowhere"}, ConfigError, "does not exist"),
        ({"model": None}, ConfigError, "--model"),
        ({"model": "owner/name"}, ConfigError, "untrained base must be a folder"),
        ({"recipe": "huge"}, ConfigError, "unknown recipe"),
        ({"n_items": 1}, ConfigError, "give 2 at least"),
        ({"held_out": "absent.jsonl"}, InputError, "absent.jsonl"),
        ({"preferences": "held_out.jsonl"}, InputError, "no pair of answers"),
        ({"trainer_python": "/nowhere"}, ConfigError, "setup-train"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    selected: Path,
    place: Path,
    given: dict[str, Any],
    kind: type[TacosError],
    says: str,
) -> None:
    with pytest.raises(kind, match=says) as caught:
        prove(selected, **given)
    assert "\n" not in str(caught.value)
    assert not Path("out/plan.json").exists()


def test_a_folder_of_others_is_refused(selected: Path, place: Path) -> None:
    Path("out").mkdir()
    Path("out/thesis.tex").write_text("mine")
    with pytest.raises(OutputError, match=r"thesis\.tex"):
        prove(selected)


def test_what_a_kill_leaves_of_a_file_is_no_file_of_others(
    selected: Path, place: Path
) -> None:
    prove(selected, plan_only=True)
    Path("out/.results.json.4711.tmp").write_text("half")
    assert prove(selected, plan_only=True).results.missing
    Path("out/.thesis.tex.4711.tmp").write_text("mine")
    with pytest.raises(OutputError, match=r"thesis\.tex"):
        prove(selected)


def test_a_run_without_a_rest_has_nothing_to_compare(
    tmp_path: Path, place: Path
) -> None:
    tacos.select(make_rows(20), n=20, run=tmp_path / "all", **OWN)
    with pytest.raises(InputError, match="the selection is the whole pool"):
        prove(tmp_path / "all")


def test_the_command_prints_the_verdict_and_json(selected: Path, place: Path) -> None:
    words = f"prove {selected} --recipe tiny --model base --seeds 2 -o out".split()
    items = ["--held-out", "held_out.jsonl", "--without", "full"]
    code, text = run_command(*words, *items)
    assert code == 0, text
    assert "This shows the mechanics, and is no evidence" in text
    assert "selection and random" in text or "than random" in text
    assert "report: out/report.html" in text
    code, text = run_command(*words, *items, "--json")
    assert code == 0
    assert json.loads(text)["missing"] == []
