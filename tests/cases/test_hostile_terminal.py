"""Sixty hostile samples on the terminal: no command prints what a terminal would obey."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.hostile import FILE_NAME, HOSTILE, select_hostile, write_hostile_file
from tests.small_world import run_command

import tacos

OBEYED = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tacos.Selection:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-none")
        return select_hostile(tmp_path_factory.mktemp("hostile"))


@pytest.mark.parametrize(
    "words",
    [
        ("inspect", "DATA"),
        ("inspect", "DATA", "--json"),
        ("runs", "show", "RUN"),
        ("runs", "show", "RUN", "--json"),
        ("runs", "list", "FOLDER"),
        ("tags", "RUN"),
        ("compare", "RUN", "-n", 70),
        ("analyse", "DATA", "RUN"),
        ("analyse", "DATA", "RUN", "--json"),
    ],
    ids=lambda words: " ".join(map(str, words)),
)
def test_no_command_prints_what_a_terminal_obeys(
    done: tacos.Selection, words: tuple[object, ...]
) -> None:
    assert done.run is not None
    data = next(done.run.parent.glob("*<img*.jsonl"))
    places = {"RUN": done.run, "FOLDER": done.run.parent, "DATA": data}
    code, output = run_command(*[places.get(str(w), w) for w in words])
    assert code == 0, output
    assert OBEYED.findall(output) == []
    if "--json" in words:
        json.loads(output)


def test_no_row_and_no_tag_is_explained_in_such_characters(
    done: tacos.Selection,
) -> None:
    for number, text in enumerate(HOSTILE.values()):
        row = f"{FILE_NAME}.jsonl:{number}"
        commands = [
            ("explain", done.run, row),
            ("explain", done.run, row, "--json"),
            ("tags", done.run, "--tag", text),
        ]
        for words in commands:
            _, output = run_command(*words)
            assert OBEYED.findall(output) == [], output
            assert words[0] == "tags" or FILE_NAME in output.replace("\n", "")


def test_cleaning_prints_none(tmp_path: Path) -> None:
    data = write_hostile_file(tmp_path)
    code, output = run_command("clean", data, "-o", tmp_path / "clean.jsonl")
    assert code == 0, output
    assert OBEYED.findall(output) == []


def test_no_error_prints_any(done: tacos.Selection, tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    text = "\x9b31m\u202e" + HOSTILE["colours"]
    row = {text: "an instruction", "output": text}
    data.write_text(f"{json.dumps(row)}\n" * 40)
    commands = [
        ("select", data, "-n", "3", "-o", tmp_path / "selected.jsonl"),
        ("explain", done.run, text),
        ("tags", done.run, "--tag", text),
        ("inspect", data, "--map", f"instruction={text}?"),
    ]
    for words in commands:
        ended = subprocess.run(
            [sys.executable, "-m", "tacos", *map(str, words)],
            capture_output=True,
            check=False,
        )
        printed = (ended.stdout + ended.stderr).decode("utf-8")
        assert ended.returncode != 0, printed
        assert "Traceback" not in printed
        assert OBEYED.findall(printed) == []
