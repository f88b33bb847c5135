"""A table is committed in few files, and read in the batches in which it was made."""

import datetime
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from polars.testing.parametric import column, dataframes

from tacos.pipeline.stages import iterate_stages
from tacos.records import Reject, build_reject_frame
from tacos.store import joined_files
from tacos.store.artifacts import Artifact, Store
from tacos.store.joined_files import FILES_PER_FILE, join_tables
from tacos.store.tables import scan_tables, write_table

COMMIT_AND_DIE = """
import os, resource, signal, sys
from pathlib import Path
from tacos.errors import OutputError
from tacos.store import joined_files
from tacos.store.artifacts import Store

joined_files.FILES_PER_FILE = 3
draft = Store(Path(sys.argv[1])).begin("samples", "k")
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, 3_000))
try:
    draft.commit({})
except OutputError as error:
    print(error, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
NONE = build_reject_frame()
SCHEMAS = [*(stage.schema for stage in iterate_stages()), NONE.schema]
ROWS = pl.DataFrame(
    {
        "id": ["a:0", "a:1", "b:0"],
        "tags": [["tea", "cup"], [], None],
        "turns": [[{"role": "user", "text": "é"}], None, []],
        "score": [0.5, None, -1.0],
        "failure": [True, False, None],
        "at": [datetime.date(2026, 11, 27), None, datetime.date(1, 1, 1)],
        "kind": pl.Series(["x", "y", None], dtype=pl.Enum(["x", "y"])),
    }
)


def commit(
    run: Path, parts: Sequence[pl.DataFrame], rejects: pl.DataFrame = NONE
) -> Artifact:
    draft = Store(run).begin("samples", "k")
    for number, part in enumerate(parts):
        draft.write(number, part, rejects)
    return draft.commit({})


def list_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_table_of_many_batches_is_a_few_files(tmp_path: Path) -> None:
    rejects = build_reject_frame([Reject("a:9", "ingest", "no text")])
    n_batches = 2 * FILES_PER_FILE + 1
    made = commit(tmp_path, [ROWS] * n_batches, rejects)
    assert list_files(made.path) == [
        "manifest.json",
        *(f"part-0000{number}.parquet" for number in range(3)),
        *(f"rejects-0000{number}.parquet" for number in range(3)),
    ]
    assert made.manifest["n_rows"] == ROWS.height * n_batches
    assert made.rejects().height == n_batches
    assert not any((tmp_path / ".making").iterdir())


def test_readers_get_the_batches_as_they_were_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those without rows: two tables of the same batches are read side by side."""
    monkeypatch.setattr(joined_files, "FILES_PER_FILE", 3)
    batches = [ROWS.head(2), ROWS.clear(), ROWS, ROWS.clear()]
    made = commit(tmp_path, batches)
    assert len(made.parts) == 2
    for batch, read in zip(batches, made.batches(), strict=True):
        assert_frame_equal(read, batch)
    narrow = made.batches(["score", "id"])
    for batch, read in zip(batches, narrow, strict=True):
        assert_frame_equal(read, batch.select("score", "id"))


def test_any_reader_of_parquet_reads_a_joined_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joined_files, "FILES_PER_FILE", 2)
    made = commit(tmp_path, [ROWS, ROWS.reverse(), ROWS])
    rows = pl.concat([ROWS, ROWS.reverse()])
    file, last = made.parts
    assert_frame_equal(made.scan().collect(), pl.concat([rows, ROWS]))
    assert_frame_equal(pl.read_parquet(last), ROWS)
    assert_frame_equal(pl.read_parquet(file), rows)
    read = pq.read_table(file, columns=["id", "tags", "score"])
    assert read.to_pylist() == rows.select("id", "tags", "score").to_dicts()


@given(data=st.data())
def test_rows_of_every_stage_are_the_same_when_joined(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    schema = data.draw(st.sampled_from(SCHEMAS))
    columns = [column(name, dtype=dtype) for name, dtype in schema.items()]
    rows = data.draw(dataframes(columns, max_size=8))
    folder = tmp_path_factory.mktemp("rows")
    files = [folder / "a.parquet", folder / "b.parquet"]
    for file, part in zip(files, (rows, rows.head(3)), strict=True):
        write_table(part, file)
    join_tables(files, folder, "part")
    joined = scan_tables([folder / "part-00000.parquet"]).collect()
    assert_frame_equal(joined, scan_tables(files).collect())


def test_a_file_of_another_schema_begins_a_new_one(tmp_path: Path) -> None:
    """An unfinished draft may have parts that another version of polars has written."""
    files = []
    for number, rows in enumerate((ROWS, ROWS, ROWS.select("id"))):
        files.append(tmp_path / f"{number}.parquet")
        write_table(rows, files[-1])
    join_tables(files, tmp_path, "part")
    heights = [
        pl.read_parquet(file).shape for file in sorted(tmp_path.glob("part-*.parquet"))
    ]
    assert heights == [(6, 7), (3, 1)]


def test_the_digest_does_not_depend_on_how_parts_are_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = set()
    for n_files in (1, 2, 64):
        monkeypatch.setattr(joined_files, "FILES_PER_FILE", n_files)
        digests.add(commit(tmp_path / str(n_files), [ROWS] * 5).digest)
    assert len(digests) == 1


def test_a_run_of_many_small_files_by_an_older_version_is_read_as_it_is(
    tmp_path: Path,
) -> None:
    for number in range(3):
        write_table(ROWS, tmp_path / f"part-{number:05d}.parquet")
    old = Artifact(tmp_path, {})
    assert [batch.height for batch in old.batches()] == [3, 3, 3]


def test_a_process_that_dies_while_it_joins_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that may write 3,000 bytes to a file can write the parts, but not join them."""
    monkeypatch.setattr(joined_files, "FILES_PER_FILE", 3)
    undisturbed = commit(tmp_path / "undisturbed", [ROWS] * 4)
    store = Store(tmp_path / "run")
    draft = store.begin("samples", "k")
    for number in range(4):
        draft.write(number, ROWS, NONE)
        draft.write_notes(number, {"n_asked": 1})
    done = subprocess.run(
        [sys.executable, "-c", COMMIT_AND_DIE, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    said = f"{draft.target} cannot be written: File too large"
    assert done.stdout.startswith(said)
    assert store.find("samples", "k") is None
    again = store.begin("samples", "k")
    assert again.finished == {0, 1, 2, 3}
    assert len(list(again.read_notes())) == 4
    made = again.commit({})
    assert made.digest == undisturbed.digest
    assert made.parts[0].read_bytes() == undisturbed.parts[0].read_bytes()
    assert not any((tmp_path / "run" / ".making").iterdir())
