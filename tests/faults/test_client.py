"""The client against a server that misbehaves in every way the server knows."""

import json
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.server.fault_server import (
    ALL,
    CONTENT,
    ENVELOPE,
    HARMLESS,
    TRANSPORT,
    Behaviour,
    FaultServer,
    Scripted,
)
from tests.server.questions import KEY, judge_requests, tag_requests

from tacos import llm
from tacos.config import LLMSettings
from tacos.errors import BudgetReachedError, LLMError
from tacos.llm.client import Client
from tacos.llm.ledger import ledger
from tacos.llm.ledger.ledger import Ledger
from tacos.records import Reply

Connect = Callable[..., Client]
FAST = {"retries": 4, "read_timeout": 1.0}


def behaving(faults: dict[str, float] | None = None, **more: object) -> FaultServer:
    """A server with short pauses."""
    return FaultServer(Behaviour(faults or {}, **{"seconds": 0.3, "hang": 2.0, **more}))  # type: ignore[arg-type]


def until(happened: Callable[[], bool]) -> None:
    """Wait for what must happen some time."""
    for _ in range(60_000):
        if happened():
            return
        time.sleep(0.001)
    raise AssertionError("it did not happen within a minute")


def texts(replies: list[Reply]) -> list[str | None]:
    return [reply.text for reply in replies]


@pytest.fixture(scope="module")
def right_answers(tmp_path_factory: pytest.TempPathFactory) -> list[str | None]:
    """What an undisturbed run answers to the questions below."""
    with behaving() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", KEY)
        folder = tmp_path_factory.mktemp("undisturbed")
        settings = LLMSettings(base_url=server.url, proxy="none")
        with (
            ledger.open_ledger(folder / "ledger.sqlite") as book,
            llm.connect(settings, "tiny-1", book) as client,
        ):
            return texts(client.answer(tag_requests(60)))


@pytest.mark.parametrize(
    "fault",
    [name for name in ALL if name not in ("refusal", "contradiction", "repeated")],
)
def test_a_passing_fault_loses_nothing(
    fault: str, connect: Connect, right_answers: list[str | None]
) -> None:
    with behaving({fault: 0.3}) as server:
        client = connect(server.url, **FAST)
        answers = texts(client.answer(tag_requests(60)))
        if fault == "length":  # of a list that was cut off, the complete items are kept
            assert all(answers)
        else:
            assert list(map(same, answers)) == list(map(same, right_answers))
        assert server.met[fault] >= 8
        assert server.early == []
        if fault.startswith("429"):
            assert len(server.waits) == server.met[fault]


def same(text: str | None) -> object:
    """An answer, whatever its blanks."""
    return None if text is None else orjson.loads(text)


@pytest.mark.parametrize("fault", [*CONTENT, *ENVELOPE, "500", "cut-body", "reset"])
def test_a_lasting_fault_is_a_failure_with_its_text_and_never_a_default(
    fault: str, connect: Connect
) -> None:
    with behaving({f"{fault}!": 0.2}) as server:
        replies = connect(server.url, retries=1).answer(judge_requests(60))
    if fault == "repeated":  # the same answer twice is the answer
        assert all(reply.text for reply in replies)
        return
    failed = [reply for reply in replies if reply.text is None]
    assert 4 <= len(failed) <= 24
    assert all(reply.failure for reply in failed)
    assert all(reply.raw for reply in failed) == (
        fault not in ("empty", "cut-body", "reset")
    )
    for reply in replies:
        if reply.text is not None:
            assert {"correctness_a", "value_b"} <= orjson.loads(reply.text).keys()


def test_a_lasting_bad_answer_is_asked_about_once_more_and_paid_for_once(
    connect: Connect, book: Ledger
) -> None:
    with behaving({"invalid-json!": 1.0}) as server:
        first = connect(server.url).answer(tag_requests(10))
        assert server.asked.total() == 20
        assert connect(server.url).answer(tag_requests(10)) == first
        assert server.asked.total() == 20
    assert book.size().n_replies == 20


def test_a_plain_text_of_another_form_is_asked_about_once_more(
    connect: Connect,
) -> None:
    """In words that fit a text, and with what the server says beside it."""
    schema = {
        "type": "string",
        "pattern": r"\[\[\d+\]\]",
        "description": "no rating such as [[5]] in it",
    }
    request = replace(tag_requests(1)[0], schema=schema)
    place = {"token": "M", "top_logprobs": [{"token": "M", "logprob": -0.5}]}

    def say(body: dict[str, Any]) -> Scripted:
        is_first = len(body["messages"]) == 2
        choice = {
            "message": {"content": "Good." if is_first else "[[7]]"},
            "finish_reason": "stop",
            "logprobs": {"content": [place]},
        }
        return Scripted(body={"model": "tiny-1", "choices": [choice]})

    with behaving(script=say) as server:
        (reply,) = connect(server.url).answer([request])
        assert reply.text == '"[[7]]"'
        assert reply.finish == "stop"
        assert reply.alternatives == (("M", -0.5),)
        _, again = server.bodies
        assert "no rating such as [[5]] in it" in again["messages"][-1]["content"]
        assert "JSON" not in again["messages"][-1]["content"]
        assert "response_format" not in again


def test_a_refusal_is_not_asked_again(connect: Connect) -> None:
    with behaving({"refusal!": 1.0}) as server:
        replies = connect(server.url).answer(tag_requests(5))
        assert server.asked.total() == 5
    assert {reply.failure for reply in replies} == {"refused: I can't help with that."}


def test_two_different_answers_are_none(connect: Connect) -> None:
    with behaving({"contradiction": 1.0}) as server:
        replies = connect(server.url).answer(judge_requests(5))
        assert server.asked.total() == 10
    assert all(reply.text for reply in replies)


def test_a_reply_that_nobody_asked_for_answers_nobody(connect: Connect) -> None:
    with behaving({"twice": 0.5}) as server:
        client = connect(server.url)
        replies = client.answer(tag_requests(200)) + client.answer(judge_requests(200))
        assert server.met["twice"] > 100
        assert len(server.asked) == 400
    assert all(reply.text and "SOMEONE" not in reply.text for reply in replies)


@pytest.mark.parametrize(
    ("behaviour", "model", "message"),
    [
        ({"key": "another key"}, "tiny-1", r"401.*OPENAI_API_KEY"),
        ({"key": "another key", "echo_key": True}, "tiny-1", r"401.*\[secret\]"),
        ({}, "tiny-2", r"404.*model `tiny-2` does not exist"),
    ],
)
def test_a_wrong_key_or_model_ends_at_the_first_reply(
    behaviour: dict[str, object], model: str, message: str, connect: Connect
) -> None:
    with behaving(**behaviour) as server:
        client = connect(server.url, model)
        with pytest.raises(LLMError, match=message) as error:
            client.answer(tag_requests(2000))
        assert server.asked.total() <= 64
        assert KEY not in str(error.value)
        assert "\n" not in str(error.value)
        with pytest.raises(LLMError):
            client.answer(tag_requests(1))


def test_an_address_where_nobody_answers_is_one_clear_error(connect: Connect) -> None:
    with pytest.raises(
        LLMError, match=r"^http://127.0.0.1:9/v1: cannot be reached \(.+\); check"
    ):
        connect("http://127.0.0.1:9/v1").answer(tag_requests(3))


def test_a_server_that_dies_trips_the_breaker_and_loses_nothing(
    connect: Connect, book: Ledger
) -> None:
    server = behaving(latency=0.05).start()
    client = connect(server.url, retries=1, concurrency=20)
    threading.Thread(
        target=lambda: (until(lambda: server.answered.total() > 50), server.stop())
    ).start()
    with pytest.raises(LLMError, match=r"requests in a row failed|cannot reach"):
        client.answer(tag_requests(5000))
    n_kept = book.size().n_replies
    assert n_kept >= server.answered.total() - 20
    assert client.tally.n_answered == n_kept


def test_a_server_without_response_format_is_found_out_once(connect: Connect) -> None:
    with behaving(refuses=("response_format",)) as server:
        assert all(texts(connect(server.url).answer(tag_requests(300))))
        n_before = server.asked.total()
        assert all(texts(connect(server.url).answer(tag_requests(50, 300))))
        assert (
            server.asked.total() == n_before + 50
        )  # the ledger remembers what the server takes


def test_a_server_that_takes_json_objects_only_gets_those(connect: Connect) -> None:
    with behaving(refuses=("response_format=json_schema",)) as server:
        assert all(texts(connect(server.url).answer(tag_requests(20))))


def test_a_server_that_wants_max_completion_tokens_gets_them(connect: Connect) -> None:
    with behaving(refuses=("max_tokens",)) as server:
        assert all(texts(connect(server.url).answer(tag_requests(20))))


def test_a_field_that_the_server_refuses_can_be_left_out(connect: Connect) -> None:
    with behaving(refuses=("temperature",)) as server:
        client = connect(server.url, omit=("temperature",))
        assert all(texts(client.answer(tag_requests(50))))
        assert server.asked.total() == 50


def test_concurrency_finds_what_the_server_bears(connect: Connect) -> None:
    with behaving(max_in_flight=10, latency=0.02) as server:
        client = connect(server.url)
        assert all(texts(client.answer(tag_requests(600))))
        assert client.tally.limit <= 24
        n_refused = server.asked.total() - 600
        assert n_refused < 600


def test_requests_per_minute_are_kept(connect: Connect) -> None:
    with behaving() as server:
        started = time.monotonic()
        connect(server.url, rpm=1200).answer(tag_requests(50))
        assert time.monotonic() - started > (50 - 20 - 1) / 20


def test_the_same_question_is_asked_once_however_often_it_comes(
    connect: Connect,
) -> None:
    with behaving(latency=0.05) as server:
        client = connect(server.url)
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(client.answer, [tag_requests(40) * 2] * 4))
        assert server.asked.total() == 40
    assert all(answer == answers[0] and all(texts(answer)) for answer in answers)
    assert answers[0][:40] == answers[0][40:]


def test_snapshot_usage_and_latency_are_kept(connect: Connect, book: Ledger) -> None:
    with behaving(latency=0.02) as server:
        reply = connect(server.url).answer(tag_requests(1))[0]
    entry = book.get([reply.key])[reply.key]
    assert (entry.asked, entry.model, entry.finish, entry.way) == (
        "tiny-1",
        "tiny-1-2026-01-01",
        "stop",
        "online",
    )
    assert entry.prompt_tokens > 100
    assert 0.02 <= entry.latency < 30
    assert reply.model == "tiny-1-2026-01-01"


def test_headers_and_query_go_along(connect: Connect) -> None:
    with behaving() as server:
        connect(
            server.url, headers={"X-Team": "blue"}, query={"api-version": "2024-10-21"}
        ).answer(tag_requests(1))
        assert server.headers[0]["X-Team"] == "blue"
        assert server.queries == ["api-version=2024-10-21"]


def test_a_proxy_is_used(connect: Connect) -> None:
    with behaving() as server:
        proxy = server.url.removesuffix("/v1")
        client = connect("http://api.invalid/v1", proxy=proxy)
        assert all(texts(client.answer(tag_requests(30))))
        assert server.headers[0]["Host"] == "api.invalid"


def test_tls_is_checked_against_the_given_certificates(
    connect: Connect, tmp_path: Path
) -> None:
    context = self_signed(tmp_path)
    server = behaving().start(tls=context)
    try:
        with pytest.raises(LLMError, match="certificate verify failed"):
            connect(server.url).answer(tag_requests(1))
        assert all(
            texts(
                connect(server.url, ca_file=str(tmp_path / "cert.pem")).answer(
                    tag_requests(30)
                )
            )
        )
    finally:
        server.stop()


def self_signed(folder: Path):
    """A server's TLS context with a certificate for 127.0.0.1 in `cert.pem`."""
    import ssl

    key, cert = folder / "key.pem", folder / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        key,
        "-out",
        cert,
        "-days",
        "2",
    ]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    try:
        subprocess.run([*command, *names], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the openssl command")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


@pytest.mark.parametrize("budget", ["60requests", "20ktokens", "0.02usd"])
def test_the_budget_is_a_hard_cap_and_the_rest_is_asked_later(
    budget: str, connect: Connect, book: Ledger
) -> None:
    prices = {"price_in": 1.0, "price_out": 1.0}
    with behaving(latency=0.01) as server:
        client = connect(server.url, budget=budget, **prices)
        with pytest.raises(BudgetReachedError, match="same command continues"):
            client.answer(tag_requests(300))
        client.close()
        n_kept = book.size().n_replies
        spent = book.meter.spent.of(book.meter.cap.unit)
        assert n_kept == server.answered.total()
        assert (
            0.9 * book.meter.cap.amount - 600 * 1e-6 <= spent <= book.meter.cap.amount
        )
        book.meter.__init__()  # type: ignore[misc]  # the next command's
        assert all(texts(connect(server.url, **prices).answer(tag_requests(300))))
        assert server.answered.total() == 300


def test_closing_keeps_what_is_in_flight(connect: Connect, book: Ledger) -> None:
    with behaving(latency=0.4) as server:
        client = connect(server.url, concurrency=16)
        failures: list[Exception] = []

        def ask() -> None:
            try:
                client.answer(tag_requests(100))
            except LLMError as error:
                failures.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        until(lambda: server.in_flight > 0 and server.answered.total() > 0)
        n_before = server.answered.total()
        client.close()
        thread.join(30)
        assert len(failures) == 1
        assert n_before < server.answered.total() < 100
        assert book.size().n_replies == server.answered.total() == server.asked.total()


def test_the_key_is_nowhere(
    connect: Connect, book: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with behaving(
        {"500!": 0.2, "invalid-json!": 0.2}, key=KEY, echo_key=True
    ) as server:
        replies = connect(server.url, retries=0).answer(tag_requests(40))
    assert book.export(tmp_path / "export.jsonl")
    book.flush()
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert KEY.encode() not in file.read_bytes(), file
    assert all(KEY not in reply.raw + reply.failure for reply in replies)
    assert KEY not in caplog.text


@pytest.mark.slow
def test_every_fault_at_a_tenth_of_2000_requests(
    connect: Connect, tmp_path: Path
) -> None:
    """Prints the table of the closing note: `pytest -m slow -s tests/faults/test_client.py -k
    tenth`.
    """
    for name in [
        *TRANSPORT,
        *ENVELOPE,
        *CONTENT,
        *HARMLESS,
        *(f"{each}!" for each in ("500", "invalid-json", "empty")),
    ]:
        with (
            behaving({name: 0.1}, seconds=1.0) as server,
            ledger.open_ledger(tmp_path / f"{name}.sqlite") as book,
        ):
            started = time.monotonic()
            client = connect(server.url, ledger=book, read_timeout=1.0, retries=2)
            replies = client.answer(judge_requests(1000)) + client.answer(
                tag_requests(1000)
            )
            seconds = time.monotonic() - started
            n_met = server.met[name.rstrip("!")]
            failed = [reply for reply in replies if reply.text is None]
            lasting = name.endswith("!") or name == "refusal"
            n_waits = f"{min(server.waits):.2f} s" if server.waits else ""
            reasons = dict(Counter(reply.failure.split(":")[0] for reply in failed))
            print(
                f"| {name} | {n_met} | {2000 - len(failed)} | {len(failed)} | {server.asked.total()} "
                f"| {n_waits} | {seconds:.1f} s | {reasons or ''} |"
            )
            client.close()
            assert len(replies) == 2000
            assert len(failed) == (n_met_questions(server, name) if lasting else 0)
            assert all(reply.raw or name == "empty!" for reply in failed)
            assert server.early == []


def n_met_questions(server: FaultServer, name: str) -> int:
    """Questions that met a lasting fault (a re-ask is the same row's)."""
    fault = name.rstrip("!")
    firsts = {
        json.dumps(json.loads(question)[:2], sort_keys=True)
        for question in server.asked
    }
    return sum(server.fault(first) == fault for first in firsts)


def test_nothing_but_replies_is_in_the_ledger(connect: Connect, book: Ledger) -> None:
    with behaving() as server:
        connect(server.url).answer(tag_requests(3))
    database = sqlite3.connect(book.location)
    text = orjson.dumps(database.execute("SELECT * FROM replies").fetchall()).decode()
    database.close()
    assert "Write poem" not in text
