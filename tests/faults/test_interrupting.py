"""Ctrl-C and SIGTERM during an online stage: one line, nothing lost, and the next call asks nothing
again.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.server.fault_server import Behaviour, FaultServer
from tests.server.questions import KEY

SAMPLE = Path(__file__).parents[2] / "demo" / "sample.jsonl"


def start(folder: Path, server: FaultServer) -> subprocess.Popen[str]:
    """`tacos select`, up to tagging, in a process that gets signals (those of a shell's background
    ignore SIGINT).
    """
    command = [
        sys.executable,
        "-m",
        "tacos",
        "select",
        str(SAMPLE),
        "-o",
        str(folder / "out.jsonl"),
        "--until",
        "tag",
    ]
    command += [
        "--llm",
        server.url,
        "--model",
        "tiny-1",
        "--ledger",
        str(folder / "ledger.sqlite"),
    ]
    command += ["--set", "llm.concurrency=4"]
    environment = {**os.environ, "OPENAI_API_KEY": KEY, "NO_PROXY": "*"}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_what_was_answered_is_kept(sign: signal.Signals, tmp_path: Path) -> None:
    with FaultServer(Behaviour(latency=0.1)) as server:
        process = start(tmp_path, server)
        while len(server.asked) < 40 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(sign)
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 130, said
        assert "Traceback" not in said
        assert "same command" in said.splitlines()[-1]
        assert len(server.asked) < 330, "it stopped long before the end"
        again = start(tmp_path, server)
        assert again.communicate(timeout=120)[0]
        assert again.returncode == 0
        twice = sum(n > 1 for n in server.asked.values())
        assert twice == 0, "it waits for what is in flight"
        assert len(server.asked) == 334


def test_a_background_job_ends_on_sigterm_without_leftovers(tmp_path: Path) -> None:
    """What a shell starts by `&` ignores SIGINT; worker processes and temporary folders go, too."""
    rows = tmp_path / "rows.jsonl"
    row = {"instruction": "Say it {}.", "output": "It is said, {}."}
    lines = [json.dumps(row).replace("{}", str(number)) for number in range(200_000)]
    rows.write_text("\n".join(lines))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "tacos", "select", rows, "-o", tmp_path / "out.jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    while not [*tmp_path.rglob("part-*")] and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "same command" in said.splitlines()[-1]
    assert "leaked" not in said
    assert not [*temporary.iterdir()]
