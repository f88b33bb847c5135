"""Checks of what a Python caller gives: a wrong type is a `TypeError` of one line, a value that is
none of the choices a `ConfigError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from tacos.errors import ConfigError, hint_at_nearest
from tacos.formats.pinned_files import MARK, PinnedFile, fetch_file
from tacos.formats.reading import check_file_name
from tacos.llm.ledger.location import (
    LedgerLocation,
    PostgresAddress,
    parse_location,
)


def to_path(name: str, value: Any) -> Path:
    """The argument `name` as a path. Raises `TypeError` if it is none, `InputError` if its name is
    not UTF-8.
    """
    if isinstance(value, str | PathLike):
        path = Path(value)
        check_file_name(path)
        return path
    raise TypeError(f"{name} must be a path, not {type(value).__name__}")


def to_optional_path(name: str, value: Any) -> Path | None:
    """The argument `name` as a path, or None. Raises `TypeError` if it is neither."""
    return None if value is None else to_path(name, value)


def to_ledger_location(value: Any) -> LedgerLocation | None:
    """The argument `ledger` as a location, or None. Raises `TypeError` if it is neither,
    `ConfigError` for an address that is none of a ledger.
    """
    if value is None:
        return None
    if not isinstance(value, str | PathLike | PostgresAddress):
        kind = type(value).__name__
        raise TypeError(f"ledger must be a path or an address, not {kind}")
    location = parse_location(value)
    if isinstance(location, Path):
        check_file_name(location)
    return location


def list_items(given: Any) -> list[Any]:
    """The items of an argument that takes several; a text, a path or a number is one item.

    >>> list_items("mig"), list_items(10), list_items(("mig", "tacos"))
    (['mig'], [10], ['mig', 'tacos'])
    """
    if isinstance(given, str | PathLike) or not isinstance(given, Iterable):
        return [given]
    return list(given)


def to_paths(name: str, given: Any) -> list[Path]:
    """The paths of an argument that takes several.

    Raises `TypeError` for what is no path.

    >>> to_paths("answers", "a.jsonl")
    [PosixPath('a.jsonl')]
    """
    return [to_path(name, item) for item in list_items(given)]


def to_file(name: str, value: Any) -> PinnedFile:
    """The argument `name` as a file on this machine, fetched if it is named by an address or by its
    place on the hub.

    Raises `TypeError` if it is no name, and as `fetch_file` does.
    """
    if not isinstance(value, str | PathLike):
        raise TypeError(f"{name} must be a path, not {type(value).__name__}")
    check_file_name(Path(value))
    return fetch_file(value)


def to_files(name: str, given: Any) -> list[PinnedFile]:
    """The files of an argument that takes several. Raises as `to_file` does."""
    return [to_file(name, item) for item in list_items(given)]


def to_data_sets(name: str, given: Any) -> list[Any]:
    """The data sets of an argument that takes several; a file that is named with its hash is
    fetched and checked. Raises as `to_file` does.
    """
    return [
        to_file(name, item).path if isinstance(item, str) and MARK in item else item
        for item in list_items(given)
    ]


def check_type(name: str, value: Any, expected: Any, description: str) -> None:
    """Raise `TypeError` unless the argument `name` is of a type.

    `description` says what it must be: "a text".
    """
    # True is an integer to Python, but no number to a reader.
    is_misused_flag = isinstance(value, bool) and expected is not bool
    if is_misused_flag or not isinstance(value, expected):
        raise TypeError(f"{name} must be {description}, not {type(value).__name__}")


def check_workers(value: Any) -> None:
    """Raise `TypeError` unless the argument `workers` is a whole number, `ConfigError` if it is
    negative.
    """
    check_type("workers", value, int, "a number of processes")
    if value < 0:
        raise ConfigError(f"workers must be 0 (one per core) or more, not {value}")


def check_function(name: str, value: Any) -> None:
    """Raise `TypeError` unless the argument `name` is a function or None."""
    if value is not None and not callable(value):
        raise TypeError(f"{name} must be a function, not {type(value).__name__}")


def check_choice(what: str, value: Any, choices: Sequence[str]) -> Any:
    """Return `value` if it is one of the choices; raise `ConfigError` if not."""
    if value not in choices:
        raise ConfigError(
            f"unknown {what} {value!r}; choose from {', '.join(choices)}"
            f"{hint_at_nearest(value, choices)}"
        )
    return value
