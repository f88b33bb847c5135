"""The store: committed by rename, keyed, locked, and able to go on where a process died."""

from pathlib import Path

import polars as pl
import pytest

from tacos.errors import OutputError, RunError
from tacos.records import Reject, build_reject_frame
from tacos.store.artifacts import Store

ROWS = pl.DataFrame({"x": [1, 2, 3]})
NONE = build_reject_frame()


def test_an_artifact_is_there_only_once_it_is_complete(tmp_path: Path) -> None:
    store = Store(tmp_path)
    draft = store.begin("tags", "k1")
    draft.write(0, ROWS, NONE)
    assert store.find("tags", "k1") is None
    draft.commit({"stage": "tag"})
    found = store.find("tags", "k1")
    assert found is not None
    assert found.scan().collect().equals(ROWS)
    assert found.manifest["n_rows"] == 3


def test_other_keys_lie_beside_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for key, rows in (("k1", ROWS), ("k2", ROWS.head(1))):
        draft = store.begin("pairs/0", key)
        draft.write(0, rows, NONE)
        draft.commit({})
    first, second = store.find("pairs/0", "k1"), store.find("pairs/0", "k2")
    assert first is not None
    assert second is not None
    assert (first.scan().collect().height, second.scan().collect().height) == (3, 1)


def test_an_artifact_that_another_process_was_faster_to_make_stays(
    tmp_path: Path,
) -> None:
    """Two `tacos reselect` of one request looked for it before either had made it."""
    store = Store(tmp_path)
    for _ in range(2):
        draft = store.begin("tags", "1234", resume=False)
        draft.write(0, ROWS, NONE)
        made = draft.commit({"key": "1234"})
    found = store.find("tags", "1234")
    assert found is not None
    assert found.digest == made.digest
    assert not any((tmp_path / ".making").iterdir())


def test_finished_parts_of_a_dead_process_are_kept_and_torn_ones_are_not(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path)
    draft = store.begin("tags", "k")
    draft.write(0, ROWS, build_reject_frame([Reject("a:0", "tag", "no reply")]))
    (draft.path / "part-00001.tmp").write_bytes(b"half a file")
    again = store.begin("tags", "k")
    assert again.finished == {0}
    assert not list(again.path.glob("*.tmp"))
    again.write(1, ROWS, NONE)
    made = again.commit({})
    assert (made.manifest["n_rows"], made.rejects().height) == (6, 1)


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    digests = []
    for name, rows in (("a", ROWS), ("b", ROWS), ("c", ROWS.reverse())):
        draft = Store(tmp_path).begin(name, "k")
        draft.write(0, rows, NONE)
        digests.append(draft.commit({}).digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_lock_keeps_a_second_process_off(tmp_path: Path) -> None:
    (tmp_path / "something").write_text("")
    with (
        Store(tmp_path).lock(),
        pytest.raises(RunError, match="in use"),
        Store(tmp_path).lock(),
    ):
        pass
    with Store(tmp_path).lock():
        pass


def test_a_run_in_which_nothing_was_made_leaves_nothing(tmp_path: Path) -> None:
    with Store(tmp_path / "run").lock():
        pass
    assert not (tmp_path / "run").exists()
    (tmp_path / "notes.txt").write_text("mine")
    with Store(tmp_path).lock():
        Store(tmp_path).write_state("run.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_run_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match="cannot write the run directory"),
        Store(tmp_path / "file" / "run").lock(),
    ):
        pass


def test_what_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a finished run"):
        Store(tmp_path).read_state("run.json")
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        Store(tmp_path).read_state("run.json")
