"""Replies that cannot be used, and replies of another server: issue 13, A3.

A server is broken, is mended, and gives way to another one; the same command is repeated. Each test
says how many requests a command sends, and what it says about the replies that it did not ask for.
All inputs are made here; the server is the tests' own.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.server.fault_server import Behaviour, FaultServer
from typer.testing import CliRunner

from tacos.cli import app
from tacos.errors import FailureRateError, OtherEndpointError, TacosError
from tacos.llm.ledger.ledger import open_ledger

N_ROWS = 12
BEFORE = Path(__file__).parents[1] / "fixtures" / "before_0_2"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no endpoint of the machine that runs the tests."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A few rows, all different."""
    path = tmp_path / "rows.jsonl"
    rows = [
        {"instruction": f"Name {n} rivers of land {n}.", "output": f"River {n}."}
        for n in range(1, N_ROWS + 1)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def invoke(*words: object) -> tuple[str, TacosError | None]:
    """What a command printed, and the error it ended with."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, TacosError):
        raise done.exception
    return done.output, done.exception


def tag(
    data: Path, server: FaultServer, *more: object
) -> tuple[str, TacosError | None]:
    """Tag the rows at a server; `data` decides where run and ledger are."""
    folder = data.parent
    return invoke(
        *("select", data, "-n", 5, "-o", folder / "out.jsonl", "--until", "tag"),
        *("--llm", server.url, "--model", "tiny-1", "--ledger", folder / "ledger"),
        *more,
    )


def unwrap(printed: str) -> str:
    """A printed table as words on one line."""
    return " ".join(printed.replace("│", " ").split())


def say_ok(server: FaultServer) -> None:
    """Let a server answer "OK" to every question."""

    def spoil(text: str) -> str:
        reply = json.loads(text)
        reply["choices"][0]["message"]["content"] = "OK"
        return json.dumps(reply)

    server.behaviour.change = spoil


def count(server: FaultServer, work: Callable[[], object]) -> int:
    """The requests that a piece of work sends."""
    before = server.asked.total()
    work()
    return server.asked.total() - before


def test_after_the_server_is_mended_the_same_command_asks_anew(data: Path) -> None:
    with FaultServer() as server:
        say_ok(server)
        _, error = tag(data, server)
        assert isinstance(error, FailureRateError)
        assert server.asked.total() == 2 * N_ROWS  # each is told what is wrong

        # Still broken: each question is asked once more, and no complaint is repeated.
        assert count(server, lambda: tag(data, server)) == N_ROWS

        server.behaviour.change = str
        before = server.asked.total()
        printed, error = tag(data, server)
        assert error is None
        assert server.asked.total() - before == N_ROWS
        assert f"{N_ROWS} questions asked anew" in unwrap(printed)

        assert count(server, lambda: tag(data, server)) == 0
    with open_ledger(data.parent / "ledger") as book:
        # Nothing that was paid for is gone.
        assert book.size().n_replies == 4 * N_ROWS


def test_asking_again_can_be_turned_off(data: Path) -> None:
    off = ("--set", "llm.ask_again=false")
    with FaultServer() as server:
        say_ok(server)
        tag(data, server, *off)
        assert server.asked.total() == N_ROWS
        server.behaviour.change = str
        _, error = tag(data, server, *off)
        assert isinstance(error, FailureRateError)
        assert server.asked.total() == N_ROWS


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--set", "llm.offline=true"), "no usable reply in the ledger"),
        (("--budget", "1tokens"), "budget"),
        (("--llm", "http://127.0.0.1:9/v1"), "cannot be reached"),
    ],
)
def test_old_replies_stay_where_nothing_can_be_asked(
    data: Path, words: tuple[str, ...], message: str
) -> None:
    """Before: they made room for new ones that never came, and the questions were open for ever."""
    with FaultServer() as server:
        say_ok(server)
        tag(data, server)
        with open_ledger(data.parent / "ledger") as book:
            before = list(book.entries())
        _, error = tag(data, server, "--yes", *words)
        assert message in str(error)
        with open_ledger(data.parent / "ledger") as book:
            assert list(book.entries()) == before
        # As they are, they are still what the run rests on.
        _, error = tag(data, server, "--set", "llm.ask_again=false")
        assert isinstance(error, FailureRateError)
        assert server.asked.total() == 2 * N_ROWS


@pytest.mark.parametrize(
    ("place", "finish"), [("reasoning_content", "stop"), ("content", "SAFETY")]
)
def test_the_ledger_and_a_run_agree_on_what_is_an_answer(
    data: Path, place: str, finish: str
) -> None:
    """An answer among the thoughts is one; what a filter has ended is none."""

    def move(text: str) -> str:
        reply = json.loads(text)
        (choice,) = reply["choices"]
        choice["message"] = {"content": None, place: choice["message"]["content"]}
        return json.dumps({**reply, "choices": [{**choice, "finish_reason": finish}]})

    with FaultServer(Behaviour(change=move)) as server:
        _, error = tag(data, server)
    is_answer = finish == "stop"
    assert (error is None) == is_answer
    words = ("remove", "--unusable", "--yes")
    printed, _ = invoke("ledger", "--ledger", data.parent / "ledger", *words)
    n_removed = 0 if is_answer else N_ROWS
    assert count_replies(data.parent / "ledger") == N_ROWS - n_removed, printed


def test_a_server_that_now_errs_otherwise_is_told_what_is_wrong(data: Path) -> None:
    with FaultServer() as server:
        say_ok(server)
        tag(data, server)
        server.behaviour.change = str
        server.behaviour.faults = {"wrong-schema": 1.0}  # heals when it is told
        before = server.asked.total()
        _, error = tag(data, server)
        assert error is None
        assert server.asked.total() - before == 2 * N_ROWS


def test_replies_of_another_server_are_used_only_after_asking(data: Path) -> None:
    with FaultServer() as first, FaultServer() as second:
        tag(data, first)
        shutil.rmtree(data.parent / "out.jsonl.run")

        _, error = tag(data, second)
        assert isinstance(error, OtherEndpointError)
        assert f"{N_ROWS} by {first.url}" in str(error)
        assert "--yes" in str(error)
        assert second.asked.total() == 0

        printed, error = tag(data, second, "--yes")
        assert error is None
        assert second.asked.total() == 0
        words = f"{N_ROWS} from the ledger, by another endpoint: {first.url}"
        assert words in unwrap(printed)


def test_replies_of_another_deployment_are_used_only_after_asking(data: Path) -> None:
    """One server, one model name, two deployments: before, a word of neither."""
    with FaultServer() as server:
        first = ("--set", "llm.query.deployment=blue")
        second = ("--set", "llm.query.deployment=green")
        assert tag(data, server, *first)[1] is None
        assert count(server, lambda: tag(data, server, *first)) == 0
        shutil.rmtree(data.parent / "out.jsonl.run")
        _, error = tag(data, server, *second)
        assert isinstance(error, OtherEndpointError)
        assert f"{N_ROWS} by {server.url}?deployment=blue" in str(error)
        removed = ("ledger", "--ledger", data.parent / "ledger", "remove", "--yes")
        invoke(*removed, "--endpoint", f"{server.url}?deployment=blue")
        assert count(server, lambda: tag(data, server, *second)) == N_ROWS


def test_unusable_replies_of_another_server_are_asked_anew_without_asking(
    data: Path,
) -> None:
    with FaultServer() as broken, FaultServer() as other:
        say_ok(broken)
        tag(data, broken)
        printed, error = tag(data, other)
        assert error is None
        assert other.asked.total() == N_ROWS
        assert "by another endpoint" not in printed


def test_a_ledger_from_before_is_used_as_it_is(tmp_path: Path) -> None:
    folder = shutil.copytree(BEFORE, tmp_path / "before")
    with FaultServer() as server:
        printed, error = invoke(
            *("select", folder / "rows.jsonl", "-n", 6, "--run", tmp_path / "run"),
            *("-o", tmp_path / "out.jsonl", "--ledger", folder / "ledger.sqlite"),
            *("--llm", server.url, "--model", "tiny-1", "--until", "tag"),
        )
        assert error is None
        assert server.asked.total() == 0
        assert "another endpoint" not in printed
        words = "from the ledger, of which no endpoint was noted (a reply file, or an older ledger)"
        assert words in unwrap(printed)
    with open_ledger(folder / "ledger.sqlite") as book:
        assert book.size().n_replies == 180
        assert {entry.endpoint for entry in book.entries()} == {""}


def count_replies(ledger: Path) -> int:
    with open_ledger(ledger) as book:
        return book.size().n_replies


def test_removing_unusable_replies_counts_asks_and_touches_nothing_else(
    data: Path,
) -> None:
    ledger = data.parent / "ledger"
    remove = ("ledger", "--ledger", ledger, "remove")
    with FaultServer(Behaviour({"invalid-json!": 0.4})) as server:
        tag(data, server)
        n_again = server.asked.total() - N_ROWS
        n_unusable = 2 * n_again  # each was told, and did no better
        assert 0 < n_again < N_ROWS

        printed, error = invoke(*remove, "--unusable", "--dry-run")
        assert error is None
        assert f"{n_unusable} replies would be removed" in printed
        printed, error = invoke(*remove, "--unusable")
        assert f"pass --yes to remove {n_unusable} paid replies" in str(error)
        assert count_replies(ledger) == N_ROWS + n_again

        with open_ledger(ledger) as book:
            usable = [e for e in book.entries() if "I would say" not in e.raw]
        printed, error = invoke(*remove, "--unusable", "--yes")
        assert f"{n_unusable} replies removed" in printed
        with open_ledger(ledger) as book:
            assert list(book.entries()) == usable
        assert "nothing was removed" in invoke(*remove, "--unusable", "--yes")[0]


def test_replies_are_removed_by_model_endpoint_and_date(data: Path) -> None:
    ledger = data.parent / "ledger"
    remove = ("ledger", "--ledger", ledger, "remove", "--yes")
    with FaultServer() as server:
        tag(data, server)
        for criteria in (
            ("--model", "other"),
            ("--endpoint", "http://elsewhere/v1"),
            ("--endpoint", "not noted"),
            ("--date", "..2020-01-01"),
            ("--date", "2020-01-01"),
            ("--model", "tiny-1", "--unusable"),
        ):
            assert "no reply meets these criteria" in invoke(*remove, *criteria)[0]
        assert count_replies(ledger) == N_ROWS
        words = ("--model", "tiny-1", "--endpoint", f"{server.url}/")
        printed, _ = invoke(*remove, *words, "--date", "2020-01-01..")
        assert f"{N_ROWS} replies removed" in printed
    assert count_replies(ledger) == 0


@pytest.mark.parametrize(
    "words, message",
    [
        ((), "say which replies to remove"),
        (("--date", "yesterday"), "is no date"),
        (("--date", "2026-02-30"), "is no date"),
    ],
)
def test_a_removal_without_a_clear_criterion_is_refused(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    _, error = invoke("ledger", "--ledger", tmp_path / "l", "remove", "--yes", *words)
    assert message in str(error)


def test_the_ledger_says_which_endpoint_was_asked(data: Path) -> None:
    with FaultServer() as server:
        tag(data, server)
        printed, _ = invoke("ledger", "--ledger", data.parent / "ledger", "--json")
        assert [row["endpoint"] for row in json.loads(printed)["spend"]] == [server.url]


def test_an_old_ledger_answers_for_its_unusable_replies(tmp_path: Path) -> None:
    folder = shutil.copytree(BEFORE, tmp_path / "before")
    ledger = folder / "ledger.sqlite"
    printed, _ = invoke("ledger", "--ledger", ledger, "remove", "--unusable", "--yes")
    with open_ledger(ledger) as book:
        left = list(book.entries())
    assert 0 < 180 - len(left) < 30
    assert f"{180 - len(left)} replies removed" in printed
    assert not [entry for entry in left if "I would say that this" in entry.raw]
    assert "not noted" in unwrap(printed)


@pytest.mark.parametrize("asks_again", [True, False])
def test_many_unusable_replies_of_before_do_not_stand_in_each_others_way(
    tmp_path: Path, asks_again: bool
) -> None:
    data = tmp_path / "rows.jsonl"
    n_rows = 120
    rows = [{"instruction": f"Say {n}.", "output": f"{n}"} for n in range(n_rows)]
    data.write_text("\n".join(map(json.dumps, rows)))
    with FaultServer() as server:
        say_ok(server)
        # All are asked; without a second question where they are asked once only.
        off = ("--set", "llm.stop_early=false")
        words = () if asks_again else ("--set", "llm.ask_again=false")
        tag(data, server, *off, *words)
        assert server.asked.total() == (2 if asks_again else 1) * n_rows
        server.behaviour.change = str
        before = server.asked.total()
        _, error = tag(data, server)
        assert error is None
        assert server.asked.total() - before == n_rows


def test_a_server_that_is_still_broken_is_given_up_early(tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    rows = [{"instruction": f"Say {n}.", "output": f"{n}"} for n in range(400)]
    data.write_text("\n".join(map(json.dumps, rows)))
    with FaultServer() as server:
        say_ok(server)
        tag(data, server, "--set", "llm.stop_early=false")
        before = server.asked.total()
        _, error = tag(data, server)
        assert isinstance(error, FailureRateError)
        assert server.asked.total() - before <= 60


def test_an_imported_ledger_brings_usable_replies_in(data: Path) -> None:
    folder = data.parent
    with FaultServer() as server:
        tag(data, server)
        invoke("ledger", "--ledger", folder / "ledger", "export", folder / "good.jsonl")
        (folder / "ledger").rename(folder / "good")
        shutil.rmtree(folder / "out.jsonl.run")
        say_ok(server)
        tag(data, server)
        words = ("ledger", "--ledger", folder / "ledger", "import")
        printed, _ = invoke(*words, folder / "good.jsonl")
        assert f"{N_ROWS} new replies" in printed
        printed, _ = invoke(*words, folder / "good.jsonl")
        assert "0 new replies" in printed
        assert count(server, lambda: tag(data, server)) == 0
        _, error = tag(data, server)
        assert error is None


def test_a_reply_that_a_second_one_mended_is_not_removed_as_unusable(
    data: Path,
) -> None:
    """Before: `--unusable` removed it, and both questions were paid for anew."""
    with FaultServer(
        Behaviour({"wrong-schema": 1.0})
    ) as server:  # heals when it is told
        assert count(server, lambda: tag(data, server)) == 2 * N_ROWS
        ledger = ("ledger", "--ledger", data.parent / "ledger")
        printed, _ = invoke(*ledger, "remove", "--unusable", "--yes")
        assert "nothing was removed" in printed
        shutil.rmtree(data.parent / "out.jsonl.run")
        assert count(server, lambda: tag(data, server)) == 0
        # By any other criterion it goes.
        printed, _ = invoke(*ledger, "remove", "--model", "tiny-1", "--yes")
        assert f"{2 * N_ROWS} replies removed" in printed
