"""`tacos prove` where something is wrong: one clear line, and nothing is lost."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.experiment_world import (
    SHORT,
    copy_experiment,
    finish_experiment,
    place,
    prove,
    read_results,
    selected,
    write_lines,
)
from tests.faults.disks import small_disk
from tests.small_world import make_rows, run_command

from tacos.errors import (
    ConfigError,
    InputError,
    ModelError,
    OutputError,
    RunError,
    TacosError,
    TrainingError,
)
from tacos.trainers.training_check import PACKAGES

__all__ = ["place", "selected"]


@pytest.fixture(scope="module")
def finished(selected: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment of few arms."""
    return finish_experiment(tmp_path_factory.mktemp("finished"), selected, **SHORT)


def fail(kind: type[TacosError], says: str, run: Path, **given: Any) -> None:
    """An experiment fails, and says so in one line without a trace."""
    with pytest.raises(kind, match=says) as caught:
        prove(run, **given)
    message = " ".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert "\n" not in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        ("memory", TrainingError, "the trainer ran out of memory: .*--set"),
        ("disk", OutputError, "the disk is full: .*make room"),
        ("writer", OutputError, "the disk is full: .*make room"),
        ("fail", TrainingError, r"did not return a loss.*trainer\.log"),
        ("template", TrainingError, "is not the chat template of the recipe"),
        ("nan=2", TrainingError, "the loss is nan at step 2"),
        ("kill=2", TrainingError, r"was killed \(signal 9\)"),
    ],
)
def test_a_trainer_that_fails_half_way_loses_nothing(
    selected: Path,
    place: Path,
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    kind: type[TacosError],
    says: str,
) -> None:
    copy_experiment(finished, ("longest", 0), ("random", 1))
    kept = {path: path.read_bytes() for path in Path("out/scores").glob("*/*.jsonl")}
    assert len(kept) == 4
    monkeypatch.setenv("TACOS_FAKE", fault)
    fail(kind, says, selected, **SHORT)
    # The table says how far it has come.
    assert len(read_results()["trainings"]) == 4
    monkeypatch.delenv("TACOS_FAKE")
    prove(selected, **SHORT)
    assert {path: path.read_bytes() for path in kept} == kept
    assert read_results() == read_results(finished)


@pytest.mark.parametrize("content", ["", "[]", "half of a row"])
def test_rows_of_an_arm_that_were_changed_are_written_again(
    selected: Path, place: Path, finished: Path, content: str
) -> None:
    copy_experiment(finished, ("random", 1))
    rows = Path("out/data/random/seed-1.jsonl")
    kept = rows.read_bytes()
    rows.write_text(content)
    prove(selected, **SHORT)
    assert rows.read_bytes() == kept
    assert read_results() == read_results(finished)


@pytest.mark.parametrize("content", ["half of", "[]", "5", "null", '"text"'])
def test_a_spoilt_file_of_scores_or_of_a_training_is_named(
    selected: Path, place: Path, finished: Path, content: str
) -> None:
    copy_experiment(finished)
    scores = Path("out/scores/random/seed-1.jsonl")
    kept = scores.read_bytes()
    scores.write_text(content)
    fail(
        RunError, f"{scores}.*: delete it, and run the same command", selected, **SHORT
    )
    words = kept.replace(b'"log_probability":', b'"log_probability":"x","other":')
    scores.write_bytes(words)
    fail(
        RunError, f"{scores}.*: delete it, and run the same command", selected, **SHORT
    )
    scores.write_bytes(kept)
    manifest = Path("out/trained/random/seed-1/training.json")
    manifest.write_text(content)
    fail(RunError, f"{manifest}.*: remove it, and train again", selected, **SHORT)
    manifest.unlink()
    prove(selected, **SHORT)
    assert read_results() == read_results(finished)


def test_items_without_room_for_an_answer_stop_it_after_the_first_model(
    selected: Path, place: Path
) -> None:
    long = [{"instruction": f"{i} and? " * 600, "output": "Yes."} for i in range(3)]
    write_lines(Path("long.jsonl"), long)
    says = r"answer-loss can measure no item: .* 512 tokens or more \(max_length\)"
    fail(InputError, says, selected, held_out="long.jsonl", **SHORT)
    assert len(list(Path("out/scores").glob("*/*.jsonl"))) == 1
    # An instrument that does not decide is left out.
    given = {"held_out": "long.jsonl", "primary": "preference", "output": "out2"}
    results = prove(selected, **given, **SHORT).results
    assert {part.instrument for part in results.comparisons} == {
        "preference",
        "preference-matched",
    }
    assert "answer-loss: 3 of 3 items left out" in " ".join(results.left_out)


def test_a_pool_that_the_items_leave_nothing_of_says_so(
    selected: Path, place: Path
) -> None:
    asked = [
        {"instruction": row["instruction"], "output": "Yes."} for row in make_rows(120)
    ]
    write_lines(Path("asked.jsonl"), asked)
    says = r"the whole pool \(\d rows? without 11\d that ask what the models are measured on"
    fail(InputError, says, selected, held_out="asked.jsonl")
    assert not Path("out").exists()


def test_arms_before_one_that_fails_are_kept(
    selected: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TACOS_FAKE", "fail-at=longest")
    fail(TrainingError, "did not return a loss", selected, **SHORT)
    assert len(list(Path("out/scores").glob("*/*.jsonl"))) == 2
    assert len(read_results()["trainings"]) == 2


def test_rows_that_a_trainer_drops_are_never_passed_over(
    selected: Path, place: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_experiment(finished, ("selection", 0))
    monkeypatch.setenv("TACOS_FAKE", "drop")
    says = (
        "otherwise than meant; .* delete out/trained/selection/seed-0 and train again"
    )
    fail(TrainingError, says, selected, **SHORT)
    monkeypatch.delenv("TACOS_FAKE")
    # What was trained without them is not taken for a model of the arm.
    fail(TrainingError, says, selected, **SHORT)
    shutil.rmtree("out/trained/selection/seed-0")
    assert not prove(selected, **SHORT).results.missing


def test_without_an_environment_it_says_how_to_make_one(
    selected: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TACOS_TRAINER_PYTHON")
    monkeypatch.setattr(sys, "prefix", str(place))
    with suppress(ConfigError):
        from tacos.trainers.environment import find_python

        pytest.skip(f"there is a training environment: {find_python()}")
    fail(ConfigError, "there is no training environment: .*setup-train", selected)
    assert not Path("out").exists()


def test_a_python_without_torch_is_named(selected: Path, place: Path) -> None:
    given = {"trainer_python": sys.executable}
    fail(ConfigError, "has no torch.*setup-train", selected, **given)


def test_a_python_whose_trl_is_not_whole_is_named(selected: Path, place: Path) -> None:
    # What pip notes of packages is there, the packages are not.
    for package in PACKAGES:
        noted = Path(f"noted/{package}-1.0.dist-info/METADATA")
        noted.parent.mkdir(parents=True)
        noted.write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    python = Path("bare")
    python.write_text(
        f'#!/bin/sh\nPYTHONPATH={Path("noted").absolute()} exec {sys.executable} -S "$@"\n'
    )
    python.chmod(0o755)
    given = {"trainer_python": python}
    fail(ConfigError, "has no trl: .*setup-train", selected, **given)


def test_no_gpu_is_one_line(selected: Path, place: Path) -> None:
    fail(ConfigError, "no GPU here: train on the CPU", selected, device="cuda")


@pytest.mark.parametrize(
    ("lacks", "says"),
    [
        ("config.json", "holds no model"),
        ("model.safetensors", "has no weights"),
        ("tokenizer.json", "has no tokenizer"),
    ],
)
def test_a_base_that_is_no_model_is_said_before_anything_is_trained(
    selected: Path, place: Path, lacks: str, says: str
) -> None:
    Path("base", lacks).unlink()
    fail(ModelError, says, selected)
    assert not Path("out").exists()


def test_a_wrong_template_is_said_before_anything_is_trained(
    selected: Path, place: Path
) -> None:
    fail(ConfigError, "unknown template 'own'", selected, values=["template=own"])
    assert not Path("out").exists()


def test_a_run_without_a_selection_says_how_to_get_one(place: Path) -> None:
    write_lines(Path("pool.jsonl"), make_rows(40))
    words = ["select", "pool.jsonl", "-n", "5", "-o", "half.jsonl", "--until", "tag"]
    assert run_command(*words)[0] == 0
    fail(InputError, "has no selection: .*without --until", Path("half.jsonl.run"))
    fail(RunError, "no such run", Path("nothing.run"))
    fail(RunError, "is not a finished run", Path("base"))
    assert not Path("out").exists()


@pytest.mark.parametrize("output", ["base/config.json", "base/config.json/out"])
def test_a_folder_that_cannot_be_is_one_line(
    selected: Path, place: Path, output: str
) -> None:
    fail(OutputError, r"config\.json", selected, output=output)


def test_a_folder_in_the_run_is_refused(selected: Path, place: Path) -> None:
    fail(OutputError, "name", selected, output=str(selected))
    fail(OutputError, "name", selected, output=str(selected / "proof"))


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder in memory that holds 300 kB."""
    with small_disk("300k") as folder:
        yield folder


def mount(*words: str) -> bool:
    """Whether the system allows it."""
    return subprocess.run(["mount", *words], capture_output=True).returncode == 0


def test_a_full_disk_and_a_read_only_one_are_one_line_and_it_goes_on(
    selected: Path, place: Path, finished: Path, disk: Path
) -> None:
    short: dict[str, Any] = {"output": str(disk / "out"), **SHORT}
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as out:
        while True:
            out.write(b"x" * 512)
    fail(OutputError, "No space left", selected, **short)
    # Some of it fits, and then no more.
    with filler.open("r+b") as out:
        out.truncate(220_000)
    with pytest.raises(TacosError) as caught:
        prove(selected, **short)
    assert re.search("No space left|disk is full", str(caught.value))
    assert "\n" not in str(caught.value)
    filler.unlink()
    assert mount("-o", "remount,ro", str(disk))
    fail(OutputError, "Read-only file system", selected, **short)
    assert mount("-o", "remount,rw,size=50m", str(disk))
    prove(selected, **short)
    assert read_results(disk / "out") == read_results(finished)
