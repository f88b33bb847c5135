"""Prompt templates as text files: `<template>.txt`, with the parts `[system]` and `[user]`.

`{{name}}` stands for a field as fenced data, `{{=name}}` for a field word for word (settings only,
never data), `{{fence}}` for the mark of the fence. A paragraph with a field that a request does not
have is left out. `tacos.llm.chat.messages` renders the templates.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from tacos.errors import ConfigError


@cache
def read_template(template: str) -> str:
    """The text of a template. Raises `ConfigError` for an unknown name."""
    file = files(__name__).joinpath(f"{template}.txt")
    if not file.is_file():
        raise ConfigError(f"unknown prompt template {template!r}")
    return file.read_text("utf-8")


def hash_template(template: str) -> str:
    """32 hex digits of the template's content: new wording makes a new question."""
    return hashlib.blake2b(read_template(template).encode(), digest_size=16).hexdigest()
