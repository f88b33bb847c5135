"""Every command that reads rows takes `--map` and `--preference`, and several files a pattern."""

import csv
import json
from pathlib import Path

import pytest
from tests.small_world import run_command

COLUMNS = ("--map", "instruction=Frage", "--map", "response=Antwort")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        with (tmp_path / f"part{number}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["Frage", "Antwort"])
            rows.writerow(
                [f"Wie heisst Fluss {number}?", f"Der Fluss heisst {number}."]
            )
    return tmp_path


def test_clean_reads_named_columns_of_all_files_of_a_pattern(folder: Path) -> None:
    code, output = run_command(
        "clean", "--glob", "part*.csv", *COLUMNS, "-o", "clean.csv"
    )
    assert code == 0, output
    with Path("clean.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["Frage"][-2] for row in rows] == ["0", "1"]


@pytest.mark.parametrize("data", ["part0.csv", "."])
def test_export_reads_named_columns_of_a_file_and_of_a_folder(
    folder: Path, data: str
) -> None:
    code, output = run_command(
        "export", data, *COLUMNS, "--for", "trl", "-o", "../trl", "--force"
    )
    assert code == 0, output
    written = (folder.parent / "trl" / "train.jsonl").read_text().splitlines()
    questions = [json.loads(line)["prompt"][0]["content"] for line in written]
    expected = ["Wie heisst Fluss 0?", "Wie heisst Fluss 1?"]
    assert questions == (expected if data == "." else expected[:1])


@pytest.mark.parametrize("answer", ["chosen", "rejected"])
def test_export_and_clean_take_either_answer_of_a_preference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.chdir(tmp_path)
    row = {
        "prompt": "Name a river.",
        "chosen": "The Rhine.",
        "rejected": "As an AI, no.",
    }
    Path("rows.jsonl").write_text(json.dumps(row) + "\n")
    code, output = run_command(
        "export", "rows.jsonl", "--preference", answer, "--for", "trl", "-o", "trl"
    )
    assert code == 0, output
    (written,) = Path("trl/train.jsonl").read_text().splitlines()
    assert json.loads(written)["completion"][0]["content"] == row[answer]
    code, output = run_command(
        "clean", "rows.jsonl", "--preference", answer, "-o", "kept.jsonl", "--json"
    )
    assert code == 0, output
    assert json.loads(output)["counts"]["refusals"] == (answer == "rejected")


@pytest.mark.parametrize("command", [("clean",), ("export", "--for", "trl")])
def test_a_mapping_of_an_unknown_part_is_refused(
    folder: Path, command: tuple[str, ...]
) -> None:
    code, output = run_command(
        *command, "part0.csv", "--map", "prompt=Frage", "-o", "out.jsonl"
    )
    assert code == 2
    assert "unknown part 'prompt'" in output
    assert sorted(path.name for path in folder.iterdir()) == ["part0.csv", "part1.csv"]
