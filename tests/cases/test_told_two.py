"""What a newcomer read and could not use: two numbers for one grade, a setting without an effect, a
finding in place of a row, another selection that could not be asked about, "1 rows".
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from scripts import docs_reference
from tests.small_world import MODELS, long_response, make_rows, run_command

import tacos
from tacos.cli.shared import progress
from tacos.errors import RunError

ROOT = Path(__file__).parents[2]
TOOL_ROW = {
    "messages": [
        {"role": "user", "content": "How warm is the oven?"},
        {"role": "assistant", "content": "I will look."},
        {"role": "tool", "content": "200"},
        {"role": "assistant", "content": "200 degrees.", "reasoning_content": "Easy."},
    ]
}
FRAMED = [
    {
        "instruction": "Below is an instruction that describes a task. Write a response that "
        f"appropriately completes the request.\n\n### Instruction:\nName {k} birds."
        "\n\n### Response:",
        "output": f"Here are {k} birds.",
    }
    for k in range(30)
]


def write_rows(file: Path, rows: list[Any]) -> Path:
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tacos.Selection:
    folder = tmp_path_factory.mktemp("two")
    rows = make_rows(40, long_response)
    data = write_rows(folder / "data.jsonl", [*rows, rows[3]])
    output = folder / "selected.jsonl"
    settings = {"shortlist": {"rule": "stratified"}}
    return tacos.select(data, 10, output=output, settings=settings, **MODELS)


def test_a_shortlist_without_effect_says_so(done: tacos.Selection) -> None:
    """shortlist.rule=stratified did nothing and said nothing: "left out: none"."""
    assert done.summary.shortlist_note == (
        "the judge grades every row, so shortlist.rule=stratified has no effect"
    )
    _, printed = run_command("runs", "show", done.run)
    assert "has no effect" in " ".join(printed.replace("│", " ").split())


def test_what_a_rule_found_is_not_called_the_row(done: tacos.Selection) -> None:
    """explain of a duplicate: `raw` was "the same as data.jsonl:3"."""
    trace = done.explain("data.jsonl:40")
    assert trace["found"] == "the same as data.jsonl:3"
    assert "raw" not in trace


def test_another_selection_is_explained_by_its_file(done: tacos.Selection) -> None:
    """`explain q.jsonl ID` named a folder that does not exist."""
    assert done.output is not None
    other = done.output.with_name("q.jsonl")
    again = tacos.reselect(done.run, 5, strategy="longest", output=other)
    taken = again.table["id"].to_list()
    left_out = next(id_ for id_ in done.table["id"] if id_ not in taken)
    assert tacos.explain(done.output, left_out)["verdict"].startswith("kept, rank")
    assert "strategy longest" in tacos.explain(other, left_out)["verdict"]
    assert tacos.explain(other, taken[0]) == again.explain(taken[0])
    other.write_text(other.read_text() + "{}\n")
    with pytest.raises(RunError, match="name the folder of the run"):
        tacos.explain(other, left_out)


def test_runs_alone_lists(
    done: tacos.Selection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tacos runs` printed usage, rc 2; `tacos ledger` worked."""
    monkeypatch.chdir(done.run.parent)
    code, printed = run_command("runs")
    assert code == 0
    assert done.run.name in printed


def test_tools_are_shown_as_tools(tmp_path: Path) -> None:
    """inspect: `system | Tool: {"t": 18}`, and turns without a tool."""
    found = tacos.inspect(write_rows(tmp_path / "a.jsonl", [TOOL_ROW]))
    turns = [(turn["role"], turn["text"]) for turn in found.examples[0]["turns"]]
    assert turns[2] == ("tool", "200")
    assert found.profile.roles == {"user": 1, "assistant": 2, "tool": 1}


def test_one_row_is_a_row(tmp_path: Path) -> None:
    """ "would use 1 rows"."""
    _, printed = run_command("inspect", write_rows(tmp_path / "a.jsonl", [TOOL_ROW]))
    assert "would use 1 row (" in printed
    assert "1 rows" not in printed


def test_reasoning_that_is_not_written_is_counted(tmp_path: Path) -> None:
    """export dropped reasoning_content without a word."""
    data = write_rows(tmp_path / "a.jsonl", [TOOL_ROW, TOOL_ROW | {"id": 2}])
    done = tacos.export(data, "trl", tmp_path / "train")
    assert any("reasoning_content of 2 answers" in text for text in done.cautions)


def test_a_template_that_stays_is_said(tmp_path: Path) -> None:
    """inspect showed the rows without the template, export wrote it without a word."""
    data = write_rows(tmp_path / "a.jsonl", FRAMED)
    _, printed = run_command("inspect", data)
    assert "kept in the rows" in " ".join(printed.replace("│", " ").split())
    done = tacos.export(data, "alpaca", tmp_path / "train")
    assert any("questions of 30 rows" in text for text in done.cautions)


def test_a_short_stage_has_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Seven lines "samples: ..." never got an end."""
    with progress.show_progress(show=True) as lines:
        lines.start("samples", None)
        lines.finish("samples", 1, skipped=False)
    assert capsys.readouterr().err == "samples: 1 row\n"


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md", "docs/index.md"])
def test_links_of_a_page_lead_to_files_of_the_repository(page: str) -> None:
    """guide.md linked background/judge.md, which only the built site has."""
    file = ROOT / page
    links = re.findall(r"\]\((?!https?:)([^()#\s]+)", file.read_text("utf-8"))
    assert links
    assert [link for link in links if not (file.parent / link).exists()] == []


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_first_pages_link_every_how_to_page(page: str) -> None:
    """clean.md was linked from no page."""
    text = (ROOT / page).read_text("utf-8")
    names = [path.name for path in (ROOT / "docs" / "how-to").glob("*.md")]
    assert [name for name in names if f"how-to/{name})" not in text] == []


def test_links_to_files_lead_to_pages_of_the_site() -> None:
    """The built site shows the judge's card as a page of its own."""

    class Page:
        class file:
            src_uri = "guide.md"

    text = "[card](../src/tacos/models/data/judge.md) [a](how-to/data.md)"
    shown = docs_reference.on_page_markdown(text, Page())
    assert shown == "[card](background/judge.md) [a](how-to/data.md)"
