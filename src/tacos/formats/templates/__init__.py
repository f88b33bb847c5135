"""Chat templates: how a chat becomes the text that a model reads, and what of it is trained on.

Each template is a Jinja2 file for `tokenizer.apply_chat_template` of transformers, with
`{% generation %}` around what is trained on; TRL and Axolotl take the file as it is. `render_chat`
renders it without transformers, in the same environment, and says where the trained spans stand.
A prompt with `add_generation_prompt` is the beginning of the text with its answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tacos.errors import ConfigError, hint_at_nearest

TEMPLATES = (
    "chatml",
    "llama-2",
    "mistral",
    "vicuna-1.1",
    "alpaca",
)
BEGIN_TOKEN = "<s>"
END_TOKEN = "</s>"
"""Tokens of Llama and Mistral; a trainer puts those of its model in their place."""

Span = tuple[int, int]


class TemplateRefusal(Exception):
    """Why a template has no form for a chat."""


@dataclass(frozen=True, slots=True)
class RenderedChat:
    """A text, and the spans of it that are trained on: (start, end) in characters, one for each
    answer.
    """

    text: str
    spans: tuple[Span, ...]


def read_template(name: str) -> str:
    """The text of a template. Raises `ConfigError` for an unknown name."""
    if name not in TEMPLATES:
        raise ConfigError(
            f"unknown template {name!r}; choose from {', '.join(TEMPLATES)}"
            f"{hint_at_nearest(name, TEMPLATES)}"
        )
    return files(__name__).joinpath(f"{name}.jinja").read_text("utf-8")


def render_chat(
    template: str,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] = (),
    *,
    add_generation_prompt: bool = False,
) -> RenderedChat:
    """The text of a chat by a template's name.

    >>> chat = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]
    >>> rendered = render_chat("mistral", chat)
    >>> rendered.text, [rendered.text[start:end] for start, end in rendered.spans]
    ('<s>[INST] Hi. [/INST] Hello.</s>', [' Hello.</s>'])

    Raises `TemplateRefusal` for a chat that the template has no form for.
    """
    parts: list[str] = []
    spans: list[Span] = []

    def note_span(text: str) -> str:
        """Note where a trained text stands: after all that was rendered before it."""
        start = sum(map(len, parts))
        spans.append((start, start + len(text)))
        return text

    compiled = _compile_template(template)
    stream = compiled.generate(
        messages=messages,
        tools=list(tools) or None,
        add_generation_prompt=add_generation_prompt,
        bos_token=BEGIN_TOKEN,
        eos_token=END_TOKEN,
        note_span=note_span,
    )
    try:
        # Each part is kept before the next one is rendered, so spans know their place.
        for part in stream:
            parts.append(part)  # noqa: PERF402 - spans read it meanwhile
    except TemplateError as error:
        raise TemplateRefusal(error.message or type(error).__name__) from None
    return RenderedChat("".join(parts), tuple(spans))


class _GenerationMarks(Extension):
    """The tag `{% generation %}`, as transformers has it."""

    tags = {"generation"}  # noqa: RUF012 - the name and type that jinja2 asks for

    def parse(self, parser: Parser) -> nodes.Node:
        """A block whose text is given to `note_span`."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = nodes.Call(
            nodes.Name("mark_span", "load"),
            [nodes.Name("note_span", "load")],
            [],
            None,
            None,
        )
        return nodes.CallBlock(call, [], [], body).set_lineno(line)


def _mark_span(note_span: Callable[[str], str], caller: Callable[[], str]) -> str:
    """The text of a generation block."""
    return note_span(caller())


def _raise_exception(message: str) -> None:
    """What templates call for a chat that they have no form for."""
    raise TemplateError(message)


def _dump_json(value: Any) -> str:
    """The filter `tojson` of transformers: that of Jinja2 escapes for HTML."""
    return json.dumps(value, ensure_ascii=False)


@cache
def _open_environment() -> ImmutableSandboxedEnvironment:
    """The environment in which transformers renders templates."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[_GenerationMarks],
    )
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["mark_span"] = _mark_span
    environment.filters["tojson"] = _dump_json
    return environment


@cache
def _compile_template(name: str) -> Any:
    return _open_environment().from_string(read_template(name))
