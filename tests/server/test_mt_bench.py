"""`tacos mt-bench` against a real server, healthy or not: every grade, or no score."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from tests.server.fault_server import Behaviour, FaultServer, Scripted
from typer.testing import CliRunner

import tacos
from tacos.cli import app
from tacos.errors import (
    BudgetReachedError,
    ConfigError,
    FailureRateError,
    IncompleteError,
    InputError,
    TacosError,
)
from tacos.formats.answer_files import write_answers
from tacos.methods.evaluating.mt_bench import STANDARD_CATEGORIES
from tacos.methods.evaluating.questions import AnsweredQuestion

N_ITEMS = 16
QUESTIONS = [
    {
        "question_id": 81 + 10 * place,
        "category": category,
        "turns": [f"First thing about {category}?", f"And then, in {category}?"],
    }
    for place, category in enumerate(STANDARD_CATEGORIES)
]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(Behaviour()) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight questions, GPT-4's references to three of them, and the answers of two models."""
    write_lines(tmp_path / "question.jsonl", QUESTIONS)
    references = [
        {
            "question_id": row["question_id"],
            "model_id": "gpt-4",
            "choices": [{"index": 0, "turns": ["It is 1.", "It is 2."]}],
        }
        for row in QUESTIONS
        if row["category"] in ("math", "reasoning", "coding")
    ]
    write_lines(tmp_path / "gpt-4.jsonl", references)
    for model in ("mine", "random"):
        write_answers(answer_all(model), tmp_path / f"{model}.jsonl")
    return tmp_path


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return path


def answer_all(model: str, **changes: Any) -> list[AnsweredQuestion]:
    """What a model answered to every question."""
    given: dict[str, Any] = {
        "finish_reasons": ("stop", "stop"),
        "n_tokens": (5, 6),
        "model": model,
        "template_hash": "9c1f",
        "generation": {"temperature": 0.7},
        **changes,
    }
    return [
        AnsweredQuestion(
            question_id=str(row["question_id"]),
            category=str(row["category"]),
            set="mt_bench",
            turns=tuple(row["turns"]),
            answers=(f"{model} says {row['category']}.", f"{model} says more."),
            **given,
        )
        for row in QUESTIONS
    ]


def invoke(*words: object) -> tuple[str, TacosError | None]:
    """What a command printed, and the error it ended with."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, TacosError):
        raise done.exception
    return done.output, done.exception


def grade(
    folder: Path,
    server: FaultServer,
    *more: object,
    models: tuple[str, ...] = ("mine",),
) -> tuple[str, TacosError | None]:
    """Grade the answers of some models."""
    files = [folder / f"{model}.jsonl" for model in models]
    return invoke(
        *("mt-bench", *files, "--questions", folder / "question.jsonl"),
        *("--judge", "tiny-1", "--llm", server.url, "--ledger", folder / "ledger"),
        *(() if "--references" in more else ("--references", folder / "gpt-4.jsonl")),
        *more,
    )


def shown(body: dict[str, Any]) -> str:
    """What a judge was shown."""
    return str(body["messages"][-1]["content"])


def test_two_models_are_graded_and_compared(folder: Path, server: FaultServer) -> None:
    output, error = grade(folder, server, "--json", models=("mine", "random"))
    assert error is None
    found = json.loads(output)
    assert [model["n_grades"] for model in found["models"]] == [N_ITEMS, N_ITEMS]
    assert len(server.bodies) == 2 * N_ITEMS
    scores = [model["score"]["mean"] for model in found["models"]]
    assert all(score["n_clusters"] == 8 for score in scores)
    (difference,) = found["differences"]
    means = sorted(score["mean"] for score in scores)
    assert difference["mean"] == pytest.approx(means[1] - means[0])
    # What the server says that it is, not what it was called.
    assert found["models"][0]["judges"] == {"tiny-1-2026-01-01": N_ITEMS}
    assert found["references"] == "gpt-4"
    output, error = grade(folder, server, models=("mine", "random"))
    assert error is None
    assert "usually not detectable" in " ".join(output.split())
    # All from the ledger.
    assert len(server.bodies) == 2 * N_ITEMS


def test_what_the_judge_is_shown(folder: Path, server: FaultServer) -> None:
    """The second turn after the first; references where one answer is right, and only there."""
    grade(folder, server)
    by_question = {}
    for body in server.bodies:
        for row in QUESTIONS:
            for turn, text in enumerate(row["turns"]):
                if f"question begins -----\n{text}" in shown(body):
                    by_question[row["category"], turn] = body
    assert len(by_question) == N_ITEMS
    first, second = (shown(by_question["math", turn]) for turn in (0, 1))
    assert "earlier" not in first
    assert "It is 1." in first
    assert "mine says math." in first
    assert "First thing about math?" in second
    assert "mine says math." in second
    assert "It is 1." in second
    assert "It is 2." in second
    assert "mine says more." in second
    assert "It is 1." not in shown(by_question["writing", 1])
    assert "reference begins" not in shown(by_question["writing", 1])
    for body in server.bodies:
        assert (body["temperature"], body["max_tokens"]) == (0, 2048)
        assert "response_format" not in body


def test_without_references_the_judge_checks_by_itself(
    folder: Path, server: FaultServer
) -> None:
    output, error = grade(folder, server, "--references", "none")
    assert error is None
    assert "References: none" in output
    assert not any("It is 1." in shown(body) for body in server.bodies)


def test_the_questions_own_references(folder: Path, server: FaultServer) -> None:
    rows = [dict(row) for row in QUESTIONS]
    rows[2]["reference"] = ["Yes.", ""]
    write_lines(folder / "question.jsonl", rows)
    output, error = grade(folder, server, "--references", "question", "--json")
    assert error is None
    # Math and coding bring none along.
    assert json.loads(output)["without_reference"] == ["111", "121"]
    assert sum("Yes." in shown(body) for body in server.bodies) == 2


def test_grades_that_were_written_are_counted_alike(
    folder: Path, server: FaultServer
) -> None:
    grades = folder / "grades.jsonl"
    output, _ = grade(folder, server, "-o", grades, "--json", "--repeat", 2)
    (judged,) = json.loads(output)["models"]
    assert judged["n_grades"] == 2 * N_ITEMS
    assert len(judged["sitting_means"]) == 2
    recounted, error = invoke(
        "mt-bench",
        "--judgments",
        grades,
        "--questions",
        folder / "question.jsonl",
        "--json",
    )
    assert error is None
    (counted,) = json.loads(recounted)["models"]
    assert counted["score"] == judged["score"]
    assert counted["sitting_means"] == judged["sitting_means"]
    row = json.loads(grades.read_text("utf-8").splitlines()[0])
    assert row["judge"][0] == "tiny-1-2026-01-01"
    assert row["judgment"].endswith("]]")


@pytest.mark.parametrize("fault", ["invalid-json", "length", "empty", "contradiction"])
def test_a_reply_without_a_grade_is_asked_about_once_more(
    folder: Path, server: FaultServer, fault: str
) -> None:
    healthy, _ = grade(folder, server, "--json", "--ledger", folder / "other")
    server.behaviour.faults = {fault: 1.0}
    output, error = grade(folder, server, "--json")
    assert error is None
    assert json.loads(output)["models"] == json.loads(healthy)["models"]
    assert "could not be used" in shown(server.bodies[-1])


def refuse_math(body: dict[str, Any]) -> Scripted | None:
    """A judge that never grades one question."""
    if "And then, in math?" not in json.dumps(body):
        return None
    choice = {"message": {"content": "Good: 9 of 10."}, "finish_reason": "stop"}
    return Scripted(body={"model": "tiny-1", "choices": [choice]})


def test_159_of_160_is_no_score_and_the_same_command_goes_on(
    folder: Path, server: FaultServer
) -> None:
    """The missing one is named with its reason, never 0 and never left out of a mean."""
    server.behaviour.script = refuse_math
    grades = folder / "grades.jsonl"
    output, error = grade(folder, server, "-o", grades, models=("mine", "random"))
    assert isinstance(error, IncompleteError)
    assert error.exit_code == 2
    said = str(error)
    assert "mine: 15 of 16 grades; missing: question 111 turn 2 (" in said
    assert "random: 15 of 16" in said
    assert "no grade from 1 to 10" in said
    assert "same command again" in said
    assert "\n" not in said
    assert "score" not in output.partition("Judge, as")[0]
    n_before = len(server.bodies)
    # Grades that were written, without the missing one, are no score either.
    _, error = invoke(
        "mt-bench", "--judgments", grades, "--questions", folder / "question.jsonl"
    )
    assert isinstance(error, IncompleteError)
    server.behaviour.script = lambda body: None
    output, error = grade(folder, server, "--json", models=("mine", "random"))
    assert error is None
    assert len(server.bodies) == n_before + 2
    assert [each["n_grades"] for each in json.loads(output)["models"]] == [16, 16]


def test_a_judge_that_never_grades_stops_with_one_line(
    folder: Path, server: FaultServer
) -> None:
    server.behaviour.faults = {"invalid-json!": 1.0}
    _, error = grade(folder, server)
    assert isinstance(error, FailureRateError)
    said = str(error)
    assert "no grade from 1 to 10 in double brackets, such as [[5]]" in said
    assert "\n" not in said
    assert "continue without" not in said


def test_the_budget_is_a_hard_cap_and_the_same_command_goes_on(
    folder: Path, server: FaultServer
) -> None:
    _, error = grade(folder, server, "--budget", "10requests")
    assert isinstance(error, BudgetReachedError)
    assert error.exit_code == 3
    assert len(server.bodies) == 10
    _, error = grade(folder, server)
    assert error is None
    assert len(server.bodies) == N_ITEMS


def test_a_dry_run_asks_nothing_and_says_what_is_open(
    folder: Path, server: FaultServer
) -> None:
    prices = ("--set", "llm.price_in=1", "--set", "llm.price_out=2")
    output, error = grade(folder, server, "--dry-run", "--json", *prices)
    assert error is None
    assert server.bodies == []
    found = json.loads(output)
    assert (found["n_requests"], found["n_open"]) == (N_ITEMS, N_ITEMS)
    assert found["max_reply_tokens"] == N_ITEMS * 2048
    assert found["max_usd"] == pytest.approx(
        found["prompt_tokens"] / 1e6 + 2 * found["max_reply_tokens"] / 1e6
    )
    grade(folder, server, "--budget", "10requests")
    output, _ = grade(folder, server, "--dry-run")
    assert "6 (10 more are answered already)" in output
    assert "not known" in output


def test_a_dry_run_counts_what_two_models_answered_alike_once(
    folder: Path, server: FaultServer
) -> None:
    """The same request is paid once, and is not answered already before that."""
    alike = [replace(answer, model="alike") for answer in answer_all("mine")]
    write_answers(alike, folder / "alike.jsonl")
    models = ("mine", "alike")
    output, _ = grade(folder, server, "--dry-run", models=models)
    assert f"{N_ITEMS} (0 more are answered already)" in output
    _, error = grade(folder, server, models=models)
    assert error is None
    assert len(server.bodies) == N_ITEMS


def test_answers_that_are_empty_or_cut_are_graded_and_listed(
    folder: Path, server: FaultServer
) -> None:
    answers = answer_all("mine", finish_reasons=("stop", "length"))
    answers[0] = AnsweredQuestion(**{**asdict(answers[0]), "answers": ("", "More.")})
    write_answers(answers, folder / "mine.jsonl")
    output, error = grade(folder, server)
    assert error is None
    said = " ".join(output.split())
    assert "mine: 9 of 16 answers are empty or were cut off: 81 turn 1 is empty" in said
    assert "and 1 more" in said


def test_models_asked_with_different_templates_are_called_out(
    folder: Path, server: FaultServer
) -> None:
    """FastChat picks a template by the model's name, so arms of one comparison differ by it."""
    write_answers(answer_all("random", template_hash="77aa"), folder / "random.jsonl")
    output, error = grade(folder, server, models=("mine", "random"))
    assert error is None
    said = " ".join(output.split())
    assert "different chat templates (mine: 9c1f; random: 77aa)" in said


def test_two_files_of_one_model_are_told_apart(
    folder: Path, server: FaultServer
) -> None:
    write_answers(answer_all("mine"), folder / "again.jsonl")
    output, _ = grade(folder, server, "--json", models=("mine", "again"))
    labels = [model["model"] for model in json.loads(output)["models"]]
    assert labels == [str(folder / "mine.jsonl"), str(folder / "again.jsonl")]


def test_answers_of_fastchat_are_graded(folder: Path, server: FaultServer) -> None:
    rows = [
        {
            "question_id": row["question_id"],
            "answer_id": "x",
            "model_id": "vicuna",
            "choices": [{"index": 0, "turns": ["One.", "Two."]}],
            "tstamp": 1.5,
        }
        for row in QUESTIONS
    ]
    write_lines(folder / "vicuna.jsonl", rows)
    output, error = grade(folder, server, "--json", models=("vicuna",))
    assert error is None
    assert json.loads(output)["models"][0]["n_grades"] == N_ITEMS


def test_what_is_wrong_with_the_input_costs_nothing(
    folder: Path, server: FaultServer
) -> None:
    """One line each, before anything is asked."""
    write_answers(answer_all("few")[1:], folder / "few.jsonl")
    other = answer_all("other")
    other[3] = AnsweredQuestion(**{**asdict(other[3]), "turns": ("Something", "else")})
    write_answers(other, folder / "other.jsonl")
    write_answers([*answer_all("a")[:4], *answer_all("b")[4:]], folder / "both.jsonl")
    write_lines(folder / "half.jsonl", [{"question_id": 101, "choices": []}])
    cases: list[tuple[tuple[str, ...], tuple[object, ...], type, str]] = [
        (("few",), (), InputError, "7 of 8 questions are answered; missing: 81"),
        (("other",), (), InputError, "question 111 was asked in other words"),
        (("both",), (), InputError, "answers of 2 models (a, b)"),
        (("half",), (), InputError, "row 0 (from 0) is no answer of FastChat's"),
        (("none",), (), InputError, "none.jsonl"),
        (("mine", "mine"), (), InputError, "mine.jsonl is given twice"),
        ((), (), InputError, "no answers given"),
        (("mine",), ("--references", "gpt-4"), ConfigError, "gpt-4 is no file"),
        (("mine",), ("--references", "question"), ConfigError, "bring no references"),
    ]
    for models, more, kind, words in cases:
        _, error = grade(folder, server, *more, models=models)
        assert isinstance(error, kind), (models, error)
        assert words in str(error), error
        assert "\n" not in str(error)
    write_lines(folder / "gpt-4.jsonl", [_reference(101), _reference(121)])
    _, error = grade(folder, server)
    assert isinstance(error, InputError)
    assert "no reference answer to every turn of 111" in str(error)
    twice = [_reference(101), _reference(111), _reference(121), _reference(111)]
    write_lines(folder / "gpt-4.jsonl", twice)
    _, error = grade(folder, server)
    assert isinstance(error, InputError)
    assert "question 111 has two references" in str(error)
    assert server.bodies == []


def _reference(question: int) -> dict[str, Any]:
    turns = ["It is 1.", "It is 2."]
    return {"question_id": question, "model_id": "g", "choices": [{"turns": turns}]}


def test_what_must_be_said_has_no_default(folder: Path) -> None:
    """Which references, which questions, which judge."""
    answers = folder / "mine.jsonl"
    questions = ("--questions", folder / "question.jsonl")
    references = ("--references", "none")
    for words, said in [
        (questions, "scores with and without are not comparable"),
        (references, "name the questions"),
        ((*questions, *references), "no judge given"),
    ]:
        _, error = invoke("mt-bench", answers, *words)
        assert isinstance(error, ConfigError)
        assert said in str(error)


def test_nothing_leaves_this_machine_unasked(folder: Path) -> None:
    _, error = invoke(
        *("mt-bench", folder / "mine.jsonl", "--questions", folder / "question.jsonl"),
        *("--references", "none", "--judge", "m", "--llm", "https://example.org/v1"),
        *("--ledger", folder / "ledger"),
    )
    assert isinstance(error, ConfigError)
    assert "pass --yes to allow sending data to example.org" in str(error)


def test_the_python_function_gives_the_same(folder: Path, server: FaultServer) -> None:
    evaluation = tacos.mt_bench(
        folder / "mine.jsonl",
        {"llm": {"base_url": server.url, "model": "tiny-1"}},
        questions=folder / "question.jsonl",
        references=folder / "gpt-4.jsonl",
        ledger=folder / "ledger",
    )
    evaluation.check_complete()
    output, _ = grade(folder, server, "--json")
    assert json.loads(output)["models"] == json.loads(
        json.dumps(evaluation.as_dict()["models"])
    )


def test_a_model_that_grades_itself_is_called_out(
    folder: Path, server: FaultServer
) -> None:
    write_answers(answer_all("tiny-1"), folder / "own.jsonl")
    output, _ = grade(folder, server, models=("own",))
    said = " ".join(output.split())
    assert "Warning: tiny-1 judged answers of its own" in said


def test_a_killed_command_goes_on_where_it_was(folder: Path) -> None:
    """Twice, at any point: what was paid for is kept, but for what was on its way."""
    with FaultServer(Behaviour(latency=0.1)) as server:
        words = [
            *("mt-bench", folder / "mine.jsonl", folder / "random.jsonl"),
            *("--questions", folder / "question.jsonl", "--references", "none"),
            *("--judge", "tiny-1", "--llm", server.url, "--ledger", folder / "ledger"),
            *("--set", "llm.concurrency=2", "-o", folder / "grades.jsonl"),
        ]
        command = [sys.executable, "-m", "tacos", *map(str, words)]
        for n_before_kill in (6, 16):
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            while server.answered.total() < n_before_kill and process.poll() is None:
                time.sleep(0.02)
            assert process.poll() is None, "it ended before it was killed"
            process.kill()
            process.wait()
            assert not (folder / "grades.jsonl").exists()
        subprocess.run(command, check=True, capture_output=True)
        n_all = 2 * N_ITEMS
        assert n_all <= server.answered.total() <= n_all + 2 * 4
        whole = [*command, "-o", folder / "whole.jsonl", "--ledger", folder / "other"]
        server.behaviour.latency = 0
        subprocess.run(whole, check=True, capture_output=True)
    written = (folder / "grades.jsonl").read_bytes()
    assert written == (folder / "whole.jsonl").read_bytes()
    lines = (folder / "grades.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == n_all


def test_a_long_answer_that_the_judge_does_not_see_whole_is_said(
    folder: Path, server: FaultServer
) -> None:
    output, error = grade(folder, server, "--set", "mt_bench.max_chars=10")
    assert error is None
    said = " ".join(output.split())
    assert "of those with more than 10 the judge is shown beginning and end" in said
    output, _ = grade(folder, server)
    assert "the judge is shown" not in " ".join(output.split())
