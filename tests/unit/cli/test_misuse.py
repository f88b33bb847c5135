"""A command line that cannot be parsed is one line that says what is wrong and where to look.

Before, typer printed four: its usage, a hint, an empty one and the error.
"""

import subprocess
import sys

import pytest

WRONG = {
    ("clean",): "missing option '-o' / '--output'; see {program} clean --help",
    ("clean", "--xyz"): "no such option: --xyz; see {program} clean --help",
    ("nope",): "no such command 'nope'; see {program} --help",
    ("runs", "compare"): "missing argument 'RUN'; see {program} runs compare --help",
    ("clean", "-o"): "option '-o' requires an argument; see tacos --help",
    ("clean", "--\x1b[31m"): "no such option: --",
}


def run_program(*words: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own: `main` makes the line."""
    return subprocess.run(
        [sys.executable, "-m", "tacos", *words],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("words", WRONG)
def test_misuse_is_one_line(words: tuple[str, ...]) -> None:
    done = run_program(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    expected = WRONG[words].format(program="python -m tacos")
    assert line.startswith(f"tacos: {expected}")
    assert "\x1b" not in line


def test_a_command_without_words_shows_its_help() -> None:
    done = run_program("requests")
    assert done.stderr.startswith("Usage: ")
    assert len(done.stderr.splitlines()) > 5
