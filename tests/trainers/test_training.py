"""`tacos train` with TRL itself, on a model of random weights and one small layer."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from tests.small_world import make_rows

import tacos
from tacos.errors import ConfigError, TrainingError
from tacos.formats.templates import read_template
from tacos.trainers import environment
from tacos.trainers.trained_folder import read_training

pytestmark = [pytest.mark.trainers, pytest.mark.slow, pytest.mark.timeout(1200)]

HERE = Path(__file__).resolve().parent
OF_LOADERS = HERE.parents[1] / "build" / "trainers" / "trl" / "bin" / "python"
ROWS = make_rows(32)
STEPS = 4
SHORT = ["max_length=256"]


@pytest.fixture(scope="module")
def python() -> Path:
    """The Python of a training environment."""
    try:
        return environment.find_python()
    except ConfigError:
        if OF_LOADERS.is_file():
            return OF_LOADERS
    pytest.skip("there is no training environment: make setup-train")


@pytest.fixture(scope="module")
def base(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of random weights."""
    folder = tmp_path_factory.mktemp("base") / "model"
    code = f"import tiny_model, pathlib; tiny_model.save_model(pathlib.Path({str(folder)!r}))"
    subprocess.run([python, "-c", code], cwd=HERE, check=True, capture_output=True)
    return folder


class KilledAt:
    """Progress that kills the trainer once it has told of some rows."""

    def __init__(self, folder: Path, n_rows: int) -> None:
        self.folder = folder
        self.left = n_rows

    def announce(self, text: str) -> None: ...
    def start(self, name: str, total: int | None) -> None: ...
    def follow(self, name: str, meter: object) -> None: ...
    def finish(self, name: str, n_rows: int, *, skipped: bool) -> None: ...

    def advance(self, name: str, n_rows: int) -> None:
        self.left -= n_rows
        if self.left <= 0:
            # The one process that trains into this folder, by the lock that it holds open.
            os.kill(find_holder(self.folder / ".lock"), signal.SIGKILL)


def find_holder(file: Path) -> int:
    """The other process that has a file open."""
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) == os.getpid():
            continue
        try:
            opened = [link.resolve() for link in (process / "fd").iterdir()]
        except OSError:
            continue
        if file.resolve() in opened:
            return int(process.name)
    raise AssertionError(f"nobody has {file} open")


def test_a_killed_training_ends_like_one_that_was_not(
    python: Path, base: Path, tmp_path: Path
) -> None:
    given = {
        "model": base,
        "values": SHORT,
        "trainer_python": python,
        "device": "cpu",
        "checkpoint_steps": 1,
    }
    whole = tacos.train(ROWS, "tiny", tmp_path / "whole", **given).training
    assert whole is not None
    assert whole.steps == STEPS
    assert whole.seen_tokens == whole.read_tokens > whole.trained_tokens
    assert whole.seconds > 0
    model = tmp_path / "whole" / "model"
    template = (model / "chat_template.jinja").read_text("utf-8")
    assert template.strip() == read_template("chatml").strip()
    killed = tmp_path / "killed"
    with pytest.raises(TrainingError, match="was killed"):
        tacos.train(ROWS, "tiny", killed, progress=KilledAt(killed, 24), **given)
    training = tacos.train(ROWS, "tiny", killed, **given).training
    assert training == read_training(killed)
    assert training.n_starts == 2
    assert training.losses == whole.losses
    weights = "model.safetensors"
    assert (killed / "model" / weights).read_bytes() == (model / weights).read_bytes()


def test_what_trl_would_do_silently_is_counted_before(
    python: Path, base: Path, tmp_path: Path
) -> None:
    rows = [dict(row) for row in make_rows(60)]
    rows[0]["instruction"] = "long " * 200
    rows[1]["output"] = "long " * 200
    planned = tacos.train(
        rows,
        "tiny",
        model=base,
        values=SHORT,
        trainer_python=python,
        device="cpu",
        dry_run=True,
    ).plan
    assert planned is not None
    assert planned.forecast.n_rows == 59
    assert list(planned.left_out.values()) == [1]
    assert planned.forecast.n_cut >= 1
    assert planned.versions["trl"]
