"""What is asked before something is sent, what a failed run leaves behind, and outputs that are
replaced: issue 13, A3 and the rest of issue 12.

Consent is asked where something may be sent, and nowhere else: `--until` a stage that asks nobody,
and runs whose every question was answered by files, go through.
"""

import json
import os
import pty
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.experiment_world import SHORT, place, selected
from tests.server.fault_server import Behaviour, FaultServer
from typer.testing import CliRunner

from tacos.cli import app, run_app
from tacos.errors import ConfigError, TacosError, TrainingError

__all__ = ["place", "selected"]

URL = "https://api.example.com/v1"
FAR = ("--llm", URL, "--model", "far-1")
FAR_JUDGE = ("--set", f"llm.base_url={URL}", "--set", "judge.model=far-1")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No endpoint of the machine that runs the tests."""
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A few rows, all different."""
    path = tmp_path / "rows.jsonl"
    rows = [
        {"instruction": f"Draw {n} boats, size {n}.", "output": f"{n} boats are drawn."}
        for n in range(1, 13)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def invoke(*words: object) -> tuple[str, TacosError | None]:
    """What a command printed, and the error it ended with."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, TacosError):
        raise done.exception
    return done.output, done.exception


def select(data: Path, *more: object) -> tuple[str, TacosError | None]:
    """`tacos select` with run, output and ledger beside the data."""
    folder = data.parent
    return invoke(
        *("select", data, "-n", 4, "-o", folder / "out.jsonl"),
        *("--ledger", folder / "ledger.sqlite"),
        *more,
    )


@pytest.mark.parametrize(
    "endpoint, stage", [(FAR, "ingest"), (FAR_JUDGE, "tag"), (FAR_JUDGE, "shortlist")]
)
def test_a_stage_that_asks_nobody_needs_no_consent(
    data: Path, endpoint: tuple[str, ...], stage: str
) -> None:
    _, error = select(data, *endpoint, "--until", stage)
    assert error is None
    _, error = select(data, *endpoint)
    assert isinstance(error, ConfigError)
    assert "pass --yes to allow sending data to api.example.com" in str(error)


def test_a_stage_that_asks_still_needs_consent(data: Path) -> None:
    printed, error = select(data, *FAR, "--until", "tag")
    assert isinstance(error, ConfigError)
    assert "tag: every instruction" in printed
    assert "judge:" not in printed


def test_a_run_that_files_have_answered_needs_no_consent(data: Path) -> None:
    folder = data.parent
    run = folder / "out.jsonl.run"
    ledger = ("--ledger", folder / "ledger.sqlite")
    model = FaultServer()  # answers without a network
    select(data, *FAR, "--until", "ingest")
    _, error = select(data, *FAR)
    assert "pass --yes" in str(error)
    for _ in range(20):
        output = folder / "requests.jsonl"
        printed, _ = invoke("requests", "export", run, "-o", output, *ledger)
        if "no requests left" in printed:
            break
        replies = []
        for line in output.read_text().splitlines():
            request = json.loads(line)
            response = {"status_code": 200, "body": model.answer(request["body"])}
            replies.append({"custom_id": request["custom_id"], "response": response})
        (folder / "replies.jsonl").write_text("\n".join(map(json.dumps, replies)))
        invoke("requests", "import", run, folder / "replies.jsonl", *ledger)
    printed, error = select(data, *FAR)
    assert error is None
    assert "selected" in printed
    printed, error = invoke("requests", "batch", run, *ledger)
    assert error is None
    assert "every request is answered" in printed
    settings = json.loads((run / "run.json").read_text())["settings"]
    assert settings["llm"]["offline"] is False


def test_what_a_failed_run_leaves_is_said(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = data.parent / "out.jsonl"
    words = ["tacos", "select", str(data), "-n", "400", "-o", str(output)]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as end:
        run_app(time.monotonic())
    assert end.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "only 12 usable rows" in line
    assert f". What was finished is kept in {output}.run" in line


def test_a_failed_run_without_a_finished_stage_leaves_nothing(data: Path) -> None:
    data.write_text("no row\n")
    _, error = select(data)
    assert error is not None
    assert not (data.parent / "out.jsonl.run").exists()
    assert not getattr(error, "__notes__", [])


def test_the_summary_says_that_an_output_was_replaced(data: Path) -> None:
    place = "took the place of an earlier file"
    assert place not in select(data)[0]
    assert place not in select(data)[0]  # the same content
    assert place in select(data, "-n", 3)[0]
    printed, _ = select(data, "-n", 4, "--json")
    assert json.loads(printed)["replaced"] is True


def test_an_import_names_the_most_frequent_reasons(data: Path) -> None:
    folder = data.parent
    run = folder / "out.jsonl.run"
    ledger = ("--ledger", folder / "ledger.sqlite")
    select(data, *FAR, "--until", "ingest")
    output = folder / "requests.jsonl"
    invoke("requests", "export", run, "-o", output, *ledger)
    expired = {"code": "batch_expired", "message": "Out of time."}
    lines = []
    for line in output.read_text().splitlines():
        key = json.loads(line)["custom_id"]
        lines.append({"custom_id": key, "response": None, "error": expired})
    (folder / "replies.jsonl").write_text("\n".join(map(json.dumps, lines)))
    printed, error = invoke(
        "requests", "import", run, folder / "replies.jsonl", *ledger
    )
    assert f"errors: {len(lines)} x batch_expired: Out of time." in printed
    assert "no reply to any open request" in str(error)


def test_a_quote_without_a_key_says_so_first(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: "every instruction will be sent ... pass --yes", and no word of the key."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    ledger = ("--ledger", data.parent / "ledger.sqlite")
    printed, error = invoke("quote", data, "-n", 4, "--model", "gpt-4o-mini", *ledger)
    assert isinstance(error, ConfigError)
    assert str(error).startswith("no key is sent to https://api.openai.com/v1")
    assert "export OPENAI_API_KEY=" in str(error)
    assert "will be sent" not in printed


def test_a_quote_says_what_the_quote_sends(data: Path) -> None:
    ledger = ("--ledger", data.parent / "ledger.sqlite")
    printed, error = invoke("quote", data, "-n", 4, *FAR, *ledger)
    assert "pass --yes" in str(error)
    assert "tag: at most 20 questions of instructions" in printed
    assert "judge: at most 20 questions of pairs of" in printed
    assert "every" not in printed
    more = ("--pilot", 5, "--quality", "--set", "tag.per_request=2")
    printed, _ = invoke("quote", data, "-n", 4, *FAR, *ledger, *more)
    assert "tag: at most 25 questions" in printed


def test_commands_whose_questions_are_all_answered_ask_nothing(data: Path) -> None:
    """Before: refine, check-tags, calibrate, analyse and quote asked for consent to send nothing."""
    folder = data.parent
    run = folder / "out.jsonl.run"
    pairs = folder / "pairs.jsonl"
    labelled = [
        {
            "instruction": f"Draw {n} boats.",
            "response_a": f"{n} boats.",
            "response_b": "No boat.",
            "preferred": "a",
        }
        for n in range(4)
    ]
    pairs.write_text("\n".join(map(json.dumps, labelled)))
    assert select(data)[1] is None
    before = shutil.copytree(run, folder / "before")
    cases = ("n_precision", "n_consistency", "n_planted")
    few_cases = [word for name in cases for word in ("--set", f"check.{name}=2")]
    commands: list[tuple[object, ...]] = [
        ("refine", run),
        ("check-tags", run, *few_cases),
        ("calibrate", pairs),
        ("analyse", data),
        ("quote", data, "-n", 4),
    ]
    ledger = folder / "ledger.sqlite"
    for command in commands:
        with FaultServer(Behaviour(model="far-1")) as server:
            near = (
                "--llm",
                server.url,
                "--model",
                "far-1",
                "--ledger",
                ledger,
                "--yes",
            )
            _, error = invoke(*command, *near)
            assert error is None, (command, error)
            assert server.asked.total() > 0
        if (run / "run.json").exists():
            # As before the command: what it made would answer for the ledger.
            shutil.rmtree(run)
            shutil.copytree(before, run)
        with sqlite3.connect(ledger) as database:
            database.execute("UPDATE replies SET endpoint = ?", [URL])
        printed, error = invoke(*command, *FAR, "--ledger", ledger)
        assert error is None, (command, error)
        assert "will be sent" not in printed


def answer_at_terminal(words: list[str], answer: bytes) -> str:
    """What a command prints to a person who answers its question."""
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tacos", *words],
        stdin=end,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    os.write(terminal, answer)
    said, _ = process.communicate(timeout=120)
    os.close(terminal)
    os.close(end)
    return said


def test_an_experiment_asks_once(
    selected: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    # Nothing is trained, and nobody judges.
    monkeypatch.setenv("TACOS_FAKE", "fail")
    words = ["prove", str(selected), "--recipe", "tiny", "--model", "base", "-o", "out"]
    words += ["--held-out", "held_out.jsonl", "--questions", "wonders.jsonl"]
    words += ["--seeds", "2", "--judge", "far-1", "--llm", URL]
    for arm in SHORT["without"]:
        words += ["--without", arm]
    _, error = invoke(*words)
    assert "pass --yes to allow sending data to api.example.com" in str(error)
    said = answer_at_terminal(words, b"y\n")
    assert "duel: every question of the evaluation with both models' answers" in said
    assert "did not return a loss" in said
    # It goes on without a question; another host is asked about.
    printed, error = invoke(*words)
    assert isinstance(error, TrainingError)
    assert "will be sent" not in printed
    _, error = invoke(*words, "--llm", "https://other.example.com/v1")
    assert "pass --yes to allow sending data to other.example.com" in str(error)


def test_an_experiment_in_a_folder_of_others_asks_nothing(
    selected: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    Path("out").mkdir()
    Path("out/thesis.tex").write_text("mine")
    words = ["prove", selected, "--recipe", "tiny", "--model", "base", "-o", "out"]
    words += ["--questions", "wonders.jsonl", "--judge", "far-1", "--llm", URL]
    printed, error = invoke(*words)
    assert "thesis.tex" in str(error)
    assert "will be sent" not in printed
