"""Where the training environment is looked for, and how its processes end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tacos.errors import ConfigError
from tacos.trainers import environment

OWN = Path(sys.executable)


@pytest.fixture(autouse=True)
def _no_environment_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(environment.VARIABLE, raising=False)
    monkeypatch.setattr(environment, "_iterate_places", lambda: iter([tmp_path]))


def make_environment(folder: Path) -> Path:
    """A folder .venv-train with a Python."""
    python = folder / environment.FOLDER / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(OWN)
    return python


def test_what_is_given_comes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = make_environment(tmp_path)
    assert environment.find_python() == found
    monkeypatch.setenv(environment.VARIABLE, str(OWN))
    assert environment.find_python() == OWN
    assert environment.find_python(found) == found


def test_without_an_environment_one_line_says_how_to_make_one() -> None:
    with pytest.raises(
        ConfigError, match="no training environment: make one with `make setup"
    ):
        environment.find_python()


@pytest.mark.parametrize("by_variable", [True, False])
def test_a_python_that_is_none_is_refused(
    by_variable: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = tmp_path / "python"
    text.write_text("no program")
    given = None if by_variable else text
    if by_variable:
        monkeypatch.setenv(environment.VARIABLE, str(text))
    with pytest.raises(ConfigError, match=r"python cannot be run: make one with"):
        environment.find_python(given)
    text.unlink()
    with pytest.raises(ConfigError, match="python is no file"):
        environment.find_python(given)


def test_a_file_that_is_no_program_is_one_line(tmp_path: Path) -> None:
    text = tmp_path / "python"
    text.write_bytes(b"\x00 no program")
    text.chmod(0o755)
    with pytest.raises(ConfigError, match="cannot be run"):
        environment.start_process(text, [], {})


def test_the_hub_is_left_alone_only_for_local_models(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert environment.build_variables(tmp_path)["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in environment.build_variables("owner/name")


def test_our_packages_stay_out_and_threads_as_the_user_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/ours")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    variables = environment.build_variables("owner/name", 7)
    assert "PYTHONPATH" not in variables
    assert variables["OMP_NUM_THREADS"] == "3"
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert environment.build_variables("owner/name", 7)["OMP_NUM_THREADS"] == "7"


@pytest.mark.parametrize(
    "said",
    [
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.",
        "RuntimeError: [enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory",
        "pyarrow.lib.ArrowMemoryError: malloc of size 64 failed",
        "  what():  std::bad_alloc",
        "memory allocation of 4096 bytes failed",
        "ImportError: libtorch.so: failed to map segment from shared object",
    ],
)
def test_what_says_that_memory_ended(said: str) -> None:
    assert environment.is_out_of_memory(said)
    assert not environment.is_out_of_memory("RuntimeError: a loss is needed")


def test_a_process_ends_with_all_that_it_started() -> None:
    sleeper = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    )
    process = environment.start_process(
        OWN, ["-c", sleeper], dict(os.environ), stdin=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    environment.end_process(process)
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()
    assert process.returncode == -signal.SIGKILL
    # What it started is of the same group, until the system has cleared it away.
    deadline = time.monotonic() + 30
    while is_group_alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_group_alive(process.pid)


def is_group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_process_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    parent = f"""
import pathlib, time
from tacos.trainers import environment
process = environment.start_process(
    pathlib.Path({str(OWN)!r}), ["-c", "import time; time.sleep(60)"], {{}}
)
pathlib.Path({str(noted)!r}).write_text(str(process.pid))
time.sleep(60)
"""
    killed = subprocess.Popen([OWN, "-c", parent])
    while not noted.exists() or not noted.read_text():
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    # Nobody waits for it here, so it may be a zombie for a while.
    state = Path(f"/proc/{noted.read_text()}/stat")
    for _ in range(200):
        if not state.exists() or state.read_text().split()[2] == "Z":
            return
        time.sleep(0.02)
    pytest.fail("the process goes on")
