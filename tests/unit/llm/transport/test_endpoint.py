"""Addresses, headers and secrets."""

import pytest

from tacos.config import LLMSettings
from tacos.errors import ConfigError
from tacos.llm.transport.endpoint import resolve_endpoint
from tacos.llm.transport.redaction import HIDDEN

KEY = "sk-very-secret-key"


def test_the_environment_names_server_and_key() -> None:
    found = resolve_endpoint(
        LLMSettings(proxy="none"),
        {"OPENAI_BASE_URL": "http://host:1/v1/", "OPENAI_API_KEY": KEY},
    )
    assert found.url("/chat/completions") == "http://host:1/v1/chat/completions"
    assert found.headers["Authorization"] == f"Bearer {KEY}"


def test_azure_takes_its_own_header_and_a_query() -> None:
    settings = LLMSettings(
        base_url="https://x.example/openai",
        auth="api-key",
        query={"api-version": "2024-10-21"},
        proxy="none",
    )
    found = resolve_endpoint(settings, {"OPENAI_API_KEY": KEY})
    assert found.headers == {"api-key": KEY}
    assert found.url("/chat/completions").endswith(
        "/chat/completions?api-version=2024-10-21"
    )


def test_headers_may_name_environment_variables() -> None:
    settings = LLMSettings(
        base_url="http://h/v1", headers={"X-Team": "${TEAM_TOKEN}"}, proxy="none"
    )
    found = resolve_endpoint(settings, {"TEAM_TOKEN": "tok-123456"})
    assert found.headers["X-Team"] == "tok-123456"
    assert found.redact("the header was tok-123456.") == f"the header was {HIDDEN}."
    with pytest.raises(ConfigError, match="TEAM_TOKEN"):
        resolve_endpoint(settings, {})


def test_no_secret_is_printed() -> None:
    found = resolve_endpoint(
        LLMSettings(base_url="http://h/v1", proxy="none"), {"OPENAI_API_KEY": KEY}
    )
    assert KEY not in repr(found)
    assert KEY not in found.redact(f"Incorrect API key provided: {KEY}")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/v1",
        "localhost:8000",
        "http://",
        "https://me:pw@host/v1",
        "https://host/v1?api-version=1",
    ],
)
def test_bad_addresses_are_one_clear_error(url: str) -> None:
    with pytest.raises(ConfigError):
        resolve_endpoint(LLMSettings(base_url=url), {})


def test_a_folder_of_models_is_no_language_model(tmp_path) -> None:
    """As `tacos refine RUN --llm mymodel/` would have it rewrite."""
    with pytest.raises(
        ConfigError,
        match="is a folder of models, but a language model is needed here",
    ):
        resolve_endpoint(LLMSettings(base_url=str(tmp_path)), {})


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "日本"])
def test_headers_cannot_smuggle(value: str) -> None:
    with pytest.raises(ConfigError):
        resolve_endpoint(
            LLMSettings(base_url="http://h/v1", headers={"X-A": value}), {}
        )
