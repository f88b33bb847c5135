"""The summary fits the terminal, and leads with what matters."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from tests.small_world import MODELS, long_response, make_rows

import tacos
from tacos.cli.shared import console, outcome, summary
from tacos.cli.shared.summary_lead import RunFiles
from tacos.report.facts import RunSummary

PATHS = ("rows: ", "scores and tags: ", "report: ", "run: ", "next: ")
"""Lines that are not wrapped, so that what they name can be copied."""
FILES = RunFiles(Path("out.jsonl.run"), Path("out.jsonl"))
WORD = "averyveryverylongword" * 10


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tacos.Selection:
    """A finished run of a judge that compares."""
    folder = tmp_path_factory.mktemp("done")
    return tacos.select(
        make_rows(response=long_response),
        n=20,
        output=folder / "out.jsonl",
        **MODELS,
        settings={"normalise": {"alpha": 1}, "judge": {"mode": "comparative"}},
    )


def print_at(
    width: int,
    figures: RunSummary,
    monkeypatch: pytest.MonkeyPatch,
    files: RunFiles = FILES,
) -> list[str]:
    """The lines of a summary in a terminal of that width."""
    written = io.StringIO()
    terminal = console.CleanConsole(
        file=written, width=width, highlight=False, markup=False, emoji=False
    )
    monkeypatch.setattr(console, "out", terminal)
    inputs = [f"folder/{name}.jsonl" for name in "abcdef"]
    summary.print_summary(figures, "5%", inputs, files, row_id="a.jsonl:3", waited=2.0)
    return written.getvalue().splitlines()


def make_verbose(figures: RunSummary) -> RunSummary:
    """The same run with everything long that can be long."""
    return replace(
        figures,
        models={"tag": WORD, "judge": f"a model with many words {WORD}"},
        rejects={f"verdicts/{WORD}": {WORD: 12_345_678, "another reason" * 9: 3}},
        warnings=["words " * 60, WORD],
        judges={WORD: figures.diagnostics, "b": figures.diagnostics},
        templates={WORD: 12_345},
        tagged_by={},
        spending={
            "judge": [
                {
                    "model": WORD,
                    "way": "online",
                    "requests": 12_345_678,
                    "prompt_tokens": 9_999_999_999,
                    "answer_tokens": 9_999_999_999,
                    "usd": 12_345.6789,
                }
            ]
        },
    )


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("is_verbose", [False, True])
def test_every_line_fits_the_terminal(
    done: tacos.Selection,
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    is_verbose: bool,
) -> None:
    figures = make_verbose(done.summary) if is_verbose else done.summary
    lines = print_at(width, figures, monkeypatch)
    too_wide = [
        line for line in lines if len(line) > width and not line.startswith(PATHS)
    ]
    assert too_wide == []


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_word_of_a_head_is_broken(
    done: tacos.Selection, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    lines = print_at(width, done.summary, monkeypatch)
    start = lines.index(
        next(line for line in lines if line.startswith(summary.FIGURES_TITLE))
    )
    words = " ".join(lines[start:]).split()
    assert {"selection", "covered", "longest", "median", "length"} <= set(words)


def test_it_leads_with_request_result_verdict_files_and_next_command(
    done: tacos.Selection, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = print_at(80, done.summary, monkeypatch)
    heads = ["asked ", "came out ", "verdict ", "rows: ", "run: ", "next: ", "what the"]
    places = [
        next(place for place, line in enumerate(lines) if line.startswith(head))
        for head in heads
    ]
    assert places == sorted(places)
    assert lines[0].startswith("asked    5% of 160 rows in a.jsonl, b.jsonl, c.jsonl")
    text = " ".join(" ".join(lines[: places[3]]).split())
    assert "20 rows; " in text
    assert done.summary.verdict["sentence"] in text


def test_commands_that_it_names_can_be_run(
    done: tacos.Selection, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path("a folder/x'y.run")
    lines = print_at(80, done.summary, monkeypatch, RunFiles(run))
    commands = [line for line in lines if line.startswith("next: ")]
    assert commands[0] == """next: tacos explain 'a folder/x'"'"'y.run' a.jsonl:3"""


def test_what_a_terminal_would_obey_is_shown_as_a_sign(
    done: tacos.Selection, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = replace(
        done.summary,
        verdict={**done.summary.verdict, "sentence": "a\x1b[31mred\u202e"},
        rejects={"x\x1b[2J": {"\x07bell": 1}},
    )
    text = "\n".join(print_at(80, hostile, monkeypatch))
    assert not {"\x1b", "\x07", "\u202e"} & set(text)


def test_a_run_that_was_stopped_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = tacos.select(
        make_rows(40, long_response), n=5, run=tmp_path / "run", **MODELS
    )
    artifacts = {
        name: stopped.artifacts[name]
        for name in list(stopped.artifacts)
        if name != "selection"
    }
    early = replace(stopped, artifacts=artifacts)
    lines = print_at(80, early.summary, monkeypatch)
    assert any("without --until" in line for line in lines)


def test_a_selection_made_again_says_its_own_size(
    done: tacos.Selection, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(console, "out", console.CleanConsole(file=written, width=80))
    outcome.print_run(tacos.reselect(done, n=7))
    assert written.getvalue().startswith("asked    7 of 160 rows")
