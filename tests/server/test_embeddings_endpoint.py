"""Encoders of an embeddings endpoint, against a server that misbehaves."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from tests.server.answering import vector
from tests.server.fault_server import VECTORS, Behaviour, FaultServer
from tests.server.questions import KEY
from typer.testing import CliRunner

import tacos
from tacos import config
from tacos.cli import app
from tacos.config import EmbedSettings, LLMSettings
from tacos.errors import BudgetReachedError, ConfigError, LLMError
from tacos.llm.embedding.encoder import EndpointEncoder, LedgerEncoder
from tacos.llm.ledger.ledger import Ledger, open_ledger
from tacos.llm.ledger.reply_rules import build_reply_rules
from tacos.pipeline.model_factory import UserFunctions
from tacos.workflows import requests, select

TEXTS = [f"tag number {row}" for row in range(150)]
Open = Callable[..., EndpointEncoder]


@pytest.fixture
def open_encoder(book: Ledger) -> Iterator[Open]:
    """Encoders that are closed after the test."""
    with ExitStack() as stack:

        def make(
            url: str,
            ledger: Ledger = book,
            embed: EmbedSettings | None = None,
            **llm: object,
        ) -> EndpointEncoder:
            settings = LLMSettings(base_url=url, proxy="none", **{"retries": 2, **llm})  # type: ignore[arg-type]
            own = embed or EmbedSettings()
            return stack.enter_context(
                EndpointEncoder(own.endpoint(settings), own, "tiny-1", ledger)
            )

        yield make


def right(texts: list[str], dim: int = 16) -> np.ndarray:
    rows = np.array([vector(text, dim) for text in texts])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_vectors_have_length_one_and_stand_in_the_order_of_the_texts(
    open_encoder: Open, book: Ledger, tmp_path: Path
) -> None:
    with FaultServer() as server:
        encoder = open_encoder(server.url)
        found = encoder.encode([*TEXTS, TEXTS[3]])
        assert server.asked.total() == 3
    assert found.shape == (151, 16)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:150], right(TEXTS), atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert (found[150] == found[3]).all()
    assert book.spend()[0].prompt_tokens == encoder.tally.prompt_tokens
    assert book.size().n_replies == 150
    assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    assert not any(
        KEY.encode() in file.read_bytes()
        for file in tmp_path.rglob("*")
        if file.is_file()
    )


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_the_size_of_requests_changes_no_vector(
    encoding: str, open_encoder: Open, tmp_path: Path
) -> None:
    found = []
    with FaultServer() as server:
        for n in (1, 7, 64, 150):
            with open_ledger(tmp_path / f"{n}.sqlite") as book:
                embed = EmbedSettings(per_request=n, encoding=encoding)  # type: ignore[arg-type]
                found.append(open_encoder(server.url, book, embed).encode(TEXTS))
    assert all((other == found[0]).all() for other in found)


@pytest.mark.parametrize(
    "fault",
    [
        "429",
        "500",
        "503",
        "reset",
        "cut-body",
        "slow-body",
        "html",
        "error-200",
        *VECTORS,
    ],
)
def test_a_passing_fault_loses_nothing(fault: str, open_encoder: Open) -> None:
    with FaultServer(Behaviour({fault: 0.5}, seconds=0.2)) as server:
        found = open_encoder(server.url, embed=EmbedSettings(per_request=5)).encode(
            TEXTS
        )
        assert server.met[fault] >= 5
        assert server.early == []
    np.testing.assert_allclose(found, right(TEXTS), atol=1e-4)


@pytest.mark.parametrize("fault", ["nan", "wrong-count", "no-index", "500"])
def test_a_text_without_a_vector_stops_the_run_and_is_no_default(
    fault: str, open_encoder: Open
) -> None:
    with FaultServer(Behaviour({f"{fault}!": 1.0})) as server:
        encoder = open_encoder(server.url, retries=0)
        with pytest.raises(LLMError):
            encoder.encode(TEXTS)
        with pytest.raises(LLMError):
            encoder.encode(TEXTS)


def test_one_text_that_is_refused_is_found_and_the_others_are_kept(
    open_encoder: Open, book: Ledger
) -> None:
    server = FaultServer(Behaviour(poison="number 77"))
    with (
        server,
        pytest.raises(
            LLMError, match=r"no vector by tiny-1 for the text 'tag number 77'.*400"
        ),
    ):
        open_encoder(server.url).encode(TEXTS)
    assert book.size().n_replies >= 64


def test_a_vector_is_bought_once(open_encoder: Open, book: Ledger) -> None:
    with FaultServer() as server:
        first = open_encoder(server.url).encode(TEXTS)
        n_asked = server.asked.total()
        again = open_encoder(server.url, embed=EmbedSettings(per_request=7)).encode(
            TEXTS[::-1]
        )
        assert server.asked.total() == n_asked
        open_encoder(server.url).encode([*TEXTS, "new"])
        assert server.bodies[-1]["input"] == ["new"]
        open_encoder(server.url, embed=EmbedSettings(body={"dimensions": 8})).encode(
            ["new"]
        )  # other vectors, other keys
        assert server.asked.total() == n_asked + 2
    assert (again == first[::-1]).all()
    rules = build_reply_rules(LLMSettings(other_endpoints=True), book.opened_at)
    known = LedgerEncoder("tiny-1", EmbedSettings(), book, rules)
    assert (known.encode(TEXTS) == first).all()
    with pytest.raises(LLMError, match="1 vectors by tiny-1 are not in the ledger"):
        known.encode(["never asked"])


def test_two_processes_share_the_work(open_encoder: Open, tmp_path: Path) -> None:
    with (
        FaultServer(Behaviour(latency=0.1)) as server,
        ThreadPoolExecutor(2) as threads,
    ):
        with (
            open_ledger(tmp_path / "one.sqlite") as one,
            open_ledger(tmp_path / "one.sqlite") as two,
        ):
            encoders = [open_encoder(server.url, book) for book in (one, two)]
            first, second = threads.map(
                EndpointEncoder.encode, encoders, (TEXTS[:100], TEXTS[50:])
            )
            assert (first[50:] == second[:50]).all()
        assert max(server.answered.values()) == 1


def test_blank_texts_are_zero_and_long_ones_lose_their_middle(
    open_encoder: Open,
) -> None:
    with FaultServer() as server:
        encoder = open_encoder(server.url, embed=EmbedSettings(max_chars=30))
        found = encoder.encode(["", "x" * 500, "  \n", "a\ud800b"])
        sent = server.bodies[0]["input"]
        assert encoder.encode(["", " "]).shape == (2, 16)
        assert encoder.encode([]).shape == (0, 16)
    assert not found[[0, 2]].any()
    assert found[[1, 3]].any(axis=1).all()
    assert sent == [f"{'x' * 20}\n[... 470 characters left out ...]\n{'x' * 10}", "a?b"]


def test_a_model_that_changes_its_dimension_is_one_clear_error(
    open_encoder: Open,
) -> None:
    with FaultServer() as server:
        encoder = open_encoder(server.url)
        encoder.encode(TEXTS[:10])
        server.behaviour.dim = 32
        with pytest.raises(LLMError, match="have 16 and 32 numbers"):
            encoder.encode(TEXTS)


def test_the_budget_holds_for_vectors_too(open_encoder: Open, book: Ledger) -> None:
    with FaultServer() as server:
        encoder = open_encoder(
            server.url,
            embed=EmbedSettings(per_request=10),
            budget="5requests",
            concurrency=2,
        )
        with pytest.raises(BudgetReachedError):
            encoder.encode(TEXTS)
        assert server.asked.total() == 5
        assert book.size().n_replies == 50
        with pytest.raises(ConfigError, match=r"embed.price_in"):
            open_encoder(server.url, budget="1usd")


def test_a_wrong_key_ends_at_the_first_reply_and_is_never_shown(
    open_encoder: Open,
) -> None:
    with FaultServer(Behaviour(key="another key", echo_key=True)) as server:
        with pytest.raises(LLMError, match=r"401.*\[secret\]") as error:
            open_encoder(server.url).encode(TEXTS)
        assert KEY not in str(error.value)
        assert server.asked.total() <= 3


def test_an_endpoint_of_its_own_gets_no_key_or_header_of_the_other(
    open_encoder: Open,
) -> None:
    with FaultServer() as server:
        embed = EmbedSettings(base_url=server.url)
        encoder = open_encoder(
            "http://other.invalid/v1",
            embed=embed,
            headers={"X-Tenant": "secret tenant"},
        )
        assert encoder.encode(["a"]).shape == (1, 16)
        assert "Authorization" not in server.headers[0]
        assert "X-Tenant" not in server.headers[0]
        server.behaviour.key = "a key"
        with pytest.raises(LLMError, match=r"embed.key_env"):
            encoder.encode(["b"])


SETS = (
    "normalise.encoder=endpoint:tiny-1",
    "cluster.encoder=endpoint:tiny-1",
    "normalise.alpha=1",
)
WORDS = ("poem", "sum", "river", "bread", "law", "song", "map", "tax")
ROWS = [
    {"instruction": f"{WORDS[row % 8]} {WORDS[row // 8]}", "output": f"It is {row}."}
    for row in range(64)
]


def run(folder: Path, server: FaultServer, until: str, *sets: str) -> tacos.Selection:
    """A run whose encoders are the server's, and whose tags are words."""
    chosen = config.load_settings(
        "robust",
        None,
        (*SETS, *sets),
        llm={"base_url": server.url, "proxy": "none"},
        select={"n": 10},
    )
    own = (
        UserFunctions()
        if sets
        else UserFunctions(tagger=lambda texts: [text.split() for text in texts])
    )
    targets = select.OutputTargets(run=folder)
    return select.run_selection(
        ROWS,
        chosen,
        targets,
        own=own,
        ledger=folder.parent / "ledger",
        workers=1,
        until=until,
    )


def test_a_run_normalises_and_clusters_by_the_endpoint(tmp_path: Path) -> None:
    with FaultServer() as server:
        first = (
            run(tmp_path / "first", server, "cluster")
            .artifacts["clusters"]
            .scan()
            .collect()
        )
        assert first["cluster"].n_unique() > 2
        assert max(server.answered.values()) == 1  # both stages want the same vectors
        n_asked = server.asked.total()
        again = (
            run(tmp_path / "again", server, "cluster")
            .artifacts["clusters"]
            .scan()
            .collect()
        )
        assert again.equals(first)
        assert server.asked.total() == n_asked


def test_files_of_questions_are_made_without_asking_for_vectors(
    tmp_path: Path, book: Ledger
) -> None:
    with FaultServer() as server:
        run(tmp_path / "run", server, "tag", "tag.model=tiny-1")
        n_asked = server.asked.total()
        with (
            open_ledger(tmp_path / "ledger") as paid,
            pytest.raises(LLMError, match="are not in the ledger"),
        ):
            requests.find_pending_requests(tmp_path / "run", paid)
        assert server.asked.total() == n_asked


def test_it_says_that_tags_leave_the_machine(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    words = [
        "select",
        str(tmp_path / "rows.jsonl"),
        "-n",
        "10",
        "-o",
        str(tmp_path / "out.jsonl"),
    ]
    words += [
        "--set",
        "cluster.by=tags",
        "--set",
        "cluster.encoder=endpoint:tiny-1",
        "--set",
        "embed.base_url=http://vectors.invalid/v1",
    ]
    done = CliRunner().invoke(app, words)
    assert (
        "cluster: every canonical tag will be sent to vectors.invalid, model tiny-1"
        in done.output
    )
    assert isinstance(done.exception, ConfigError)
