"""Every script in examples/ runs, from a folder of its own, and says what it should."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SAYS = {
    "select_from_python.py": (": kept, rank 1 of 20", ": dropped: "),
    "own_judge.py": ("sample.jsonl:",),
    "budgeted_llm_run.py": ("stopped:", "selected 8 rows", "questions asked twice: 0"),
    "reselect_and_compare.py": ("tacos and mig share", "deita"),
}


def test_every_example_is_listed() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SAYS)
    readme = (EXAMPLES / "README.md").read_text("utf-8")
    assert all(f"`{name}`" in readme for name in SAYS)


@pytest.mark.parametrize("name", SAYS)
def test_it_runs(name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "NO_PROXY": "*", "XDG_DATA_HOME": str(tmp_path)}
    command = [sys.executable, str(EXAMPLES / name)]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    for words in SAYS[name]:
        assert words in done.stdout
