"""What a run cannot write is an error of one line, as on a disk that is full.

A process of its own may write files of a few bytes only; a full disk fails at the same places.
"""

import subprocess
import sys
from pathlib import Path

WRITE = """
import resource, sys
from pathlib import Path
import polars as pl
from tacos.errors import OutputError
from tacos.store.artifacts import Store, write_json
from tacos.store.tables import write_table

folder = Path(sys.argv[1])
noise = [str(hash(number)) for number in range(20_000)]
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
for write in (
    lambda: write_table(pl.DataFrame({"text": noise}), folder / "part.parquet"),
    lambda: write_json(folder / "state.json", {"noise": noise}),
    lambda: Store(folder).write_state("run.json", {"noise": noise}),
):
    try:
        write()
    except OutputError as error:
        print(error)
"""


def test_a_full_disk_is_an_error_of_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    for name, line in zip(
        ("part.parquet", "state.json", "run.json"), lines, strict=True
    ):
        assert line.startswith(f"{tmp_path / name} cannot be written: File too large")
        # What was half written is not taken for whole.
        assert not (tmp_path / name).exists()
