"""Folders that `datasets` has saved: which of their files hold the rows.

A folder of one data set has a list of its files, beside which older ones and caches may lie; a
folder of several splits has a folder for each.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from tacos.errors import InputError

STATE = "state.json"
SPLITS = "dataset_dict.json"


def read_data_files(state: bytes) -> list[str] | None:
    """The names of the files of rows by `state.json`; None if it is of another program.

    >>> read_data_files(b'{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')
    ['data-00000-of-00001.arrow']
    """
    try:
        entries = orjson.loads(state)["_data_files"]
        return [str(entry["filename"]) for entry in entries]
    except (ValueError, KeyError, TypeError):
        return None


def check_splits(listed: bytes, place: str) -> None:
    """Raise `InputError` for a folder of several splits, by its `dataset_dict.json`."""
    try:
        splits = [str(name) for name in orjson.loads(listed)["splits"]]
    except (ValueError, KeyError, TypeError):
        return
    if len(splits) > 1:
        raise InputError(
            explain_splits(place, splits, f"{place.rstrip('/')}/{splits[0]}")
        )


def explain_splits(
    place: str,
    splits: Sequence[str],
    example: str,
) -> str:
    """That one of several splits must be named."""
    return f"{place} has the splits {', '.join(splits)}: name one, such as {example}"
