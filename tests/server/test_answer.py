"""`tacos answer`: a server's model and one in a folder, turn by turn, stopped and gone on with."""

import json
import stat
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.server.fault_server import Behaviour, FaultServer, Scripted
from tests.unit.trainers.test_trained_model import FAKE_WORKER, make_folder
from typer.testing import CliRunner

from tacos.cli import app
from tacos.errors import (
    ConfigError,
    FailureRateError,
    ModelError,
    OfflineError,
    TacosError,
)
from tacos.formats.answer_files import read_answers

QUESTIONS = [
    {"question_id": 81, "category": "writing", "turns": ["Write a line.", "Shorter."]},
    {"question_id": 101, "category": "math", "turns": ["What is 1 + 2?", "And twice?"]},
    {"question_id": 5, "turns": ["Name a river."]},
]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(Behaviour()) as running:
        yield running


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "mt_bench_question.jsonl"
    path.write_text("\n".join(map(json.dumps, QUESTIONS)))
    return path


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Takes the place of the Python of a training environment."""
    path = tmp_path / "python"
    path.write_text(FAKE_WORKER.format(python=sys.executable))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def invoke(*words: object) -> tuple[str, TacosError | None]:
    """What a command printed, and the error it ended with."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, TacosError):
        raise done.exception
    return done.output, done.exception


def ask(
    questions: Path, server: FaultServer, *more: object
) -> tuple[str, TacosError | None]:
    """Have the server's model answer."""
    place = questions.parent
    return invoke(
        *("answer", "tiny-1", questions, "--llm", server.url),
        *("--ledger", place / "ledger", "-o", place / "answers.jsonl", *more),
    )


def test_later_turns_follow_the_models_own_answers(
    questions: Path, server: FaultServer
) -> None:
    output, error = ask(questions, server, "--json")
    assert error is None, error
    answers = read_answers(questions.parent / "answers.jsonl")
    assert [answer.question_id for answer in answers] == ["81", "101", "5"]
    assert [len(answer.answers) for answer in answers] == [2, 2, 1]
    chats = {body["messages"][-1]["content"]: body for body in server.bodies}
    assert len(chats) == 5
    for answer in answers[:2]:
        first, own, second = chats[answer.turns[1]]["messages"]
        assert (first["role"], first["content"]) == ("user", answer.turns[0])
        assert (own["role"], own["content"]) == ("assistant", answer.answers[0])
        assert (second["role"], second["content"]) == ("user", answer.turns[1])
    # Nothing is put around a question, and no form is asked for.
    assert [message["role"] for message in chats["Name a river."]["messages"]] == [
        "user"
    ]
    assert not any("response_format" in body for body in server.bodies)
    # MT-Bench's temperatures by category.
    temperatures = {text: body["temperature"] for text, body in chats.items()}
    assert temperatures["Write a line."] == 0.7
    assert temperatures["What is 1 + 2?"] == temperatures["And twice?"] == 0
    assert temperatures["Name a river."] == 0.7
    assert all(body["max_tokens"] == 1024 for body in server.bodies)
    # What the server says that it is.
    assert answers[0].generation["reported_model"] == "tiny-1-2026-01-01"
    assert answers[0].template_hash is None
    assert json.loads(output)["n_turns"] == 5


def test_what_is_known_is_not_asked_again(questions: Path, server: FaultServer) -> None:
    ask(questions, server)
    first = (questions.parent / "answers.jsonl").read_bytes()
    _, error = ask(questions, server)
    assert error is None
    assert len(server.bodies) == 5
    assert (questions.parent / "answers.jsonl").read_bytes() == first
    # Another draw, and one temperature for all, are other questions.
    ask(questions, server, "--set", "answer.draw=1")
    assert len(server.bodies) == 10
    ask(questions, server, "--temperature", 0.3)
    assert {body["temperature"] for body in server.bodies[10:]} == {0.3}


def test_empty_and_cut_answers_are_listed(questions: Path, tmp_path: Path) -> None:
    def reply(body: dict[str, Any]) -> Scripted:
        text = body["messages"][-1]["content"]
        choice = {
            "message": {"content": "" if text == "Name a river." else "An answer"},
            "finish_reason": "length" if text == "Shorter." else "stop",
        }
        return Scripted(body={"choices": [choice], "model": "tiny-1"})

    with FaultServer(Behaviour(script=reply)) as server:
        output, error = ask(questions, server)
    assert error is None
    flat = " ".join(output.split())
    assert "3 of 3 answered, 5 turns" in flat
    assert "empty or cut: mt_bench 81, turn 2 is cut" in flat
    assert "empty or cut: mt_bench 5, turn 1 is empty" in flat


def test_a_folder_answers_through_its_own_process(
    questions: Path, python: Path, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "small")
    words = ["answer", folder, questions, "--trainer-python", python]
    output, error = invoke(*words, "-o", tmp_path / "a.jsonl", "--json")
    assert error is None
    answers = read_answers(tmp_path / "a.jsonl")
    assert answers[0].model == "small"
    assert answers[0].template_hash == json.loads(output)["template_hash"]
    # The same question draws the same numbers in any company.
    questions.write_text(json.dumps(QUESTIONS[2]))
    invoke(*words, "-o", tmp_path / "b.jsonl")
    (alone,) = read_answers(tmp_path / "b.jsonl")
    assert replace(alone, set_hash=answers[2].set_hash) == answers[2]


def test_a_killed_process_loses_no_finished_part(
    questions: Path, python: Path, tmp_path: Path
) -> None:
    rows = [{"question_id": number, "text": f"Q {number}"} for number in range(40)]
    rows[35]["text"] = "die now"
    questions.write_text("\n".join(map(json.dumps, rows)))
    folder = make_folder(tmp_path / "small")
    words = ["answer", folder, questions, "--trainer-python", python]
    _, error = invoke(*words, "-o", tmp_path / "a.jsonl")
    assert isinstance(error, ModelError)
    assert "was killed (SIGKILL" in str(error)
    assert "\n" not in str(error)
    assert not (tmp_path / "a.jsonl").exists()
    # The process lives this time: only the last part is asked.
    calls = tmp_path / "calls"
    script = python.read_text().replace(
        'if "die" in line:\n        os.kill(os.getpid(), 9)',
        f'open({str(calls)!r}, "a").write(str(len(job["items"])) + " ")',
    )
    python.write_text(script)
    _, error = invoke(*words, "-o", tmp_path / "a.jsonl")
    assert error is None
    assert calls.read_text().split() == ["8"]
    assert len(read_answers(tmp_path / "a.jsonl")) == 40


def test_a_question_without_an_answer_stops_the_command_unless_allowed(
    questions: Path, python: Path, tmp_path: Path
) -> None:
    rows = [{"question_id": 1, "text": "Hi"}, {"question_id": 2, "text": "a long one"}]
    questions.write_text("\n".join(map(json.dumps, rows)))
    folder = make_folder(tmp_path / "small")
    words = ["answer", folder, questions, "--trainer-python", python]
    words += ["-o", tmp_path / "a.jsonl"]
    _, error = invoke(*words)
    assert isinstance(error, FailureRateError)
    assert "does not fit" in str(error)
    assert not (tmp_path / "a.jsonl").exists()
    output, error = invoke(*words, "--set", "answer.max_failure_rate=0.5")
    assert error is None
    flat = " ".join(output.split())
    assert "1 of 2 answered" in flat
    assert "not answered: mt_bench 2, turn 1: the question does not fit" in flat
    assert [answer.question_id for answer in read_answers(tmp_path / "a.jsonl")] == [
        "1"
    ]


def test_what_cannot_be_asked_is_refused_in_one_line(
    questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = ("-o", tmp_path / "a.jsonl")
    base = make_folder(tmp_path / "base", template=None)
    _, error = invoke("answer", base, questions, *out)
    assert isinstance(error, ConfigError)
    assert "has no chat template" in str(error)
    _, error = invoke("answer", "tiny-1", questions, *out, "--template", "alpaca")
    assert "a server has its own template" in str(error)
    _, error = invoke("answer", f"{tmp_path}/nothing", questions, *out)
    assert "there is no folder" in str(error)
    none = tmp_path / "no-python"
    _, error = invoke(
        *("answer", base, questions, *out, "--template", "alpaca"),
        *("--trainer-python", none),
    )
    assert "make setup-train" in str(error)
    _, error = invoke(
        "answer", base, questions, "-o", questions, "--template", "alpaca"
    )
    assert "mt_bench_question.jsonl" in str(error)
    _, error = invoke(
        "answer", base, questions, *out, "--template", "alpaca", "--dtype", "x"
    )
    assert "unknown dtype 'x'; choose from auto, float32, bfloat16" in str(error)


def test_answers_come_by_exchange_files_turn_by_turn(
    questions: Path, server: FaultServer, tmp_path: Path
) -> None:
    _, error = ask(questions, server, "--set", "llm.offline=true")
    assert isinstance(error, OfflineError)
    run = tmp_path / "answers.jsonl.run"
    ledger = ("--ledger", tmp_path / "ledger")
    for n_open in (3, 2):
        asked = tmp_path / "requests.jsonl"
        output, error = invoke("requests", "export", run, "-o", asked, *ledger)
        assert error is None, error
        assert f"{n_open} of {n_open} requests" in " ".join(output.split())
        lines = [json.loads(line) for line in asked.read_text().splitlines()]
        replies = [
            {
                "custom_id": line["custom_id"],
                "response": {"status_code": 200, "body": reply_to(line["body"])},
            }
            for line in lines
        ]
        (tmp_path / "replies.jsonl").write_text("\n".join(map(json.dumps, replies)))
        _, error = invoke(
            "requests", "import", run, tmp_path / "replies.jsonl", *ledger
        )
        assert error is None, error
    output, error = invoke("requests", "export", run, "-o", asked, *ledger)
    assert "no requests left" in output
    _, error = ask(questions, server, "--set", "llm.offline=true")
    assert error is None, error
    assert not server.bodies
    answers = read_answers(tmp_path / "answers.jsonl")
    # The second turn was asked after the model's own first answer.
    assert answers[0].answers == ("To: Write a line.", "To: Write a line.|Shorter.")


def reply_to(body: dict[str, Any]) -> dict[str, Any]:
    """A reply that names the user's turns."""
    texts = [each["content"] for each in body["messages"] if each["role"] == "user"]
    message = {"role": "assistant", "content": "To: " + "|".join(texts)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"model": "tiny-1", "choices": [choice], "usage": {"completion_tokens": 4}}


def test_answers_come_by_the_batch_api(
    questions: Path, server: FaultServer, tmp_path: Path
) -> None:
    ask(questions, server, "--set", "llm.offline=true")
    run = tmp_path / "answers.jsonl.run"
    _, error = invoke(
        *("requests", "batch", run, "--ledger", tmp_path / "ledger"),
        *("--poll", 0.01, "--yes"),
    )
    assert error is None, error
    assert not server.bodies
    _, error = ask(questions, server)
    assert error is None, error
    assert not server.bodies
    assert len(read_answers(tmp_path / "answers.jsonl")) == 3


def test_another_template_than_the_folders_own_is_said(
    questions: Path, python: Path, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "small")
    words = ["answer", folder, questions, "--trainer-python", python]
    plain, error = invoke(*words, "-o", tmp_path / "a.jsonl")
    assert error is None
    assert "Warning" not in plain
    other, error = invoke(*words, "-o", tmp_path / "b.jsonl", "--template", "alpaca")
    assert error is None
    assert "Warning: the folder has a chat template of its own" in " ".join(
        other.split()
    )
