"""From a selection to a verdict with a trainer that trains nothing, killed on the way.

`tests/trainers/test_tiny_experiment.py` is the same with TRL.
"""

from pathlib import Path

import pytest
from tests.fake_trainer import install_fake_trainer, make_fake_model
from tests.server.fault_server import Behaviour, FaultServer
from tests.server.support import environment
from tests.tiny_experiment import (
    check_whole,
    go_through,
    list_steps,
    select_demo,
    write_questions,
)

__all__ = ["environment"]


def test_killed_on_the_way_it_comes_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = install_fake_trainer(tmp_path / "env")
    monkeypatch.setenv("TACOS_TRAINER_PYTHON", str(python))
    monkeypatch.delenv("TACOS_FAKE", raising=False)
    base = make_fake_model(tmp_path / "base")
    run = select_demo(tmp_path)
    found = {}
    with FaultServer(Behaviour()) as server:
        for name in ("whole", "killed"):
            folder = tmp_path / name
            folder.mkdir()
            monkeypatch.chdir(folder)
            write_questions(folder)
            steps = list_steps(run, base, server)
            found[name] = go_through(steps, is_killed=name == "killed", seconds=60)
            check_whole(found[name])
    assert found["killed"] == found["whole"]
