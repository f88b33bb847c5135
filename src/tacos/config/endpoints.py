"""How endpoints are reached."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from tacos.config.section import SettingsSection

AsText = Annotated[str, BeforeValidator(str)]
"""Text, also where `--set` read a number or a date."""


class LLMSettings(SettingsSection):
    """The endpoint that answers prompts. Nothing here can change an answer but `model`, `body` and
    `omit`.

    Secrets are never settings: the key comes from the environment variable that `key_env` names;
    `${NAME}` in a header or in `proxy` stands for an environment variable.
    """

    base_url: str = ""
    """Up to and including `/v1`. Empty: OPENAI_BASE_URL, else OpenAI's own."""
    model: str = ""
    """The model of every stage that names none of its own."""
    key_env: str = "OPENAI_API_KEY"
    auth: Literal["bearer", "api-key", "none"] = "bearer"
    """How the key is sent: `Authorization: Bearer`, `api-key:` (Azure), or not at all."""
    headers: dict[str, AsText] = {}
    query: dict[str, AsText] = {}
    """Added to every URL, for example `api-version`."""
    body: dict[str, Any] = {}
    """Added to every request's body, for example `reasoning_effort`; part of the ledger key."""
    omit: tuple[str, ...] = ()
    """Names left out of the body because the server refuses them, for example `temperature`."""
    structured: Literal["auto", "json_schema", "json_object", "none"] = "auto"
    """What `response_format` asks for. `auto`: the strictest form that the server takes."""
    concurrency: int = Field(256, ge=1, le=20_000)
    """Most requests in flight; the client finds by itself how many the server bears."""
    rpm: int = Field(0, ge=0)
    """Requests per minute, 0: no limit."""
    tpm: int = Field(0, ge=0)
    """Tokens per minute (prompt and answer), 0: no limit."""
    connect_timeout: float = Field(10, gt=0)
    read_timeout: float = Field(180, gt=0)
    """Seconds without a byte from the server."""
    total_timeout: float = Field(600, gt=0)
    """Seconds for one whole exchange."""
    retries: int = Field(6, ge=0)
    """Tries after the first one, with pauses that double from about half a second."""
    max_wait: float = Field(900, gt=0)
    """The longest Retry-After, in seconds, that is waited for."""
    proxy: str = ""
    """Empty: HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment; `none`: no proxy."""
    ca_file: str = ""
    """A PEM file of certificates to trust instead of the system's."""
    budget: str = ""
    """A hard cap on one command: `5usd`, `2000000tokens` or `1000requests`; empty: none."""
    price_in: float | None = Field(None, ge=0)
    """Dollars per million prompt tokens, over the price table."""
    price_out: float | None = Field(None, ge=0)
    """Dollars per million answered tokens, over the price table."""


class EmbedSettings(SettingsSection):
    """Encoders of an embeddings endpoint: `endpoint:MODEL` as `normalise.encoder` or
    `cluster.encoder`.
    """

    base_url: str = ""
    """Empty: the endpoint of `llm`, with its key, headers and query. Another one gets only what
    stands here; either way time-outs, rates, retries, proxy and budget are those of `llm`.
    """
    key_env: str = ""
    """The environment variable with the key of `base_url`; empty: it gets none."""
    auth: Literal["bearer", "api-key", "none"] = "bearer"
    headers: dict[str, AsText] = {}
    query: dict[str, AsText] = {}
    body: dict[str, Any] = {}
    """Added to every request's body, for example `dimensions`; part of the ledger key."""
    encoding: Literal["float", "base64"] = "float"
    """How vectors are asked for; `base64` is a third of the bytes, where the server knows it."""
    per_request: int = Field(64, ge=1, le=2048)
    """Texts per request; changes no vector."""
    max_chars: int = Field(2000, gt=0)
    """Longer texts lose their middle, visibly, before they are asked."""
    price_in: float | None = Field(None, ge=0)
    """Dollars per million tokens, over the price table."""

    def endpoint(self, llm: LLMSettings) -> LLMSettings:
        """How the endpoint is reached: `llm` with what differs."""
        own: dict[str, Any] = {"body": {}, "omit": (), "price_in": self.price_in}
        own["price_out"] = None if self.price_in is None else 0.0
        if self.base_url:
            own |= {
                name: getattr(self, name)
                for name in ("base_url", "key_env", "auth", "headers", "query")
            }
        return llm.model_copy(update=own)
