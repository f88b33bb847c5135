"""Reads what settings are written in: the only place that reads TOML."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from tacos.errors import ConfigError


def read_criteria_file(file: Path) -> str:
    """The text of a criteria file."""
    try:
        text = file.read_text("utf-8").strip()
    except OSError as error:
        raise ConfigError(f"criteria file {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"criteria file {file} is not UTF-8 text") from None
    if not text:
        raise ConfigError(f"criteria file {file} is empty")
    return text


def read_object_file(file: Path) -> dict[str, Any]:
    """The object in a TOML or a JSON file, told by its suffix."""
    if file.suffix.lower() != ".json":
        return read_toml_file(file)
    try:
        value = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"file {file}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"file {file} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"file {file} holds no JSON object")
    return value


def read_toml_file(file: Path) -> dict[str, Any]:
    """The content of a TOML file."""
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"file {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"file {file} is not TOML: {error}") from None
