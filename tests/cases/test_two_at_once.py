"""Two commands on one output at once, and what killed ones leave: a stranger's tries (issue 14).

Before, two `tacos clean` on one output both ended with 0: the rows could be those of one and the
dropped rows those of the other. A killed one left its half-written files and folders beside the output for ever.
"""

import json
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tests.small_world import long_response, make_rows, run_command

import tacos
from tacos.errors import OutputError
from tacos.store import files

ROWS = make_rows(60, long_response)
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A file of rows."""
    file = tmp_path / "data.jsonl"
    file.write_text(LINES)
    return file


@pytest.mark.parametrize(
    "words",
    [("clean",), ("export", "--for", "trl"), ("select", "-n", "3")],
)
def test_an_output_that_is_being_written_is_refused(
    data: Path, words: tuple[str, ...]
) -> None:
    target = data.with_name("out.jsonl")
    with files.hold_output(target):
        code, said = run_command(*words, data, "-o", target)
    assert code == 2
    assert said == (
        f"{target} is being written by another process: "
        "wait for it, or name another output (-o)"
    )
    assert not target.exists()
    code, _ = run_command(*words, data, "-o", target)
    assert code == 0
    assert target.exists()
    assert not target.with_name(".out.jsonl.lock").exists()


def test_what_a_killed_process_left_goes(data: Path) -> None:
    target = data.with_name("out.jsonl")
    lock = data.with_name(".out.jsonl.lock")
    remnant = data.with_name(".out.jsonl.4711.tmp")
    beside = data.with_name(".out.jsonl.dropped.jsonl.4711.tmp")
    other = data.with_name(".data.jsonl.4711.tmp")
    for file in (lock, remnant, beside, other):
        file.touch()
    tacos.clean(data, target)
    assert not lock.exists()
    assert not remnant.exists()
    assert not beside.exists()
    assert other.exists()


def test_folders_that_a_killed_export_left_go(data: Path) -> None:
    target = data.with_name("train")
    for ending in ("new-4711", "old-4711"):
        folder = data.with_name(f".train.{ending}")
        folder.mkdir()
        (folder / "train.jsonl").touch()
    other = data.with_name(".test.new-4711")
    other.mkdir()
    tacos.export(data, "messages", target)
    names = sorted(path.name for path in data.parent.iterdir())
    assert names == [other.name, data.name, target.name]


def test_the_second_export_at_once_does_not_replace_the_first(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = data.with_name("train")
    hold = files.hold_output

    def export_between(place: Path) -> AbstractContextManager[None]:
        # The other process is through between the first look at the folder and its writing.
        monkeypatch.setattr(files, "hold_output", hold)
        tacos.export(data, "messages", target)
        return hold(place)

    monkeypatch.setattr(files, "hold_output", export_between)
    with pytest.raises(OutputError, match="exists: name another folder"):
        tacos.export(data, "trl", target)
    assert not (target / "sft.yaml").exists()
