"""From a selection to a verdict with a trainer that trains nothing, killed on the way.

`tests/trainers/test_tiny_experiment.py` is the same with TRL.
"""

from pathlib import Path

import pytest
from tests.experiment_world import OWN
from tests.fake_trainer import install_fake_trainer, make_fake_model
from tests.server.support import environment
from tests.tiny_experiment import DEMO, N_SELECTED, go_both_ways

import tacos

__all__ = ["environment"]


def test_killed_on_the_way_it_comes_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = install_fake_trainer(tmp_path / "env")
    monkeypatch.setenv("TACOS_TRAINER_PYTHON", str(python))
    monkeypatch.delenv("TACOS_FAKE", raising=False)
    base = make_fake_model(tmp_path / "base")
    run = tmp_path / "run"
    tacos.select(DEMO, n=N_SELECTED, run=run, **OWN)
    # `tests/cases/test_training.py` kills `tacos train`.
    go_both_ways(tmp_path, run, base, killed=("answer", "prove"), seconds=60)
