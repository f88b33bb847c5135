"""What stands in people's data is shown as it is, and never obeyed."""

import json
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
