"""The settings of endpoints: how they are reached, and what they cost."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from tacos.amounts import parse_budget
from tacos.config.section import SettingsSection

AsText = Annotated[str, BeforeValidator(str)]
"""Text, even where `--set` reads a number or a date."""


def _read_budget(value: Any) -> Any:
    """A cap as it was given, if it is one. Raises `ConfigError`."""
    if isinstance(value, str):
        parse_budget(value)
    return value


class LLMSettings(SettingsSection):
    """The endpoint that answers prompts. Only `model`, `body` and `omit` can change an answer.

    Secrets are never settings: the key comes from the environment variable named by `key_env`;
    `${NAME}` in a header or in `proxy` stands for an environment variable.
    """

    # Where and how
    base_url: str = ""
    """The URL up to and including `/v1`. Empty: OPENAI_BASE_URL, or else OpenAI's own."""
    model: str = ""
    """The model of every stage that does not name its own."""
    key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the API key."""
    auth: Literal["bearer", "api-key", "none"] = "bearer"
    """How the key is sent: `Authorization: Bearer`, `api-key:` (Azure), or not at all."""
    headers: dict[str, AsText] = {}
    """Added to the headers of every request."""
    query: dict[str, AsText] = {}
    """Added to every URL, for example `api-version`."""
    # What a request says
    body: dict[str, Any] = {}
    """Added to every request's body, for example `reasoning_effort`. Part of the ledger key."""
    omit: tuple[str, ...] = ()
    """Fields left out of the body because the server rejects them, for example `temperature`."""
    structured: Literal["auto", "json_schema", "json_object", "none"] = "auto"
    """What `response_format` asks for. `auto`: the strictest form that the server accepts."""
    # Which replies of the ledger count
    ask_again: bool = True
    """Whether a question whose reply cannot be used is asked again, once per command: first with
    what is wrong with the reply, and in later commands anew.
    """
    ask_refused: bool = False
    """Whether a question that was refused in an earlier command, by the model or a filter, is asked
    anew, once per command. A refusal is an answer otherwise.
    """
    other_endpoints: bool = False
    """Whether replies in the ledger that another endpoint gave under the same model name are used
    (`--yes` allows it for one command).
    """
    offline: bool = False
    """Whether to answer from the ledger alone: a question without a reply there stops the run, and
    so does one with an unusable reply, unless `ask_again` is off.
    """
    # How fast, and how long to wait
    concurrency: int = Field(256, ge=1, le=20_000)
    """Maximum number of requests in flight. The client adapts to what the server can handle."""
    rpm: int = Field(0, ge=0)
    """Maximum number of requests per minute. 0: no limit."""
    tpm: int = Field(0, ge=0)
    """Maximum number of tokens per minute (prompt and answer). 0: no limit."""
    connect_timeout: float = Field(10, gt=0)
    """Seconds to wait for a connection."""
    read_timeout: float = Field(180, gt=0)
    """Seconds to wait without receiving a byte."""
    total_timeout: float = Field(600, gt=0)
    """Seconds that one request may take in total."""
    retries: int = Field(6, ge=0)
    """Attempts after the first one, with pauses that double from about half a second."""
    max_wait: float = Field(900, gt=0)
    """The longest Retry-After to wait for, and how long to go on while every request is refused
    (429), in seconds.
    """
    stop_early: bool = True
    """Whether a stage stops as soon as its answers show that too many of them cannot be used (a
    test on questions drawn at random; it errs in at most 2% of runs in which no more than four
    fifths of `max_failure_rate` fail), or that the server only fails. `false`: every question is
    asked.
    """
    # The network in between
    proxy: str = ""
    """URL of a proxy. Empty: HTTPS_PROXY, HTTP_PROXY and NO_PROXY apply. `none`: no proxy."""
    ca_file: str = ""
    """A PEM file of certificates to trust instead of the system's."""
    # What it may cost
    budget: Annotated[str, BeforeValidator(_read_budget)] = ""
    """A hard cap on one command: `5usd`, `2000000tokens` or `1000requests`. Empty: no cap."""
    price_in: float | None = Field(None, ge=0)
    """Dollars per million prompt tokens; overrides the price table."""
    price_out: float | None = Field(None, ge=0)
    """Dollars per million answer tokens; overrides the price table."""
    price_batch: float | None = Field(None, ge=0)
    """What the batch API costs of that: 0.5 for half; overrides the price table. Where neither says
    it, a quote has no price by batch, and a budget in dollars reckons with the full one.
    """


class EmbedSettings(SettingsSection):
    """Encoders at an embeddings endpoint: `endpoint:MODEL` as `normalise.encoder` or
    `cluster.encoder`.
    """

    base_url: str = ""
    """Empty: the endpoint of `llm`, with its key, headers and query. Any other endpoint is sent
    only what is set in this section. Either way, time-outs, rates, retries, proxy and budget are
    those of `llm`.
    """
    key_env: str = ""
    """The environment variable that holds the key for `base_url`. Empty: no key is sent."""
    auth: Literal["bearer", "api-key", "none"] = "bearer"
    """How the key is sent, as in `llm.auth`."""
    headers: dict[str, AsText] = {}
    """Added to the headers of every request to `base_url`."""
    query: dict[str, AsText] = {}
    """Added to every URL under `base_url`."""
    body: dict[str, Any] = {}
    """Added to every request's body, for example `dimensions`. Part of the ledger key."""
    encoding: Literal["float", "base64"] = "float"
    """The format of vectors. `base64` is a third of the size, where the server supports it."""
    per_request: int = Field(64, ge=1, le=2048)
    """Texts per request. Does not change the vectors."""
    max_chars: int = Field(2000, gt=0)
    """Longer texts lose their middle, which is marked, before they are sent."""
    price_in: float | None = Field(None, ge=0)
    """Dollars per million tokens; overrides the price table."""

    def endpoint(self, llm: LLMSettings) -> LLMSettings:
        """How the endpoint is reached: `llm` with what differs."""
        changes: dict[str, Any] = {
            "body": {},
            "omit": (),
            "price_in": self.price_in,
            # Embeddings have no answer to pay for.
            "price_out": None if self.price_in is None else 0.0,
            "price_batch": None,
        }
        if self.base_url:
            for name in ("base_url", "key_env", "auth", "headers", "query"):
                changes[name] = getattr(self, name)
        return llm.model_copy(update=changes)
