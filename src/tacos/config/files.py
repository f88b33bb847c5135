"""Reads the files that settings are written in; the only place that reads TOML."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

from tacos.errors import ConfigError


def read_criteria_file(file: Path) -> str:
    """The text of a criteria file."""
    text = _read_text(file, "criteria file").strip()
    if not text:
        raise ConfigError(f"criteria file {file} is empty")
    return text


def read_object_file(file: Path) -> dict[str, Any]:
    """The object in a JSON file (suffix `.json`), or in a TOML file."""
    if file.suffix.lower() != ".json":
        return read_toml_file(file)
    text = _read_text(file)
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"file {file} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"file {file} does not hold a JSON object")
    return value


def read_toml_file(file: Path) -> dict[str, Any]:
    """The content of a TOML file."""
    text = _read_text(file)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"file {file} is not TOML: {error}") from None


def digest_file(file: Path) -> str:
    """32 hex digits (BLAKE2b) of the content of a file; `ConfigError` if it cannot be read."""
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, _new_hash).hexdigest()
    except OSError as error:
        raise ConfigError(f"file {file} {_describe(error)}") from None


def _new_hash() -> Any:
    return hashlib.blake2b(digest_size=16)


def _read_text(file: Path, kind: str = "file") -> str:
    """The text of a file; `ConfigError` if it cannot be read."""
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{kind} {file} {_describe(error)}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{kind} {file} is not UTF-8 text") from None


def _describe(error: OSError) -> str:
    """Why a file cannot be read, and what to do."""
    if isinstance(error, FileNotFoundError):
        return "does not exist; check the name"
    if isinstance(error, IsADirectoryError):
        return "is a folder; name a file"
    return f"cannot be read: {error.strerror}; mend that, or name another"
