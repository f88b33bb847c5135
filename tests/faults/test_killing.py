"""A killed run goes on where it was, and ends with the same bytes as one that nobody disturbed."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parents[2] / "demo" / "sample.jsonl"


def command(folder: Path) -> list[str]:
    return [
        sys.executable,
        "-m",
        "tacos",
        "select",
        str(SAMPLE),
        "-n",
        "40",
        "-o",
        str(folder / "out.jsonl"),
    ]


def results(folder: Path) -> list[bytes]:
    return [
        (folder / name).read_bytes() for name in ("out.jsonl", "out.jsonl.scores.jsonl")
    ]


def kill_after(folder: Path, seconds: float) -> None:
    process = subprocess.Popen(
        command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.timeout(600)
def test_five_kills_change_nothing(tmp_path: Path) -> None:
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    calm.mkdir()
    rough.mkdir()
    started = time.monotonic()
    subprocess.run(command(calm), check=True, capture_output=True)
    took = time.monotonic() - started
    moments = random.Random(7)
    for _ in range(5):
        kill_after(rough, moments.uniform(0.3, took))
        done = [path for path in rough.glob("*") if path.suffix == ".jsonl"]
        assert all(
            path.read_bytes() == (calm / path.name).read_bytes() for path in done
        ), "half-written output"
    subprocess.run(command(rough), check=True, capture_output=True)
    assert results(rough) == results(calm)


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while (
        process.poll() is None and not (tmp_path / "out.jsonl.run" / "samples").exists()
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    if process.returncode != 0:  # a fast machine may have finished
        assert process.returncode == 130
        assert "the same command continues" in errors
        assert "Traceback" not in errors
    subprocess.run(command(tmp_path), check=True, capture_output=True)
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 40
