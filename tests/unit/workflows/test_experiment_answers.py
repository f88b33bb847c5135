"""The answers of an experiment's models, read again."""

from pathlib import Path

import pytest

from tacos.errors import RunError
from tacos.workflows.experiment_answers import read_arm_answers
from tacos.workflows.experiment_folder import ExperimentFolder


def test_a_spoilt_file_of_answers_says_that_the_model_is_asked_anew(
    tmp_path: Path,
) -> None:
    folder = ExperimentFolder(tmp_path)
    file = folder.place_answers("random", 1)
    file.parent.mkdir(parents=True)
    file.write_text('{"question_id": 1}\n')
    with pytest.raises(RunError, match=r"delete it.*asks that model anew"):
        read_arm_answers(folder, "random", 1)
