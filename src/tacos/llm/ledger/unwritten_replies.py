"""Replies that were paid for, but could not be written: the disk was full, or the database lost.

Files in the user's data folder, or else in a private folder beside temporary files, keep them until
the same ledger is opened again on this machine. Each file is complete or not there, so that several
processes may keep and take replies at once.
"""

from __future__ import annotations

import hashlib
import math
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson
import platformdirs

from tacos.errors import OutputError
from tacos.llm.ledger.location import LedgerLocation
from tacos.llm.ledger.schema import LedgerEntry

Insert = Callable[[Sequence[LedgerEntry], Sequence[str], float], int]
"""Inserts replies; those to the same keys from before a time make room."""


@contextmanager
def keep_unwritten(
    location: LedgerLocation,
    entries: Sequence[LedgerEntry],
    before: float,
) -> Iterator[None]:
    """Keep replies whose writing in this context fails, if they have just come; the `OutputError`
    says then where they are.

    Args:
        location: The ledger that they are for.
        entries: The replies.
        before: When the command began that was sent them, in seconds since 1970; infinite for
            replies that are still where they came from: in a file, or at a batch API.
    """
    try:
        yield
    except OutputError as error:
        if before == math.inf:
            raise
        folder = _keep_replies(location, entries)
        if folder is None:
            raise
        raise OutputError(f"{error}. {_describe_kept(folder)}") from None


def return_replies(location: LedgerLocation, insert: Insert) -> None:
    """Write what an earlier command of this machine could not write into the ledger.

    Where that fails they stay, and nothing buys them again meanwhile.
    """
    for folder in _locate_folders():
        files = sorted(folder.glob(f"{_name_ledger(location)}-*.jsonl"))
        if not files or not _is_own(folder):
            continue
        for file in files:
            entries = _read_kept_file(file)
            if entries:
                keys = [entry.key for entry in entries]
                # Older replies to the same questions make room, as they would have done then.
                insert(entries, keys, min(entry.at for entry in entries))
            file.unlink(missing_ok=True)


def _keep_replies(
    location: LedgerLocation,
    entries: Sequence[LedgerEntry],
) -> Path | None:
    """Keep replies for the ledger at a location; the folder, None where none can be written."""
    name = f"{_name_ledger(location)}-{secrets.token_hex(8)}"
    content = b"\n".join(orjson.dumps(entry._asdict()) for entry in entries)
    for folder in _locate_folders():
        unfinished = folder / f"{name}.part"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_own(folder):
                continue
            with unfinished.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(folder / f"{name}.jsonl")
        except OSError:
            _remove_part(unfinished)
            continue
        return folder
    return None


def _describe_kept(folder: Path) -> str:
    """What an error adds where replies are kept."""
    return (
        f"Replies that were paid for meanwhile are kept in {folder} and go into "
        "the ledger when this machine opens it again"
    )


def _read_kept_file(file: Path) -> list[LedgerEntry]:
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


def _locate_folders() -> list[Path]:
    """Where replies are kept: the second one where the first is on a full disk."""
    user = getattr(os, "geteuid", lambda: "user")()
    return [
        platformdirs.user_data_path("tacos") / "unwritten",
        Path(tempfile.gettempdir()) / f"tacos-unwritten-{user}",
    ]


def _is_own(folder: Path) -> bool:
    """Whether a folder is this user's: anybody may make one beside temporary files."""
    if not hasattr(os, "geteuid"):
        return True
    return folder.lstat().st_uid == os.geteuid()


def _remove_part(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError:
        return


def _name_ledger(location: LedgerLocation) -> str:
    """The same for every user and password by which a database is reached."""
    named = location.resolve() if isinstance(location, Path) else location
    return hashlib.sha256(str(named).encode()).hexdigest()[:16]
