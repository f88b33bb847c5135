"""`tacos ui` as a process: how it starts, what it says, how it ends."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.small_world import run_command
from tests.web.conftest import serve

import tacos


@contextmanager
def start_page(run: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running command, and the link that it printed."""
    command = [sys.executable, "-m", "tacos", "ui", str(run), *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.startswith("Open "):
                    yield process, line.removeprefix("Open ").strip()
                    break
        finally:
            process.kill()


def test_ctrl_c_closes_the_page_with_one_line(finished: tacos.Selection) -> None:
    with start_page(finished.run, "--no-browser") as (process, url):
        with urllib.request.urlopen(url) as response:
            assert b"<title>tacos</title>" in response.read()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert output.splitlines()[-1] == "Page closed."
    assert errors == ""
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=5)


def test_ctrl_c_closes_it_although_a_browser_keeps_its_connection(
    finished: tacos.Selection,
) -> None:
    with start_page(finished.run, "--no-browser") as (process, url):
        port = int(re.findall(r":(\d+)/", url)[0])
        with socket.create_connection(("127.0.0.1", port)) as idle:
            idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert idle.recv(12) == b"HTTP/1.1 421"
            # A second request that never ends
            idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")


def test_every_start_has_a_token_of_its_own(finished: tacos.Selection) -> None:
    with start_page(finished.run, "--no-browser") as (_, first):
        pass
    with start_page(finished.run, "--no-browser") as (_, second):
        pass
    tokens = [re.findall(r"token=([\w-]{43})$", url)[0] for url in (first, second)]
    assert tokens[0] != tokens[1]


def test_it_listens_to_this_machine_alone(finished: tacos.Selection) -> None:
    with start_page(finished.run, "--no-browser") as (_, url):
        port = int(re.findall(r"^http://127\.0\.0\.1:(\d+)/", url)[0])
        listening = []
        for file in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in Path(file).read_text().splitlines()[1:]:
                local, _, state = line.split()[1:4]
                address, _, number = local.partition(":")
                # 0A: it listens
                if int(number, 16) == port and state == "0A":
                    listening.append(address)
        assert listening == ["0100007F"]


def test_a_run_that_is_gone_is_not_taken_for_an_empty_one(
    finished: tacos.Selection, tmp_path: Path
) -> None:
    run = tmp_path / "moved.run"
    shutil.copytree(finished.run, run)
    with serve(tacos.ui(run)) as page:
        assert page.get("/api/annotate").status == 200
        run.rename(tmp_path / "elsewhere.run")
        for path in ("/api/annotate", "/api/run", "/api/edits", "/api/rows"):
            answer = page.get(path)
            assert answer.status == 410, path
            assert answer.json()["error"].startswith("the run moved.run is gone: start")
        given = {"n_pairs": 3}
        assert page.post("/api/annotate/draw", given).status == 410
        assert not run.exists()
        # The page itself is no part of the run.
        assert page.get("/static/app.js").status == 200


def test_a_port_in_use_is_an_error_of_one_line(finished: tacos.Selection) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, output = run_command("ui", finished.run, "--port", port, "--no-browser")
    assert code == 2
    assert output == (
        f"port {port} cannot be used (Address already in use): "
        "name another with --port, or leave it out"
    )


def test_what_is_no_run_is_an_error_of_one_line(tmp_path: Path) -> None:
    assert run_command("ui", tmp_path / "nowhere") == (
        2,
        f"no such run: {tmp_path / 'nowhere'}",
    )


def test_without_the_extra_it_is_named(
    finished: tacos.Selection, tmp_path: Path
) -> None:
    missing = tmp_path / "starlette.py"
    missing.write_text(
        "raise ModuleNotFoundError(\"No module named 'starlette'\", name='starlette')"
    )
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", "tacos", "ui", str(finished.run)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 2
    assert done.stderr == (
        "tacos: the page needs starlette: pip install 'tacos-select[ui]', "
        "and run the same command again\n"
    )
