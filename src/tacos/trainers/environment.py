"""The training environment: a Python with torch, transformers and TRL, apart from that of tacos.

It is found, in this order, by what is given, by the variable TACOS_TRAINER_PYTHON, and as
.venv-train in the working directory, beside the environment of tacos, or in its source tree.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tacos.errors import ConfigError

VARIABLE = "TACOS_TRAINER_PYTHON"
FOLDER = ".venv-train"
HOW_TO = (
    "make one with `make setup-train`, or name a Python that has torch and TRL "
    f"(--trainer-python, {VARIABLE})"
)
OURS = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV")
"""Variables that would bring our own packages into the trainer's Python."""
PR_SET_PDEATHSIG = 1
OUT_OF_MEMORY = re.compile(
    r"out of memory|OutOfMemoryError|can't allocate memory|MemoryError|Cannot allocate memory"
    # What C++, Rust and the loader of libraries say.
    r"|bad_alloc|memory allocation of \d+ bytes failed|failed to map segment",
    re.IGNORECASE,
)


def find_python(given: str | Path | None = None) -> Path:
    """The Python of the training environment.

    Raises:
        ConfigError: There is none, or what is named cannot be run.
    """
    if given is not None:
        return _check_python(Path(given), "--trainer-python")
    named = os.environ.get(VARIABLE)
    if named:
        return _check_python(Path(named), VARIABLE)
    for folder in _iterate_places():
        python = folder / FOLDER / "bin" / "python"
        if python.is_file():
            return _check_python(python, str(folder / FOLDER))
    raise ConfigError(f"there is no training environment: {HOW_TO}")


def build_variables(
    model: str | Path,
    n_threads: int | None = None,
) -> dict[str, str]:
    """Environment variables for a process of the training environment.

    The Hugging Face hub is asked for nothing where the model is a local folder. `OMP_NUM_THREADS`
    stays as the user has set it.
    """
    variables = {name: value for name, value in os.environ.items() if name not in OURS}
    variables["PYTHONHASHSEED"] = "0"
    variables["PYTHONUNBUFFERED"] = "1"
    variables["HF_HUB_DISABLE_TELEMETRY"] = "1"
    if Path(model).is_dir():
        variables["HF_HUB_OFFLINE"] = "1"
    # Threads that wait must not keep others from the cores.
    variables.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    variables.setdefault("OMP_NUM_THREADS", str(n_threads or count_cores()))
    return variables


def count_cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


def start_process(
    python: Path,
    arguments: Sequence[str | Path],
    variables: dict[str, str],
    *,
    folder: Path | None = None,
    stdin: int | None = subprocess.DEVNULL,
    stdout: int | None = subprocess.PIPE,
    stderr: int | None = subprocess.PIPE,
    keep_open: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a process of the training environment, which ends if this one is killed.

    `keep_open` are files that stay open in it, such as a lock. Raises `ConfigError` where the
    Python cannot be started.
    """
    try:
        return subprocess.Popen(
            [str(python), *map(str, arguments)],
            env=variables,
            cwd=folder,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=keep_open,
            # A Ctrl-C reaches tacos alone, which ends the trainer itself.
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
    except OSError as error:
        raise ConfigError(
            f"{python} cannot be run ({error.strerror}): {HOW_TO}"
        ) from None


def end_process(process: subprocess.Popen[bytes]) -> None:
    """End a process that `start_process` has started, and what it has started in turn."""
    # Its own group, as it leads a session; others of the group may outlive it.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def is_out_of_memory(said: str) -> bool:
    """Whether a process of the environment has said that memory ended.

    >>> is_out_of_memory("terminate called after throwing an instance of 'std::bad_alloc'")
    True
    """
    return OUT_OF_MEMORY.search(said) is not None


def _iterate_places() -> Iterator[Path]:
    """Folders in which the environment may be."""
    yield Path.cwd()
    yield Path(sys.prefix).parent
    # src/tacos/trainers/environment.py of a source tree.
    yield Path(__file__).resolve().parents[3]


def _check_python(python: Path, named_by: str) -> Path:
    """The absolute path of a Python. Raises `ConfigError` where it is none that can be run."""
    if not python.is_file():
        raise ConfigError(f"{named_by}: {python} is no file: {HOW_TO}")
    if not os.access(python, os.X_OK):
        raise ConfigError(f"{named_by}: {python} cannot be run: {HOW_TO}")
    # Not resolved: a link to the Python of a virtual environment is what makes it one.
    return python.absolute()


def _die_with_parent() -> None:
    """Let the system kill this process when its parent ends (Linux)."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
