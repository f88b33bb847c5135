"""No network, no key: issue 13, A4.

`tacos select --model M` without a network or a key. Before: one right line, then 250 lines "Future
exception was never retrieved", and no word that no key is set. After: one line, which names the key
that is missing by the setting of its own section, or the address that cannot be reached.
"""

import asyncio
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cases.test_early_stopping import Connect
from tests.server.fault_server import Behaviour, FaultServer
from tests.server.questions import KEY, tag_requests
from tests.server.support import book, connect, environment

from tacos.config import EmbedSettings, LLMSettings
from tacos.errors import ConfigError, LLMError
from tacos.llm.embedding.encoder import EndpointEncoder
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.sending.event_loop import EventLoopThread

__all__ = ["book", "connect", "environment"]

NOWHERE = "http://nowhere.invalid/v1"


def select(folder: Path, *words: str, key: str | None) -> list[str]:
    """The lines that `tacos select` prints before it ends with exit code 2."""
    data = folder / "rows.jsonl"
    rows = [
        {"instruction": f"Name {n} hills of land {n}.", "output": f"Hill {n}."}
        for n in range(200)
    ]
    data.write_text("\n".join(map(json.dumps, rows)))
    environment = {
        name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"
    }
    if key is not None:
        environment["OPENAI_API_KEY"] = key
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tacos", "select", str(data), "-n", "5", "--yes"),
            "--json",  # no line for each stage
            *("-o", str(folder / "out.jsonl"), "--ledger", str(folder / "ledger")),
            *words,
        ],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 2
    return done.stderr.splitlines()


def test_a_name_that_no_server_has_is_one_line(tmp_path: Path) -> None:
    lines = select(tmp_path, "--llm", NOWHERE, "--model", "m", key=KEY)
    assert len(lines) == 1
    assert "nowhere.invalid" in lines[0]
    assert "cannot be reached" in lines[0]
    assert "llm.base_url" in lines[0]


def test_a_key_that_is_not_set_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    lines = select(tmp_path, "--model", "gpt-4o-mini", key=None)
    assert len(lines) == 1
    assert "OPENAI_API_KEY (llm.key_env), which is not set" in lines[0]


def test_a_refused_chat_names_the_setting_of_chat(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with FaultServer(Behaviour(key=KEY)) as server:
        for settings, words in (
            ({}, "OPENAI_API_KEY (llm.key_env), which is not set"),
            ({"key_env": ""}, "holds the key in llm.key_env"),
            ({"auth": "none"}, "llm.auth=none sends no key"),
        ):
            with pytest.raises(LLMError, match="401") as error:
                connect(server.url, **settings).answer(tag_requests(5))
            assert words in str(error.value)


def test_a_refused_embedding_names_the_setting_of_embeddings(
    book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endpoint of its own has its own key; otherwise it is that of chat."""
    with FaultServer(Behaviour(key=KEY)) as server:
        llm = LLMSettings(base_url=server.url, key_env="CHAT_KEY")
        for own, words in (
            ({"base_url": server.url}, "holds the key in embed.key_env"),
            (
                {"base_url": server.url, "key_env": "VECTOR_KEY"},
                "VECTOR_KEY (embed.key_env), which is not set",
            ),
            ({}, "CHAT_KEY (llm.key_env), which is not set"),
        ):
            settings = EmbedSettings.model_validate(own)
            endpoint = settings.endpoint(llm)
            with EndpointEncoder(endpoint, settings, "tiny-1", book) as encoder:
                with pytest.raises(LLMError, match="401") as error:
                    encoder.encode(["poetry"])
                assert words in str(error.value)


def test_openai_is_not_asked_for_vectors_without_a_key(book: Ledger) -> None:
    settings = EmbedSettings(base_url="https://api.openai.com/v1")
    endpoint = settings.endpoint(LLMSettings())
    with (
        EndpointEncoder(endpoint, settings, "text-embedding-3-small", book) as encoder,
        pytest.raises(ConfigError, match=r"embed\.key_env"),
    ):
        encoder.encode(["poetry"])


def test_an_error_that_nobody_waits_for_is_no_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And one in a call of the loop stops the client, or somebody would wait for ever."""
    met: list[BaseException] = []
    loop = EventLoopThread(met.append)

    async def leave_errors() -> None:
        future = asyncio.get_running_loop().create_future()
        future.set_exception(OSError("Name or service not known"))
        del future
        asyncio.get_running_loop().call_soon(int, "no number")
        await asyncio.sleep(0.01)

    with caplog.at_level(logging.INFO):
        loop.start(leave_errors())
        loop.close()
    assert not caplog.records
    assert [type(error) for error in met] == [ValueError]
