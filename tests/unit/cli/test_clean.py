"""What `tacos clean` prints."""

import json
from pathlib import Path

import pytest
from tests.small_world import run_command

ROWS = [{"q": {"t": f"Name {i} birds."}, "a": f"Here are {i}."} for i in "23"]


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    return path


def test_where_no_row_is_left_the_way_on_is_named(nested: Path, tmp_path: Path) -> None:
    """An empty file was written without a word."""
    output = tmp_path / "clean.jsonl"
    _, printed = run_command("clean", nested, "-o", output)
    assert "No row is left. tacos inspect shows how the rows were read" in printed
    mapped = ["--map", "instruction=q.t", "--map", "response=a"]
    _, printed = run_command("clean", nested, "-o", output, *mapped)
    assert "No row is left" not in printed


def test_inspect_names_the_same_way_where_no_row_is_usable(nested: Path) -> None:
    _, printed = run_command("inspect", nested)
    assert "--map instruction=FIELD --map response=FIELD" in " ".join(printed.split())
