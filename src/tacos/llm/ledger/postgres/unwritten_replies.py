"""Replies that were paid for, but came after the database was lost: files in the user's data folder
keep them until the same ledger is opened again on this machine.

Each file is complete or not there, so that several processes may keep and take replies at once.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import orjson
import platformdirs

from tacos.errors import OutputError
from tacos.llm.ledger.location import PostgresAddress
from tacos.llm.ledger.schema import LedgerEntry


def keep_replies(
    address: PostgresAddress,
    entries: Sequence[LedgerEntry],
) -> Path | None:
    """Keep replies for the ledger at an address; the folder, None where it cannot be written."""
    folder = _locate_folder()
    name = f"{_name_ledger(address)}-{secrets.token_hex(8)}"
    lines = [orjson.dumps(entry._asdict()) for entry in entries]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f"{name}.part"
        with unfinished.open("wb") as file:
            file.write(b"\n".join(lines))
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(folder / f"{name}.jsonl")
    except OSError:
        return None
    return folder


def list_kept_files(address: PostgresAddress) -> list[Path]:
    """The files of replies that are kept for the ledger at an address."""
    return sorted(_locate_folder().glob(f"{_name_ledger(address)}-*.jsonl"))


def read_kept_file(file: Path) -> list[LedgerEntry]:
    """The replies of a file, none where another process has taken it. Raises `OutputError` for a
    file that somebody has changed.
    """
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    try:
        return [LedgerEntry(**orjson.loads(line)) for line in lines]
    except (orjson.JSONDecodeError, TypeError):
        raise OutputError(
            f"{file} holds paid replies for the ledger, but is damaged: mend or remove it"
        ) from None


def _locate_folder() -> Path:
    return platformdirs.user_data_path("tacos") / "unwritten"


def _name_ledger(address: PostgresAddress) -> str:
    """The same for every user and password by which the database is reached."""
    return hashlib.sha256(str(address).encode()).hexdigest()[:16]
