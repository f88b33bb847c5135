"""`tacos train` with a trainer that trains nothing (`tests/fake_trainer.py`): what it counts before it
starts, how it goes on after kills, and what is said where something is wrong.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.fake_trainer import install_fake_trainer, make_fake_model
from tests.small_world import make_rows, run_command

import tacos
from tacos.errors import (
    ConfigError,
    FailureRateError,
    InputError,
    OutputError,
    RunError,
    TacosError,
    TrainingError,
)
from tacos.formats.templates import TEMPLATES, read_template
from tacos.trainers.recipe import read_recipe
from tacos.trainers.trained_folder import Training, read_training
from tacos.workflows.train import TrainedModel

N_ROWS = 40
STEPS = 5  # of 8 rows


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data, a base model and the fake environment."""
    write_rows(tmp_path / "data.jsonl", make_rows(N_ROWS))
    make_fake_model(tmp_path / "base")
    monkeypatch.setenv(
        "TACOS_TRAINER_PYTHON", str(install_fake_trainer(tmp_path / "env"))
    )
    monkeypatch.delenv("TACOS_FAKE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_rows(file: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows as JSON lines."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def train(output: str = "out", data: Any = "data.jsonl", **given: Any) -> TrainedModel:
    """Train by the recipe `tiny`, with what is given over it."""
    options = {"recipe": "tiny", "model": "base", **given}
    return tacos.train(data, output=output, **options)


def fail(kind: type[TacosError], says: str, **given: Any) -> str:
    """The message of a training that fails, one line."""
    with pytest.raises(kind, match=says) as caught:
        train(**given)
    message = " ".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert "\n" not in message
    return message


def read_files(folder: Path) -> dict[str, bytes]:
    """All files of a trained folder that tell of its result."""
    model = {path.name: path.read_bytes() for path in (folder / "model").iterdir()}
    data = {
        path.name: path.read_bytes()
        for path in (folder / "data").iterdir()
        if path.suffix == ".jsonl"
    }
    return {**model, **data}


def test_a_trained_folder_holds_the_model_and_says_how_it_was_made(place: Path) -> None:
    trained = train()
    training = read_training(place / "out")
    assert trained.training == training
    recipe = read_recipe("tiny")
    assert training.recipe_hash == recipe.hash
    assert training.read_recipe() == recipe
    assert (training.n_rows, training.n_trained, training.steps) == (
        N_ROWS,
        N_ROWS,
        STEPS,
    )
    assert training.seen_tokens == training.read_tokens > training.trained_tokens > 0
    assert [step for step, _ in training.losses] == [1, 2, 3, 4, 5]
    assert training.device == "Fake CPU"
    assert training.versions["torch"] == "0.0-fake"
    assert training.seconds == 1.5
    assert training.n_starts == 1
    names = sorted(path.name for path in (place / "out").iterdir())
    assert names == [".lock", "data", "model", "trainer.log", "training.json"]
    template = (place / "out" / "model" / "chat_template.jinja").read_text("utf-8")
    assert template == read_template("chatml")


def test_the_same_command_again_does_nothing(place: Path) -> None:
    first = train()
    written = (place / "out" / "training.json").stat().st_mtime_ns
    again = train()
    assert again.training == first.training
    assert again.plan is None
    assert (place / "out" / "training.json").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    "given",
    [
        {"seed": 7},
        {"values": ["epochs=2"]},
        {"data": "other.jsonl"},
        {"model": "base2"},
    ],
)
def test_a_folder_with_another_training_is_left_alone(
    place: Path, given: dict[str, Any]
) -> None:
    write_rows(place / "other.jsonl", make_rows(N_ROWS + 1))
    (make_fake_model(place / "base2") / "model.safetensors").write_bytes(b"others")
    train()
    before = read_files(place / "out")
    fail(OutputError, "out holds another training .* name another folder", **given)
    assert read_files(place / "out") == before


def test_two_trainings_of_the_same_are_the_same(place: Path) -> None:
    one, two = train("one").training, train("two").training
    assert read_files(place / "one") == read_files(place / "two")
    assert one == two


def check_same_end(
    place: Path, training: Training | None, whole: Training | None, n_starts: int
) -> None:
    """A training of several starts ends as a whole one does."""
    assert training is not None
    assert whole is not None
    assert training.n_starts == n_starts
    assert training.losses == whole.losses
    assert training.seen_tokens == whole.seen_tokens
    assert read_files(place / "out") == read_files(place / "whole")


@pytest.mark.parametrize("step", [1, 3, 5])
def test_a_killed_trainer_loses_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    whole = train("whole", checkpoint_steps=1).training
    monkeypatch.setenv("TACOS_FAKE", f"kill={step}")
    said = fail(TrainingError, r"was killed \(signal 9\)", checkpoint_steps=1)
    goes_on = f"goes on from step {step - 1}" if step > 1 else "starts anew"
    assert said.endswith(f"The same command {goes_on}")
    training = train(checkpoint_steps=1).training
    check_same_end(place, training, whole, n_starts=2)
    assert training is not None
    assert whole is not None
    assert training.seconds >= whole.seconds


def test_a_damaged_checkpoint_is_named_and_without_it_the_one_before_serves(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train("whole", checkpoint_steps=1).training
    monkeypatch.setenv("TACOS_FAKE", "kill=5")
    fail(TrainingError, "was killed", checkpoint_steps=1)
    last = Path("out/checkpoints/checkpoint-4")
    (last / "model.safetensors").write_bytes(b"half")
    says = f"SafetensorError.*if it fails here again, .* remove {last}"
    said = fail(TrainingError, says, checkpoint_steps=1)
    assert said.endswith("The same command goes on from step 4")
    shutil.rmtree(last)
    training = train(checkpoint_steps=1).training
    # What came after the checkpoint that was damaged is counted once.
    check_same_end(place, training, whole, n_starts=3)


@pytest.mark.parametrize("content", ["", '{"key": 1}', None])
def test_checkpoints_of_a_training_that_is_not_known_are_left_alone(
    place: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    monkeypatch.setenv("TACOS_FAKE", "kill=3")
    fail(TrainingError, "was killed", checkpoint_steps=1)
    plan = Path("out/plan.json")
    plan.unlink() if content is None else plan.write_text(content)
    # They could be those of other data.
    fail(OutputError, "out holds checkpoints, and no plan.json that can be read")
    assert Path("out/checkpoints/checkpoint-2").is_dir()


def test_what_a_kill_at_the_very_end_left_goes(place: Path) -> None:
    train()
    Path("out/checkpoints/checkpoint-5").mkdir(parents=True)
    Path("out/steps.jsonl").write_text("")
    train()
    names = sorted(path.name for path in Path("out").iterdir())
    assert names == [".lock", "data", "model", "trainer.log", "training.json"]


def test_a_finished_training_whose_model_is_gone_says_how_to_train_it_again(
    place: Path,
) -> None:
    first = train().training
    shutil.rmtree("out/model")
    says = "out/model is no folder: .*; to train it again, remove out/training.json"
    fail(OutputError, says)
    Path("out/training.json").unlink()
    assert train().training == first


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (None, "cannot be read"),
        ({"version": 9}, "is of another version of tacos"),
        ({"losses": [["one"]]}, "losses.0.0: "),
        ({"seconds": None}, "seconds: "),
    ],
)
def test_a_spoilt_manifest_is_one_line_and_can_be_made_again(
    place: Path, change: dict[str, Any] | None, says: str
) -> None:
    first = train().training
    manifest = Path("out/training.json")
    values = json.loads(manifest.read_text("utf-8"))
    manifest.write_text(json.dumps(values | change) if change else "half of")
    fail(RunError, f"{manifest}.* {says}.*: remove it, and train again")
    manifest.unlink()
    assert train().training == first


def test_tacos_killed_ends_the_trainer_and_goes_on(place: Path) -> None:
    whole = train("whole", checkpoint_steps=1).training
    command = [sys.executable, "-m", "tacos", "train", "data.jsonl", "--recipe", "tiny"]
    command += ["--model", "base", "-o", "out", "--checkpoint-steps", "1", "--json"]
    slow = {**os.environ, "TACOS_FAKE_PAUSE": "0.5"}
    process = subprocess.Popen(
        command, env=slow, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        wait_for(place / "out" / "checkpoints" / "checkpoint-1" / "trainer_state.json")
        process.send_signal(signal.SIGKILL)
    finally:
        process.communicate()
    # The trainer has the lock until it has ended, which the system sees to.
    training = None
    for _ in range(100):
        try:
            training = train(checkpoint_steps=1).training
            break
        except RunError:
            time.sleep(0.05)
    check_same_end(place, training, whole, n_starts=2)


def wait_for(file: Path) -> None:
    """Wait until a file exists."""
    for _ in range(1000):
        if file.exists():
            return
        time.sleep(0.02)
    pytest.fail(f"{file} does not come")


def test_two_processes_do_not_train_into_one_folder(place: Path) -> None:
    from tacos.trainers import trained_folder

    with trained_folder.lock_folder(place / "out"):
        fail(RunError, "out is in use by another process: wait for it")


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        ("memory", TrainingError, "ran out of memory: compute layers twice"),
        ("disk", OutputError, "the disk is full"),
        ("nan=2", TrainingError, "the loss is nan at step 2: lower the learning rate"),
        (
            "fail",
            TrainingError,
            "has failed: ValueError: The model did not return a loss",
        ),
        ("drop", TrainingError, r"read [\d,]+ tokens, and [\d,]+ were counted before"),
        ("template", TrainingError, "is not the chat template of the recipe"),
    ],
)
def test_a_trainer_that_fails_is_one_line(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    kind: type[TacosError],
    says: str,
) -> None:
    monkeypatch.setenv("TACOS_FAKE", fault)
    said = fail(kind, says)
    assert "The same command" in said
    assert not (place / "out" / "training.json").exists()
    monkeypatch.delenv("TACOS_FAKE")
    if fault != "drop":
        assert train().training is not None


def test_a_dropped_row_that_costs_a_step_is_seen(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(place / "odd.jsonl", make_rows(N_ROWS + 1))
    monkeypatch.setenv("TACOS_FAKE", "drop")
    fail(
        TrainingError, "took 5 of 5 steps, and 6 were counted before", data="odd.jsonl"
    )


def test_rows_that_the_trainer_would_drop_are_counted_first(place: Path) -> None:
    rows = make_rows(200)
    rows[3]["instruction"] = "long " * 600
    rows[5]["output"] = "long " * 600
    rows[7]["output"] = "[odd] begins within a token"
    rows[9]["output"] = ""
    write_rows(place / "long.jsonl", rows)
    trained = train(data="long.jsonl", dry_run=True, output=None)
    plan = trained.plan
    assert plan is not None
    assert (plan.n_rows, plan.forecast.n_rows, plan.forecast.n_cut) == (200, 197, 1)
    assert sorted(plan.left_out.values()) == [1, 1, 1]
    assert next(iter(plan.left_out)) == "empty response"
    assert any("longer than 512 tokens" in reason for reason in plan.left_out)
    training = train(data="long.jsonl").training
    assert training is not None
    assert training.left_out == plan.left_out
    lines = (place / "out" / "data" / "left_out.jsonl").read_text("utf-8").splitlines()
    ids = {json.loads(line)["id"].rpartition(":")[2] for line in lines}
    assert ids == {"3", "7", "9"}


def test_too_many_rows_that_cannot_be_trained_as_they_are_stop_it(place: Path) -> None:
    rows = make_rows(100)
    for row in rows[:3]:
        row["output"] = "[odd] begins within a token"
    write_rows(place / "odd.jsonl", rows)
    fail(
        FailureRateError,
        "3 of 100 rows cannot be trained on as they are",
        data="odd.jsonl",
    )


def test_a_template_without_a_form_for_the_rows_is_named(place: Path) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    chat = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Ho."}]
    write_rows(place / "tools.jsonl", [{"messages": chat, "tools": [tool]}] * 3)
    fail(
        FailureRateError,
        "3 of 3 rows do not fit the chat template alpaca .*no form for tools.*template=chatml",
        data="tools.jsonl",
        values=["template=alpaca"],
    )


def test_the_authors_recipe_holds_rows_out_and_frames_questions(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TACOS_FAKE", "gpu")
    rows = [{"instruction": "Add.", "input": "1 and 2", "output": "3"}, *make_rows(39)]
    write_rows(place / "data.jsonl", rows)
    training = train(recipe="paper-mistral-7b", values=["batch_size=8"]).training
    assert training is not None
    assert (training.n_trained, training.n_held_out) == (36, 4)
    text = ""
    for name in ("train", "held_out"):
        text += (place / "out" / "data" / f"{name}.jsonl").read_text("utf-8")
    assert text.count("Below is an instruction that describes a task") == N_ROWS
    assert "request. ### Instruction: Add. ### Input: 1 and 2" in text
    many = write_rows(place / "many.jsonl", make_rows(1001))
    fail(
        ConfigError,
        "is for 1,000 rows at most, and there are 1,001",
        recipe="paper-mistral-7b",
        data=str(many),
    )


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        (
            {"model": None},
            ConfigError,
            "recipe tiny is for any model: name one with --model",
        ),
        ({"model": "./nowhere"}, ConfigError, "the folder ./nowhere does not exist"),
        ({"recipe": "huge"}, ConfigError, "unknown recipe 'huge'; choose from small"),
        (
            {"recipe": "paper-llama2-7b"},
            ConfigError,
            "needs a GPU, and there is none here",
        ),
        (
            {"device": "cuda"},
            ConfigError,
            r"finds no GPU here: train on the CPU \(--device cpu\)",
        ),
        ({"device": "tpu"}, ConfigError, "device"),
        (
            {"values": ["max_length=9999"]},
            ConfigError,
            "base reads 4,096 tokens at most",
        ),
        (
            {"values": ["batch_size=9"]},
            ConfigError,
            "9 is no multiple of micro_batch_size 8",
        ),
        ({"values": ["template=chat"]}, ConfigError, "unknown template 'chat'"),
        ({"values": ["held_out=1"]}, ConfigError, "all 40 rows are held out"),
        (
            {"values": ["max_length=1"]},
            InputError,
            "no row can be trained on: the question",
        ),
        ({"seed": -1}, ConfigError, "--seed is -1: give 0 or more"),
        ({"output": None}, ConfigError, "name a folder with -o"),
        ({"output": "base"}, OutputError, "files that tacos did not write"),
        ({"data": "nowhere.jsonl"}, InputError, "nowhere.jsonl"),
        (
            {"trainer_python": "nowhere"},
            ConfigError,
            "nowhere is no file: make one with",
        ),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(
    place: Path, given: dict[str, Any], kind: type[TacosError], says: str
) -> None:
    fail(kind, says, **given)
    assert not (place / "out" / "model").exists()


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("kill -9 $$", "ran out of memory while it read the rows"),
        ("echo MemoryError >&2; exit 1", "ran out of memory while it read the rows"),
        # Half of a result, as a full disk leaves it.
        ("printf '{' > $3; echo No space left >&2; exit 1", "rows: No space left"),
    ],
)
def test_a_check_of_rows_that_ends_early_is_one_line(
    place: Path, does: str, says: str
) -> None:
    program = place / "dying"
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)
    fail(ConfigError, says, trainer_python=program)
    assert not Path("out").exists()


def test_a_log_that_cannot_be_written_is_one_line(place: Path) -> None:
    Path("out/trainer.log").mkdir(parents=True)
    fail(OutputError, "out/trainer.log cannot be written: Is a directory")


def test_a_model_that_is_too_large_is_refused(place: Path) -> None:
    program = Path(os.environ["TACOS_TRAINER_PYTHON"])
    text = program.read_text("utf-8").replace(
        "N_PARAMETERS = 1_000_000", "N_PARAMETERS = 10**9"
    )
    program.write_text(text)
    fail(ConfigError, "base takes 16 GB or more to train, and Fake CPU has 1")


def test_a_trained_model_can_be_trained_on(place: Path) -> None:
    train()
    training = train("more", model="out").training
    assert training is not None
    assert training.base_model == "out/model"


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_is_trained_with(place: Path, template: str) -> None:
    training = train(values=[f"template={template}"]).training
    assert training is not None
    assert training.template == template
    file = place / "out" / "model" / "chat_template.jinja"
    assert file.read_text("utf-8") == read_template(template)


COMMAND = ("train", "data.jsonl", "--recipe", "tiny", "--model", "base")


def test_the_command_says_what_it_takes_and_what_was_done(place: Path) -> None:
    code, said = run_command(*COMMAND, "-o", "out")
    assert code == 0, said
    assert f"tiny ({read_recipe('tiny').hash})" in said
    assert "40 of 40 rows" in said
    assert "written to out: model/, training.json" in said
    code, said = run_command(*COMMAND, "-o", "out", "--json")
    printed = json.loads(said)
    assert printed["plan"] is None
    assert printed["training"]["steps"] == STEPS
    _, said = run_command(*COMMAND, "-o", "out")
    assert "Nothing to do: the model is trained." in said


def test_a_dry_run_writes_nothing(place: Path) -> None:
    code, said = run_command(*COMMAND, "--dry-run", "--set", "epochs=3")
    assert code == 0, said
    assert "about 0:0" in said
    _, said = run_command(*COMMAND, "--dry-run", "--set", "epochs=3", "--json")
    assert json.loads(said)["plan"]["forecast"]["steps"] == 3 * STEPS
    assert not (place / "out").exists()


def test_how_rows_are_read_is_set_apart_from_the_recipe(place: Path) -> None:
    rows = [
        {"q": f"Question {number}?", "a": f"Answer {number}."} for number in range(9)
    ]
    write_rows(place / "data.jsonl", rows)
    code, said = run_command(
        *COMMAND, "-o", "out", "--map", "instruction=q", "--map", "response=a",
        "--set", "ingest.preference=chosen", "--set", "epochs=2",
    )  # fmt: skip
    assert code == 0, said
    assert "9 of 9 rows" in said


def test_a_selection_is_trained_on(place: Path) -> None:
    tacos.select("data.jsonl", n=16, output="selected.jsonl")
    training = train(data="selected.jsonl.run").training
    assert training is not None
    assert training.n_rows == 16
    assert training.data == "selected.jsonl.run"
