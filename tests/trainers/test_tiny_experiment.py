"""From a selection to a verdict with TRL on a random Llama of 1.6 million parameters, killed on the
way.
"""

import subprocess
from pathlib import Path

import pytest
from tests.server.support import environment
from tests.tiny_experiment import go_both_ways, select_demo

from tacos.errors import ConfigError
from tacos.trainers.environment import find_python

__all__ = ["environment"]

pytestmark = [pytest.mark.trainers, pytest.mark.slow, pytest.mark.timeout(3600)]

HERE = Path(__file__).resolve().parent
OF_LOADERS = HERE.parents[1] / "build" / "trainers" / "trl" / "bin" / "python"


@pytest.fixture
def python() -> Path:
    """The Python of a training environment."""
    try:
        return find_python()
    except ConfigError:
        if OF_LOADERS.is_file():
            return OF_LOADERS
    pytest.skip("there is no training environment: make setup-train")


def test_killed_on_the_way_it_comes_to_the_same_end(
    python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TACOS_TRAINER_PYTHON", str(python))
    base = tmp_path / "base"
    code = f"import tiny_model, pathlib; tiny_model.save_llama(pathlib.Path({str(base)!r}))"
    subprocess.run([python, "-c", code], cwd=HERE, check=True, capture_output=True)
    whole = go_both_ways(tmp_path, select_demo(tmp_path), base)
    # The trained models answer: a step has changed them all.
    losses = {part["means"]["answer-loss"] for part in whole["results"]["trainings"]}
    assert len(losses) == 7
