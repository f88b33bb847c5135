"""The wheel, installed into an empty environment outside the source tree, selects offline.

On every Python from 3.11 on that this machine has. The dependencies come from PyPI (or uv's cache)
in the versions of the lock file; the run itself may connect to nothing.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UV = shutil.which("uv", path=f"{ROOT / '.uv' / 'bin'}{os.pathsep}{os.environ['PATH']}")
OLDEST = (3, 11)
COMMAND = ["select", "rows.jsonl", "-n", "5", "-o", "out.jsonl"]
NO_NETWORK = """
import sys

def refuse_connection(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        raise PermissionError(f"tried to connect to {arguments[1]}")

sys.addaudithook(refuse_connection)
"""

pytestmark = [
    pytest.mark.skipif(UV is None, reason="needs uv, which `make setup` installs"),
    pytest.mark.timeout(900),  # the first installation downloads every dependency
]


def list_interpreters() -> Iterator[Path]:
    """Interpreters that uv finds, then pyenv's, whose shims hide all but the chosen versions."""
    if UV is None:
        return
    command = [UV, "python", "list", "--only-installed", "--output-format", "json"]
    listed = subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
    for entry in json.loads(listed.stdout):
        yield Path(entry["path"])
    yield from sorted(
        Path("~/.pyenv/versions").expanduser().glob("*/bin/python3.[0-9]*")
    )


def find_interpreters() -> dict[str, Path]:
    """Version ("3.12") to one interpreter of it that starts."""
    code = "import sys; print(*sys.version_info[:2])"
    interpreters: dict[str, Path] = {}
    for path in list_interpreters():
        if re.search(r"(config|-gdb.*)$", path.name):
            continue
        started = subprocess.run([path, "-c", code], capture_output=True, text=True)
        if started.returncode == 0:
            major, minor = map(int, started.stdout.split())
            if (major, minor) >= OLDEST:
                interpreters.setdefault(f"{major}.{minor}", path)
    return interpreters


INTERPRETERS = find_interpreters()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that `uv build` makes from its own source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [str(UV), "build", "--quiet", "--out-dir", folder], check=True, cwd=ROOT
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What the source tree selects."""
    folder = tmp_path_factory.mktemp("tree")
    return select_rows(folder, [sys.executable, "-m", "tacos"], dict(os.environ))


def select_rows(folder: Path, program: list[str], environment: dict[str, str]) -> bytes:
    """The rows that `program` selects of the first of the bundled sample, in `folder`."""
    rows = (ROOT / "demo" / "sample.jsonl").read_text("utf-8").splitlines(keepends=True)
    (folder / "rows.jsonl").write_text("".join(rows[:40]), "utf-8")
    command = [*program, *COMMAND]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return (folder / "out.jsonl").read_bytes()


def test_the_wheel_holds_the_models_and_their_licences(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert wheel.name.startswith("tacos_select-")
    # MAX_FILESIZE of pypi/warehouse, warehouse/constants.py
    assert wheel.stat().st_size < 100 * 2**20, "PyPI takes files of up to 100 MiB"
    for name in (
        "minilm/model.safetensors",
        "static.safetensors",
        "tagger.safetensors",
        "judge.safetensors",
        "close_judge.safetensors",
    ):
        assert f"tacos/models/data/{name}" in names
    for name in ("LICENSE", "NOTICE"):
        assert any(entry.endswith(f"dist-info/licenses/{name}") for entry in names)


@pytest.mark.parametrize("version", INTERPRETERS)
def test_it_selects_in_an_empty_environment(
    wheel: Path, expected: bytes, version: str, tmp_path: Path
) -> None:
    export = [
        str(UV),
        "export",
        "--quiet",
        "--frozen",
        "--no-default-groups",
        "--no-hashes",
    ]
    export += ["--no-emit-project", "--output-file", str(tmp_path / "locked.txt")]
    subprocess.run(export, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    python = tmp_path / "venv" / "bin" / "python"
    create = [str(UV), "venv", "--quiet", "--python", str(INTERPRETERS[version])]
    subprocess.run([*create, str(tmp_path / "venv")], check=True, cwd=tmp_path)
    install = [str(UV), "pip", "install", "--quiet", "--python", str(python)]
    install += ["--constraints", str(tmp_path / "locked.txt"), str(wheel)]
    subprocess.run(install, check=True, cwd=tmp_path)

    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(NO_NETWORK)
    environment = {
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(tmp_path / "guard"),
    }
    tacos = [str(python.with_name("tacos"))]
    assert select_rows(tmp_path, tacos, environment) == expected
    packages = list((tmp_path / "venv").glob("lib/*/site-packages"))
    assert not any((folder / "torch").exists() for folder in packages)
