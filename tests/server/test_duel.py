"""`tacos duel` against a real server, healthy or not."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.server.answering import score
from tests.server.fault_server import Behaviour, FaultServer
from tests.server.support import environment
from typer.testing import CliRunner, Result

import tacos
from tacos import config
from tacos.cli import app
from tacos.errors import (
    ConfigError,
    FailureRateError,
    IncompleteError,
    InputError,
    RunError,
)
from tacos.formats.answer_files import write_answers
from tacos.formats.question_sets import read_questions
from tacos.methods.evaluating.questions import AnsweredQuestion, Question
from tacos.workflows import select

__all__ = ["environment"]

QUESTIONS = [
    Question(str(number), (f"{name}: what is {number} and {number}?",), set=name)
    for name in ("koala", "vicuna")
    for number in range(30)
]


class PlaceLover(FaultServer):
    """A server whose judge prefers what stands first."""

    def envelope(self, body: dict[str, Any], fault: str) -> dict[str, Any]:
        reply = super().envelope(body, fault)
        said = {"analysis": "A!", "score_a": 9, "score_b": 2}
        reply["choices"][0]["message"]["content"] = json.dumps(said)
        return reply


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(Behaviour()) as running:
        yield running


def say(question: Question, model: str) -> tuple[str, ...]:
    """Every tenth question is answered alike by all models."""
    if question.question_id.endswith("7"):
        return ("I do not know.",) * len(question.turns)
    return tuple(f"{model} says {turn}" for turn in question.turns)


def write_model(
    folder: Path,
    model: str,
    questions: list[Question] = QUESTIONS,
    name: str = "",
    **generation: object,
) -> Path:
    """The answers of a model in a file."""
    answers = [
        AnsweredQuestion(
            question_id=question.question_id,
            turns=question.turns,
            answers=say(question, model),
            finish_reasons=("stop",) * len(question.turns),
            n_tokens=(9,) * len(question.turns),
            model=model,
            category=question.category,
            set=question.set,
            generation={"temperature": 0.7, **generation},
        )
        for question in questions
    ]
    return write_answers(answers, folder / f"{name or model}.jsonl")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_model(tmp_path, "ours"), write_model(tmp_path, "theirs")


def settings(server: FaultServer, *sets: str) -> config.Settings:
    llm = {"base_url": server.url, "model": "tiny-1", "retries": 2, "retry_wait": 0.01}
    known = {name: value for name, value in llm.items() if name != "retry_wait"}
    return config.load_settings("robust", None, sets, llm=known)


def run_command(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def expect_winner(question: Question) -> str:
    """What the server's judge thinks, which cannot see the order."""
    (text,) = question.turns
    ours, theirs = (
        score(text, say(question, model)[0]) // 11 for model in ("ours", "theirs")
    )
    if ours == theirs:
        return "tie"
    return "win" if ours > theirs else "lose"


def test_outcomes_are_those_of_the_judge_and_written_with_its_words(
    server: FaultServer, files: tuple[Path, Path], tmp_path: Path
) -> None:
    output = tmp_path / "verdicts.jsonl"
    found = tacos.duel(
        *files, settings(server), output=output, ledger=tmp_path / "ledger.sqlite"
    )
    (summary,) = found.summaries
    expected = [expect_winner(question) for question in QUESTIONS]
    for outcome in ("win", "tie", "lose"):
        assert summary.pooled.result.outcomes[outcome] == expected.count(outcome)
    assert summary.pooled.result.outcomes["flip"] == 0
    assert {name: figures.result.n for name, figures in summary.sets.items()} == {
        "koala": 30,
        "vicuna": 30,
    }
    # What the server says that it is, not what was asked for.
    assert summary.judges == ("tiny-1-2026-01-01",)
    # The same to the letter: nobody is asked.
    assert summary.pooled.n_identical == 6
    assert server.answered.total() == 2 * 54
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["question_id"] for row in rows] == [q.question_id for q in QUESTIONS]
    assert rows[0]["g1_judgment"] == "A and B differ."
    assert rows[7]["identical"] is True


def test_verdicts_are_counted_again_as_they_were_and_asking_again_costs_nothing(
    server: FaultServer, files: tuple[Path, Path], tmp_path: Path
) -> None:
    output = tmp_path / "verdicts.jsonl"
    ledger = tmp_path / "ledger.sqlite"
    first = tacos.duel(*files, settings(server), output=output, ledger=ledger)
    n_answered = server.answered.total()
    again = tacos.duel(*files, settings(server), ledger=ledger)
    assert server.answered.total() == n_answered
    assert again.summaries == first.summaries
    recounted = tacos.recount_duels(output)
    assert recounted.summaries == first.summaries
    with pytest.raises(InputError, match="judged in two files"):
        tacos.recount_duels([output, output])


def test_swapped_files_give_the_mirrored_result(
    server: FaultServer, files: tuple[Path, Path], tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.sqlite"
    ours, theirs = files
    (one,) = tacos.duel(ours, theirs, settings(server), ledger=ledger).summaries
    n_answered = server.answered.total()
    (other,) = tacos.duel(theirs, ours, settings(server), ledger=ledger).summaries
    # The same questions in the same two orders: all are in the ledger.
    assert server.answered.total() == n_answered
    assert one.pooled.result.outcomes["win"] == other.pooled.result.outcomes["lose"]
    assert one.pooled.result.score is not None
    assert other.pooled.result.score is not None
    assert one.pooled.result.score.mean == pytest.approx(
        1 - other.pooled.result.score.mean
    )


def test_a_judge_that_loves_the_first_place_flips_and_nobody_wins(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    with PlaceLover(Behaviour()) as server:
        found = tacos.duel(*files, settings(server), ledger=tmp_path / "l.sqlite")
    (summary,) = found.summaries
    assert summary.pooled.result.outcomes == {"win": 0, "tie": 6, "flip": 54, "lose": 0}
    assert summary.pooled.result.score is not None
    assert summary.pooled.result.score.mean == 0.5
    assert found.counts["flips"] == 54


def test_faults_of_the_server_that_heal_change_nothing(
    server: FaultServer, files: tuple[Path, Path], tmp_path: Path
) -> None:
    healthy = tacos.duel(*files, settings(server), ledger=tmp_path / "a.sqlite")
    faults = {
        "500": 0.1,
        "reset": 0.1,
        "invalid-json": 0.1,
        "empty": 0.05,
        "think": 0.1,
    }
    with FaultServer(Behaviour(faults)) as ill:
        found = tacos.duel(*files, settings(ill), ledger=tmp_path / "b.sqlite")
        assert ill.met.total() > 10
    assert found.summaries == healthy.summaries


def test_unreadable_verdicts_are_missing_until_they_are_allowed_and_then_shown(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.sqlite"
    output = tmp_path / "verdicts.jsonl"
    with FaultServer(Behaviour({"wrong-schema!": 0.06})) as server:
        with pytest.raises(IncompleteError, match="without a readable verdict"):
            tacos.duel(*files, settings(server), output=output, ledger=ledger)
        # Nothing is lost: what was judged is written, and paid for once.
        written = [json.loads(line) for line in output.read_text().splitlines()]
        n_missing = sum(
            "error" in (row["g1_winner"], row["g2_winner"]) for row in written
        )
        assert 0 < n_missing < 12
        found = tacos.duel(*files, settings(server), allow_missing=True, ledger=ledger)
        (summary,) = found.summaries
        assert summary.pooled.result.n == len(QUESTIONS) - n_missing
        assert len(summary.missing) == summary.pooled.result.n_missing == n_missing
        arguments = ("--llm", server.url, "--judge", "tiny-1", "--ledger", ledger)
        refused = run_command("duel", *files, *arguments)
        assert refused.exit_code != 0
        shown = run_command("duel", *files, *arguments, "--allow-missing")
        assert shown.exit_code == 0, shown.output
        assert f"{n_missing:,} missing" in shown.output
        # The judge is well again: only what is missing is asked.
        server.behaviour.faults = {}
        n_answered = server.answered.total()
        healed = tacos.duel(*files, settings(server), ledger=ledger)
        assert healed.counts["missing"] == 0
        assert n_missing <= server.answered.total() - n_answered <= 2 * n_missing


def test_refusals_are_missing_until_they_are_asked_anew(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    """A refusal is an answer, which no command asks for again by itself."""
    ledger = tmp_path / "ledger.sqlite"
    with FaultServer(Behaviour({"refusal": 0.06})) as server:
        complaint = r"x refused: .*llm.ask_refused=true, or use a judge that does not"
        with pytest.raises(IncompleteError, match=complaint):
            tacos.duel(*files, settings(server), ledger=ledger)
        server.behaviour.faults = {}
        n_answered = server.answered.total()
        with pytest.raises(IncompleteError, match="x refused"):
            tacos.duel(*files, settings(server), ledger=ledger)
        assert server.answered.total() == n_answered
        anew = settings(server, "llm.ask_refused=true")
        healed = tacos.duel(*files, anew, ledger=ledger)
        assert healed.counts["missing"] == 0
        n_refused = server.answered.total() - n_answered
        assert 0 < n_refused < 12
        # Now they are answers: nothing is asked, with the setting or without.
        for each in (anew, settings(server)):
            again = tacos.duel(*files, each, ledger=ledger)
            assert again.summaries == healed.summaries
        assert server.answered.total() == n_answered + n_refused


def test_a_judge_that_answers_hardly_anything_stops_early(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    """Fewer questions are on their way than there are: nothing is left to stop where all are."""
    with (
        FaultServer(Behaviour({"wrong-schema!": 0.6})) as server,
        pytest.raises(FailureRateError, match="stage duel: stopped early"),
    ):
        tacos.duel(
            *files,
            settings(server, "llm.concurrency=16"),
            ledger=tmp_path / "ledger.sqlite",
        )


def test_a_judge_that_selected_is_marked_circular(
    server: FaultServer, files: tuple[Path, Path], tmp_path: Path
) -> None:
    rows = [
        {"instruction": f"Tell me about the number {i}.", "output": f"It is {i}."}
        for i in range(40)
    ]
    chosen = config.load_settings(
        "robust",
        None,
        ["judge.model=llm", "select.n=5"],
        llm={"base_url": server.url, "model": "tiny-1", "retries": 2},
    )
    run = tmp_path / "run"
    ledger = tmp_path / "ledger.sqlite"
    select.run_selection(rows, chosen, select.OutputTargets(run=run), ledger=ledger)
    common = ("duel", *files, "--llm", server.url, "--ledger", ledger)
    marked = run_command(*common, "--judge", "tiny-1", "--selected-by", run)
    assert marked.exit_code == 0, marked.output
    assert "CIRCULAR: tiny-1 judges these answers" in " ".join(marked.output.split())
    # Another judge is not; and without the run nobody knows.
    plain = run_command(*common, "--judge", "tiny-1")
    assert "CIRCULAR" not in plain.output
    assert "--selected-by RUN tells" in " ".join(plain.output.split())
    other = config.load_settings("robust", None, ["select.n=5"])
    embedded = tmp_path / "embedded"
    select.run_selection(rows, other, select.OutputTargets(run=embedded), ledger=ledger)
    found = tacos.duel(*files, settings(server), selected_by=embedded, ledger=ledger)
    assert found.circular == ()


def test_a_killed_duel_goes_on_where_it_was_and_pays_nothing_twice(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.sqlite"
    output = tmp_path / "verdicts.jsonl"
    with FaultServer(Behaviour(latency=0.05)) as server:
        options = [
            *("--llm", server.url, "--judge", "tiny-1", "--ledger", str(ledger)),
            *("--set", "llm.concurrency=4", "-o", str(output)),
        ]
        command = [sys.executable, "-m", "tacos", "duel", *map(str, files), *options]
        for n_before_kill in (20, 60):
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            while server.answered.total() < n_before_kill and process.poll() is None:
                time.sleep(0.02)
            assert process.poll() is None, "it ended before it was killed"
            process.kill()
            process.wait()
            assert not output.exists()
        subprocess.run(command, check=True, capture_output=True)
        # All but what was on its way when it was killed, or waited for its write, is kept.
        assert 108 <= server.answered.total() <= 108 + 2 * 8
        calm = tacos.duel(*files, settings(server), ledger=tmp_path / "other.sqlite")
    assert tacos.recount_duels(output).summaries == calm.summaries


def test_a_model_that_judges_itself_is_marked(
    server: FaultServer, tmp_path: Path
) -> None:
    files = (write_model(tmp_path, "tiny-1"), write_model(tmp_path, "theirs"))
    found = tacos.duel(*files, settings(server), ledger=tmp_path / "ledger.sqlite")
    assert found.circular == ("tiny-1 judges answers that it gave itself",)


def test_answers_that_cannot_be_compared_are_refused_before_anybody_is_asked(
    server: FaultServer, files: tuple[Path, Path], tmp_path: Path
) -> None:
    ours, _ = files
    fewer = write_model(tmp_path, "fewer", QUESTIONS[:58])
    with pytest.raises(
        InputError, match="2 questions were answered in the first file only"
    ):
        tacos.duel(ours, fewer, settings(server))
    mixed = tmp_path / "mixed.jsonl"
    lines = ours.read_text().splitlines()
    mixed.write_text("\n".join([*lines[:30], *fewer.read_text().splitlines()[30:]]))
    with pytest.raises(InputError, match=r"answers of 2 models \(ours, fewer\)"):
        tacos.duel(ours, mixed, settings(server))
    with pytest.raises(RunError):
        tacos.duel(*files, settings(server), selected_by=tmp_path / "none.run")
    with pytest.raises(InputError, match="is given twice"):
        tacos.duel(ours, tmp_path / "." / ours.name, settings(server))
    with pytest.raises(ConfigError, match="no judge given"):
        tacos.duel(*files, config.load_settings())
    assert server.asked.total() == 0


def test_two_trainings_of_one_model_are_told_apart_and_unequal_settings_are_named(
    server: FaultServer, tmp_path: Path
) -> None:
    ours = write_model(tmp_path, "m", name="seed1")
    other = write_model(tmp_path, "m", name="seed2", seed=2)
    found = tacos.duel(ours, other, settings(server), ledger=tmp_path / "l.sqlite")
    assert found.summaries[0].models == (str(ours), str(other))
    assert found.warnings == (
        "60 questions were answered under different settings (temperature, seed or limit of "
        "tokens; see generation in the files)",
    )
    # All answers are the same: nobody was asked, and nothing can be said.
    assert server.asked.total() == 0
    assert found.summaries[0].pooled.result.outcomes["tie"] == 60


def test_the_command_prints_draws_and_gives_json(
    server: FaultServer, files: tuple[Path, Path], tmp_path: Path
) -> None:
    figure = tmp_path / "bars.svg"
    common = (
        "--llm",
        server.url,
        "--judge",
        "tiny-1",
        "--ledger",
        tmp_path / "l.sqlite",
    )
    shown = run_command("duel", *files, *common, "--figure", figure)
    assert shown.exit_code == 0, shown.output
    text = " ".join(shown.output.split())
    assert "koala" in text
    assert "win score" in text
    assert "answered alike, a tie without a judge: 6 questions" in text
    drawn = figure.read_text()
    for words in ("koala (n = 30)", "all (n = 60)", "ours against theirs", "flips"):
        assert words in drawn
    said = run_command("duel", *files, *common, "--json")
    values = json.loads(said.output)
    (of_models,) = values["duels"]
    assert of_models["all"]["n"] == 60
    assert set(of_models["sets"]) == {"koala", "vicuna"}
    assert of_models["all"]["score"]["n_clusters"] == 60
    assert values["counts"]["missing"] == 0


def test_a_dry_run_says_what_would_be_asked_and_asks_nothing(
    server: FaultServer, files: tuple[Path, Path], tmp_path: Path
) -> None:
    common = (
        "--llm",
        server.url,
        "--judge",
        "tiny-1",
        "--ledger",
        tmp_path / "l.sqlite",
    )
    prices = ("--set", "llm.price_in=1", "--set", "llm.price_out=2")
    said = run_command("duel", *files, *common, *prices, "--dry-run", "--json")
    forecast = json.loads(said.output)
    # Identical answers need no judge.
    assert (forecast["n_requests"], forecast["n_open"]) == (108, 108)
    assert server.asked.total() == 0
    assert run_command("duel", *files, *common).exit_code == 0
    later = run_command("duel", *files, *common, *prices, "--dry-run", "--json")
    assert json.loads(later.output)["n_open"] == 0


def test_wrong_commands_end_in_one_line(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    ours, theirs = files
    for arguments, message in (
        ((ours,), "give two files"),
        ((ours, theirs, ours), "give two files"),
        ((ours, theirs), "no judge given"),
        ((ours, theirs, "--judgments", ours), "leave out files of answers"),
        (("--judgments", ours), "is no judged duel"),
        ((ours, theirs, "--judge", "m", "-o", ours), "is one of the inputs"),
        ((ours, theirs, "--judge", "m", "--figure", "bars.gif"), ".svg or .png"),
    ):
        result = run_command("duel", *arguments)
        assert result.exit_code != 0
        assert message in str(result.exception), arguments


def test_the_authors_duels_are_counted_through_the_command(shared_data: Path) -> None:
    """640 duels of TACOS against four arms: 489 same, 103 one-sided ties, 46 flips, 2 unreadable."""
    folder = shared_data / "evaluation" / "mt_bench" / "judgments_pairwise"
    given = [
        part for file in sorted(folder.iterdir()) for part in ("--judgments", file)
    ]
    refused = run_command("duel", *given)
    assert isinstance(refused.exception, IncompleteError)
    assert "2 of 640 duels" in str(refused.exception)
    counted = json.loads(
        run_command("duel", *given, "--allow-missing", "--json").output
    )
    assert counted["counts"] == {
        "duels": 640,
        "same in both orders": 489,
        "one-sided ties": 103,
        "flips": 46,
        "missing": 2,
    }
    assert [duel["all"]["n_missing"] for duel in counted["duels"]] == [0, 1, 0, 1]
    # training-and-evaluation.md: 57.5%, 50.5%, 56.2%, 53.3%, clustered by question.
    means = [round(duel["all"]["score"]["mean"], 3) for duel in counted["duels"]]
    assert means == [0.575, 0.506, 0.562, 0.533]
    # The prompts say how long the answers were: 532 characters against 1,452 of the longest arm.
    adjusted = [duel["all"]["adjusted"]["mean"] for duel in counted["duels"]]
    assert [round(mean, 3) for mean in adjusted] == [0.594, 0.591, 0.581, 0.541]
    lengths = counted["duels"][1]["all"]["lengths"]
    assert [round(length) for length in lengths] == [532, 1452]
    words = [duel["verdict"].split(" (")[0] for duel in counted["duels"]]
    assert "is better than" in words[0]
    assert words[1].startswith("No difference larger than 9.3 points")


def test_the_five_test_sets_at_their_real_size(
    server: FaultServer, shared_data: Path, tmp_path: Path
) -> None:
    """1,030 questions, 2,060 requests: a bar for each set and one for all."""
    folder = shared_data / "evaluation" / "test_sets"
    questions = read_questions(sorted(folder.glob("*.jsonl")))
    assert len(questions) == 1030
    files = [write_model(tmp_path, name, questions) for name in ("ours", "theirs")]
    found = tacos.duel(*files, settings(server), ledger=tmp_path / "ledger.sqlite")
    (summary,) = found.summaries
    assert {name: figures.result.n for name, figures in summary.sets.items()} == {
        "koala": 180,
        "lima": 300,
        "sinstruct": 252,
        "vicuna": 80,
        "wizardlm": 218,
    }
    score_of_all = summary.pooled.result.score
    assert score_of_all is not None
    assert score_of_all.error is not None
    assert score_of_all.error < 0.016
    assert summary.pooled.adjusted is not None
