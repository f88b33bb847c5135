"""What stands in people's data is shown as it is, and never obeyed."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.cli.test_select import tacos

from tacos.cli.shared import console


def shown(cell: str) -> str:
    """What a cell of a table looks like."""
    with console.out.capture() as capture:
        console.out.print(console.build_table("", [("name", cell)]))
    return capture.get()


def test_brackets_and_colons_are_no_markup() -> None:
    assert "say [/INST] in [red] :star:" in shown("say [/INST] in [red] :star:")


def test_control_characters_and_changes_of_direction_are_signs() -> None:
    assert "nul � escape �[31m right to left �" in shown(
        "nul \0 escape \x1b[31m right to left \u202e"
    )
    assert "one" in shown("one\ntwo").splitlines()[1]


def test_rows_and_tags_with_brackets_can_be_selected_and_explained(
    tmp_path: Path,
) -> None:
    data, out = tmp_path / "[data].jsonl", tmp_path / "out.jsonl"
    texts = [f"[INST] question {k} [/INST] \x1b[2J" for k in range(12)]
    rows = [
        {
            "instruction": text,
            "output": f"an answer to {text}",
            "tags": ["[/b]", f"t{k % 3}"],
        }
        for k, text in enumerate(texts)
    ]
    data.write_text("\n".join(map(json.dumps, rows)))
    code, printed = tacos(
        "select",
        data,
        "-n",
        3,
        "-o",
        out,
        "--set",
        "ingest.tags=tags",
        "--set",
        "normalise.alpha=1",
    )
    assert code == 0, printed
    code, printed = tacos("explain", f"{out}.run", "[data].jsonl:0")
    assert code == 0, printed
    assert "[INST] question 0 [/INST]" in printed
    assert "\x1b" not in printed


# A log, which is no terminal


def test_a_log_has_a_plain_line_for_each_stage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(console, "SHORTEST_TOLD", 0.01)
    with console.show_progress(show=True) as lines:
        assert isinstance(lines, console.ProgressLines)
        lines.start("judge", 3_000)
        lines._begin.join()
        now[0] = 110.0
        lines.advance("judge", 500)
        now[0] = 131.0
        lines.advance("judge", 700)
        now[0] = 144.0
        lines.finish("judge", 2_990, skipped=False)
        lines.finish("rate", 2_990, skipped=True)
        lines.announce("waiting 60 s: the server's limit of requests")
    assert capsys.readouterr().err.splitlines() == [
        "judge: 3,000 rows ...",
        "judge: 1,200 of 3,000 rows, 31 s ...",
        "judge: 2,990 rows in 44 s",
        "waiting 60 s: the server's limit of requests",
    ]


def test_a_run_that_is_logged_names_its_stages_on_standard_error(
    tmp_path: Path,
) -> None:
    rows = [{"instruction": f"Add {k}.", "output": f"{k}"} for k in range(20)]
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    command = ["select", str(data), "-n", "3", "-o", str(tmp_path / "out.jsonl")]
    for options, is_told in (([], True), (["--json"], False)):
        done = subprocess.run(
            [sys.executable, "-m", "tacos", *command, *options, "--seed", "2"],
            capture_output=True,
            text=True,
            check=True,
        )
        # One line where it takes under a second, else two.
        assert (
            bool(re.search(r"^tags: 20 rows( in \d+ s)?$", done.stderr, re.MULTILINE))
            == is_told
        )
        assert "\x1b" not in done.stderr
        assert "\r" not in done.stderr
        assert "rows ..." not in done.stdout
        (tmp_path / "out.jsonl").unlink()
        shutil.rmtree(tmp_path / "out.jsonl.run")


def test_a_figure_table_prints_no_character_that_a_terminal_obeys(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = console.build_figure_table("a\x1b[2Jtitle", ["na\x9bme", "rows"])
    table.add_row("\x1b]0;title\a\u202e", "1")
    console.out.print(table)
    printed = capsys.readouterr().out
    assert "a\N{REPLACEMENT CHARACTER}[2Jtitle" in printed
    assert not set(printed) & set("\x1b\x9b\a\u202e")


def test_printed_json_means_the_same_and_is_not_obeyed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    value = {"\x9bkey": "\u202e \x1b \u2028 \x7f ü"}
    console.print_json(value)
    printed = capsys.readouterr().out
    assert json.loads(printed) == value
    assert not set(printed) & set("\x1b\x9b\x7f\u202e\u2028")
