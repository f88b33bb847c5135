"""A disk that is soon full."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


def fill_disk(file: Path) -> None:
    """Write until nothing more fits."""
    with suppress(OSError), file.open("wb", buffering=0) as out:
        while True:
            out.write(b"x" * 4096)


@contextmanager
def small_disk(size: str = "200m") -> Iterator[Path]:
    """A folder in memory that holds 200 MB, or less."""
    folder = Path(tempfile.mkdtemp(prefix="small-disk-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
    )
    try:
        if mounted.returncode != 0:
            pytest.skip("needs the right to mount a file system")
        folder.chmod(0o755)
        yield folder
    finally:
        # Also while a process that a test has left still holds a file there.
        subprocess.run(["umount", "-l", str(folder)], capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
