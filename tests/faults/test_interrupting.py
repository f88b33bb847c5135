"""Ctrl-C and SIGTERM during an online stage: one line, nothing lost, and the next call asks nothing
again.
"""

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


@pytest.mark.parametrize(
    ("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)]
)
def test_what_was_answered_is_kept(
    sign: signal.Signals, code: int, tmp_path: Path
) -> None:
    with FaultServer(Behaviour(latency=0.1)) as server:
        process = start(tmp_path, server)
        while len(server.asked) < 40 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(sign)
        said, _ = process.communicate(timeout=120)
        assert process.returncode == code, said
        assert "Traceback" not in said
        if sign == signal.SIGINT:
            assert "same command" in said.splitlines()[-1]
        assert len(server.asked) < 330, "it stopped long before the end"
        again = start(tmp_path, server)
        assert again.communicate(timeout=120)[0]
        assert again.returncode == 0
        twice = sum(n > 1 for n in server.asked.values())
        assert twice <= (0 if sign == signal.SIGINT else 8), (
            "Ctrl-C waits for what is in flight, a kill does not"
        )
        assert len(server.asked) == 334
