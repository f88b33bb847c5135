"""A folder that is written whole or not at all."""

import os
from pathlib import Path

import pytest

from tacos.errors import OutputError
from tacos.store import folders


def write(target: Path, text: str) -> None:
    with folders.replace_folder(target, ("model.txt",)) as fresh:
        (fresh / "model.txt").write_text(text)


def test_a_newer_folder_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    for text in ("old", "new"):
        write(tmp_path / "模型 é", text)
    assert (tmp_path / "模型 é" / "model.txt").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["模型 é"]


def test_the_older_one_stays_where_the_newer_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "mine", "old")
    rename = Path.rename

    def failing(self: Path, to: Path) -> Path:
        if ".new-" in self.name:
            raise OSError(28, "No space left on device")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OutputError, match="No space left"):
        write(tmp_path / "mine", "new")
    assert (tmp_path / "mine" / "model.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_link_leads_to_the_newer_one(tmp_path: Path) -> None:
    write(tmp_path / "real", "old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "model.txt").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_what_a_killed_process_of_the_same_number_left_is_cleared_away(
    tmp_path: Path,
) -> None:
    (tmp_path / f".mine.new-{os.getpid()}").mkdir()
    write(tmp_path / "mine", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_standard_output_is_no_folder() -> None:
    with pytest.raises(OutputError, match="is standard output"):
        folders.check_folder(Path("-"), ())
