"""A killed extension goes on where it was, and ends with the same bytes as an undisturbed one."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parents[2] / "demo" / "sample.jsonl"


def build_command(folder: Path, data: Path, name: str, *words: str) -> list[str]:
    output = folder / name
    named = ["-n", "20", "-o", str(output), *words]
    return [sys.executable, "-m", "tacos", "select", str(data), *named]


def cut_sample(folder: Path) -> tuple[Path, Path]:
    lines = SAMPLE.read_bytes().splitlines(keepends=True)[:300]
    old = folder / "old.jsonl"
    new = folder / "new.jsonl"
    old.write_bytes(b"".join(lines[:200]))
    new.write_bytes(b"".join(lines[200:]))
    return old, new


@pytest.mark.timeout(600)
def test_two_kills_of_an_extension_change_nothing(tmp_path: Path) -> None:
    old, new = cut_sample(tmp_path)
    subprocess.run(
        build_command(tmp_path, old, "first.jsonl"), check=True, capture_output=True
    )
    run = str(tmp_path / "first.jsonl.run")
    before = sorted((tmp_path / "first.jsonl.run").rglob("*"))
    # The files of the old run may be gone.
    old.unlink()
    calm = build_command(tmp_path, new, "calm.jsonl", "--extend", run)
    started = time.monotonic()
    subprocess.run(calm, check=True, capture_output=True)
    took = time.monotonic() - started
    rough = build_command(tmp_path, new, "rough.jsonl", "--extend", run)
    moments = random.Random(5)
    for _ in range(2):
        process = subprocess.Popen(
            rough, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(moments.uniform(0.4, took))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(rough, check=True, capture_output=True)
    for suffix in ("", ".scores.jsonl"):
        expected = (tmp_path / f"calm.jsonl{suffix}").read_bytes()
        assert (tmp_path / f"rough.jsonl{suffix}").read_bytes() == expected
    assert sorted((tmp_path / "first.jsonl.run").rglob("*")) == before
