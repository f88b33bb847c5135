"""Keys and passwords stay where they are: issue 13, the attack's items 23 and 24.

Before: `--llm user:hunter2@host/v1` was printed whole; a key across the cut of a message at 300
characters was shown in part; a key was hidden only as it is and as it stands in a URL; and settings
with a literal key were written into runs. Now: no message repeats a value that may be a secret, what
a server says is cleaned in every form before anything reads it, and literal secrets are refused.
"""

import base64
import html
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.fault_server import Behaviour, FaultServer, Scripted
from typer.testing import CliRunner

from tacos.cli import app
from tacos.config import LLMSettings, load_settings
from tacos.errors import ConfigError
from tacos.llm.transport.endpoint import resolve_endpoint
from tacos.llm.transport.redaction import list_secrets, redact

AWKWARD = "abcXYZ019\"'\\/+=%&<>#:@;,.~ é-_$[(*?|"
FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "json": json.dumps,
    "json in json": lambda text: json.dumps(json.dumps(text)),
    "json, not ascii": lambda text: json.dumps(text, ensure_ascii=False),
    "escaped slashes": lambda text: json.dumps(text).replace("/", "\\/"),
    "all escaped": lambda text: "".join(f"\\u{ord(letter):04X}" for letter in text),
    "quote": quote,
    "quote all": lambda text: quote(text, safe=""),
    "quote plus": quote_plus,
    "html": html.escape,
    "repr": repr,
    "upper": str.upper,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
}


def show(secret: str, form: str) -> str:
    """A secret in a form, without the quotes around it."""
    text = FORMS[form](secret)
    n_quotes = {"json in json": 3}.get(form, int("json" in form or form == "repr"))
    if form == "escaped slashes":
        n_quotes = 1
    return text[n_quotes : len(text) - n_quotes] if n_quotes else text


@pytest.mark.parametrize("form", FORMS)
@given(secret=st.text(AWKWARD, min_size=4, max_size=40))
def test_a_secret_is_hidden_in_every_form(form: str, secret: str) -> None:
    shown = show(secret, form)
    hidden = redact(f"<<<{shown}>>>", list_secrets([secret]))
    assert hidden.startswith("<<<")
    assert hidden.endswith(">>>")
    assert shown not in hidden
    # Base64 may keep the signs that fill it up.
    assert hidden.replace("=", "") in ("<<<[secret]>>>", f"<<<{'[secret]' * 2}>>>")


def test_what_holds_no_secret_stays_as_it_is() -> None:
    secrets = list_secrets(["sk-0123456789", "Bearer abcdefgh12", "abc"])
    text = 'The bearer of "abc" said: 50% of \\u0041 &amp; b.'
    assert redact(text, secrets) == text
    assert redact("token abcdefgh12!", secrets) == "token [secret]!"


def test_parts_of_credentials_are_secrets_too() -> None:
    environment = {
        "PROXY": "http://me:hunter2@proxy:3128",
        "BASIC": base64.b64encode(b"ann:open sesame").decode(),
    }
    settings = LLMSettings(
        base_url="http://h/v1",
        proxy="${PROXY}",
        headers={"Authorization": "Basic ${BASIC}"},
    )
    endpoint = resolve_endpoint(settings, environment)
    for text in ("hunter2", "me:hunter2", "open sesame", "ann:open sesame"):
        assert endpoint.redact(f"it was {text}.") == "it was [secret]."


# Nothing is printed, and nothing goes into a run


@pytest.mark.parametrize(
    "address",
    [
        "ann:hunter2@host/v1",
        "//ann:hunter2@host/v1",
        "https://ann:hunter2@host:99999/v1",
        "ftp://ann:hunter2@host/v1",
        "https://hunter2@host/v1",
        "sk-hunter2hunter2",
        "https://gw/sk-hunter2hunter2/v1",
        "https://gw/v1?code=hunter2",
        'hunter2"\\/+=',
        "hunter2hunter2hunter2hunter2",
    ],
)
@pytest.mark.parametrize("option", ["--llm", "llm.base_url", "OPENAI_BASE_URL"])
def test_an_address_with_a_credential_is_refused_and_not_repeated(
    address: str, option: str, tmp_path: Path
) -> None:
    words = {
        "--llm": ["--llm", address, "--model", "m"],
        "llm.base_url": ["--set", f"llm.base_url={address}", "--model", "m"],
        "OPENAI_BASE_URL": ["--model", "m"],
    }[option]
    said = select(tmp_path, words, {"OPENAI_BASE_URL": address})
    assert "hunter2" not in said
    assert "llm.base_url" in said
    assert "\n" not in said.strip()


@pytest.mark.parametrize(
    "setting",
    [
        "llm.key_env=sk-hunter2hunter2",
        "llm.key_env=hunter2+/",
        "llm.query.code=hunter2",
        "llm.query.sig=hunter2",
        "llm.query.pw=hunter2",
        "llm.query.x=sk-hunter2hunter2",
        "llm.headers.X-Signature=hunter2",
        "llm.headers.Ocp-Apim-Subscription=hunter2",
        "llm.headers.Authorization=Bearer hunter2 ${HOME}",
        "llm.headers.Authorization=Bearer ${HOME} hunter2",
        "llm.headers.X-Any=sk-hunter2hunter2",
        "llm.headers=hunter2",
        "llm.headers.X-Key:hunter2",
        "llm.proxy=http://ann:hunter2@proxy",
        "llm.proxy=http://ann:hunter2${HOME}@proxy",
        "llm.proxy=http://proxy?token=hunter2",
        "llm.body.api_key=hunter2",
        "llm.body.x=sk-hunter2hunter2",
        "embed.headers.api-key=hunter2",
        "embed.key_env=sk-hunter2hunter2",
    ],
)
def test_a_literal_secret_is_refused_by_every_command(
    setting: str, tmp_path: Path
) -> None:
    said = select(tmp_path, ["--set", setting], {})
    assert "hunter2" not in said
    assert said.startswith("ConfigError: ")
    assert not list(tmp_path.glob("*.run/run.json"))


@pytest.mark.parametrize(
    "llm",
    [
        {"headers": {"Authorization": "Bearer ${KEY}", "Cookie": "session=${KEY}"}},
        {"headers": {"X-Title": "tacos", "anthropic-version": "2023-06-01"}},
        {"query": {"api-version": "2024-10-21", "code": "${KEY}"}},
        {"proxy": "http://ann:${KEY}@proxy:3128"},
        {"proxy": "http://proxy:3128"},
        {"body": {"prompt_cache_key": "tacos", "max_tokens": 5}},
        {"base_url": "https://gateway.example/0123456789abcdef0123456789abcdef/v1"},
        {"key_env": "MY_KEY"},
    ],
)
def test_what_is_no_secret_is_taken(llm: dict[str, Any]) -> None:
    settings = load_settings(llm=llm)
    resolve_endpoint(settings.llm, {"KEY": "hunter2", "OPENAI_BASE_URL": "http://h/v1"})


def select(folder: Path, words: list[str], environment: dict[str, str]) -> str:
    """What `tacos select` says, its error included."""
    data = folder / "rows.jsonl"
    data.write_text('{"instruction": "Name a river.", "output": "The Elbe."}\n' * 2)
    command = ["select", str(data), "-n", "1", *words]
    done = CliRunner().invoke(app, command, env=environment)
    error = done.exception
    assert isinstance(error, ConfigError), done.output
    return f"{done.output}{type(error).__name__}: {error}"


# A server that repeats secrets


@pytest.mark.parametrize("seed", range(3))
def test_no_echo_reaches_a_person_or_a_file(seed: int, tmp_path: Path) -> None:
    """Good answers, refused rows, and errors at the cut of messages, in all forms."""
    generator = random.Random(seed)
    secrets = {}
    for name in ("OPENAI_API_KEY", "TEAM", "CODE"):
        letters = generator.choices(AWKWARD, k=20)
        secrets[name] = "k" + "".join(letters).strip() + "z"
    echoes = [show(secret, form) for secret in secrets.values() for form in FORMS]

    def answer(body: dict[str, Any]) -> Scripted:
        echo = echoes[generator.randrange(len(echoes))]
        padding = "x" * generator.randrange(250, 300)
        if generator.random() < 0.3:
            error = {"message": f"{padding} bad key {echo} of {echo}"}
            return Scripted(400, {"error": error})
        tags = {"tags": [{"tag": echo, "explanation": f"It is {echo}."}]}
        message = {"role": "assistant", "content": json.dumps(tags)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return Scripted(body={"model": echo, "choices": [choice], "usage": {}})

    rows = [
        {"instruction": f"Name {n} rivers of land {n}.", "output": f"River {n}."}
        for n in range(30)
    ]
    data = tmp_path / "rows.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    with FaultServer(Behaviour(script=answer)) as server:
        command = [
            *("select", str(data), "-n", "5", "--llm", server.url, "--model", "m"),
            *("--set", "judge.model=embedded", "--set", "tag.max_failure_rate=0.9"),
            *("--set", "llm.headers.X-Team=${TEAM}", "--set", "llm.query.code=${CODE}"),
            *("-o", str(tmp_path / "out.jsonl"), "--ledger", str(tmp_path / "ledger")),
        ]
        done = CliRunner().invoke(app, command, env={**secrets, "HTTP_PROXY": ""})
    texts = {"printed": f"{done.output} {done.exception}"}
    for file in tmp_path.rglob("*"):
        if file.suffix == ".parquet":
            rows_of_file = pl.read_parquet(file).to_dicts()
            texts[file.name] = json.dumps(rows_of_file, ensure_ascii=False, default=str)
        elif file.is_file():
            texts[str(file)] = file.read_bytes().decode("utf-8", "replace")
    assert any("[secret]" in text for text in texts.values())
    for place, text in texts.items():
        for secret in secrets.values():
            for form in FORMS:
                shown = show(secret, form).rstrip("=")
                assert shown not in text, (place, form)
                assert shown[:12] not in text, (place, form)
