"""The judge's questions of an evaluation, answered elsewhere: by exchange files and by batches, with
the result of asking online.
"""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.server.fault_server import Behaviour, FaultServer
from tests.server.questions import KEY
from tests.server.test_alpaca_eval import write_outputs
from tests.server.test_duel import write_model
from tests.server.test_mt_bench import folder  # noqa: F401 - the fixture
from tests.small_world import run_command

from tacos.store.artifacts import Store

N_OUTPUTS = 12
COMMANDS = ("mt-bench", "alpaca-eval", "duel")


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(Behaviour()) as running:
        yield running


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest, folder: Path) -> list[object]:  # noqa: F811
    """A command without its judge."""
    name: str = request.param
    if name == "mt-bench":
        questions = ("--questions", folder / "question.jsonl", "--references", "none")
        return [name, folder / "mine.jsonl", *questions]
    if name == "alpaca-eval":
        base = write_outputs(folder / "gpt4.json", "gpt4", N_OUTPUTS, 30)
        own = write_outputs(folder / "own.json", "mine", N_OUTPUTS)
        return [name, own, "--baseline", base, "--allow-missing"]
    first = write_model(folder, "ours")
    return [name, first, write_model(folder, "theirs")]


def judge(
    command: list[object], server: FaultServer, place: Path, *more: object
) -> tuple[int, str]:
    """Run a command; its output and its ledger lie in a folder."""
    place.mkdir(exist_ok=True)
    return run_command(
        *command,
        *("--judge", "tiny-1", "--llm", server.url, "--ledger", place / "ledger"),
        *("-o", place / "verdicts.jsonl", "--json", *more),
    )


def keep_figures(said: str) -> dict[str, object]:
    """A result without what may differ: whence the replies came, and the files."""
    found = json.loads(said)
    return {name: found[name] for name in found.keys() - {"spending", "output"}}


def reply_elsewhere(server: FaultServer, asked: Path, replies: Path) -> int:
    """Have somebody answer a file of requests; returns how many there were."""
    lines = []
    for text in asked.read_text("utf-8").splitlines():
        line = json.loads(text)
        post = urllib.request.Request(
            f"{server.url}/chat/completions",
            json.dumps(line["body"]).encode(),
            {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(post) as answer:
            body = json.loads(answer.read())
        response = {"status_code": 200, "body": body}
        lines.append({"custom_id": line["custom_id"], "response": response})
    replies.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    return len(lines)


def test_exchange_files_and_batches_give_what_online_gives(
    command: list[object], server: FaultServer, tmp_path: Path
) -> None:
    online = judge(command, server, tmp_path / "online")
    assert online[0] == 0, online[1]
    n_asked = len(server.bodies)
    offline = ("--set", "llm.offline=true")
    for way in ("exchange", "batch"):
        place = tmp_path / way
        code, said = judge(command, server, place, *offline)
        assert code != 0
        run = place / "verdicts.jsonl.run"
        assert f"the questions are in {run}" in said
        assert "\n" not in said
        ledger = ("--ledger", place / "ledger")
        n_bodies = len(server.bodies)
        if way == "batch":
            words = ("requests", "batch", run, *ledger, "--poll", 0.01, "--yes")
            code, said = run_command(*words)
            assert code == 0, said
        else:
            asked, replies = place / "asked.jsonl", place / "replies.jsonl"
            code, said = run_command("requests", "export", run, "-o", asked, *ledger)
            assert code == 0, said
            assert reply_elsewhere(server, asked, replies) == n_asked
            n_bodies = len(server.bodies)
            code, said = run_command("requests", "import", run, replies, *ledger)
            assert code == 0, said
        assert f"the same `tacos {command[0]} ...` now finishes" in said
        finished = judge(command, server, place, *offline)
        assert finished[0] == 0, finished[1]
        assert keep_figures(finished[1]) == keep_figures(online[1])
        written = (place / "verdicts.jsonl").read_bytes()
        assert written == (tmp_path / "online" / "verdicts.jsonl").read_bytes()
        assert len(server.bodies) == n_bodies


def test_without_an_output_it_says_where_questions_would_be(
    command: list[object], server: FaultServer, tmp_path: Path
) -> None:
    words = ("--judge", "tiny-1", "--llm", server.url, "--ledger", tmp_path / "l")
    code, said = run_command(*command, *words, "--set", "llm.offline=true")
    assert code != 0
    assert "name an output (-o FILE) to have the questions in FILE.run" in said


def test_two_commands_do_not_write_one_output(
    command: list[object], server: FaultServer, tmp_path: Path
) -> None:
    place = tmp_path / "busy"
    with Store(place / "verdicts.jsonl.run").lock():
        code, said = judge(command, server, place)
    assert code != 0
    assert "is in use by another process" in said
    assert not server.bodies


def test_the_run_of_another_command_is_left_alone(
    command: list[object], server: FaultServer, tmp_path: Path
) -> None:
    place = tmp_path / "taken"
    run = place / "verdicts.jsonl.run"
    run.mkdir(parents=True)
    (run / "answering.json").write_text("{}")
    code, said = judge(command, server, place)
    assert code != 0
    assert f"{run} holds what another command made" in said
    assert [path.name for path in run.iterdir()] == ["answering.json"]
    assert not server.bodies
