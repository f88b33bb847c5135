"""Files that people name with a hash: on this machine, at an address, or on the Hugging Face hub.

`NAME#sha256=HEX` is read only if its content has that hash, as pip checks what it downloads. A file
from elsewhere is kept on this machine by its hash, so one that is named with it is fetched once.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import platformdirs

from tacos.addresses import is_elsewhere, parse_hub_name, redact_address
from tacos.errors import InputError, OutputError
from tacos.formats.paths import is_folder
from tacos.formats.remote_files import BLOCK, RemoteFile, open_remote
from tacos.formats.remote_inputs import find_input_files

MARK = "#sha256="
HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class PinnedFile:
    """A file as it was read."""

    name: str
    """As it was given, without its hash, a login or a query."""
    path: Path
    """Where its content lies on this machine."""
    sha256: str | None
    """None for a folder and for what can be read only once."""
    is_pinned: bool
    """Whether the hash was given, so that the content cannot change unnoticed."""

    def __str__(self) -> str:
        return self.name

    @property
    def pinned_name(self) -> str:
        """The name with the hash, as it can be given."""
        return f"{self.name}{MARK}{self.sha256}"


def fetch_file(given: str | PathLike[str]) -> PinnedFile:
    """The file of a name, fetched if it lies elsewhere.

    Raises:
        InputError: There is no such file, or it has another hash than the one that is given.
        OutputError: What was fetched cannot be kept.
    """
    text = fspath(given)
    name, wanted = split_hash(text)
    # Paths of Python are paths; texts may be names of the hub.
    if isinstance(given, str) and is_elsewhere(name):
        return _fetch_remote(name, wanted)
    path = Path(name)
    digest = digest_file(path)
    if wanted and digest is None and path.exists():
        raise InputError(f"{name} is no regular file: leave {MARK[:-1]} out")
    if wanted and digest is not None:
        _check_hash(name, digest, wanted)
    return PinnedFile(name, path, digest, bool(wanted))


def split_hash(given: str) -> tuple[str, str]:
    """A name and the hash behind it; "" for none. Raises `InputError` for what is no hash.

    >>> split_hash("question.jsonl"), split_hash("a.jsonl#sha256=" + "0F" * 32)[1][:4]
    (('question.jsonl', ''), '0f0f')
    """
    name, mark, digits = given.partition(MARK)
    if not mark:
        return given, ""
    digest = digits.lower()
    if not name or not HASH.fullmatch(digest):
        raise InputError(
            f"{redact_address(name)}: a hash is written {MARK} and 64 hexadecimal digits "
            "behind the name of the file (sha256sum FILE prints them)"
        )
    return name, digest


def digest_file(path: Path) -> str | None:
    """The SHA-256 of a file in hexadecimal digits; None for what is no regular file. Raises
    `InputError` where it cannot be read.
    """
    try:
        # A pipe can be read once, and is to be read for its rows.
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{path} cannot be read: {reason}; check the file and its permissions"
        ) from None


def _fetch_remote(name: str, wanted: str) -> PinnedFile:
    """A file from elsewhere; nothing is asked where it is kept already."""
    shown = redact_address(name)
    if wanted:
        kept = _find_kept_file(shown, wanted)
        if kept is not None:
            return PinnedFile(shown, kept, wanted, is_pinned=True)
    file = _find_only_file(name)
    with _open_folder() as folder, TemporaryDirectory(dir=folder) as temporary:
        content = Path(temporary) / _choose_file_name(name, file)
        digest = _download(file, content)
        if wanted:
            _check_hash(shown, digest, wanted)
        target = folder / _name_folder(shown, digest) / content.name
        target.parent.mkdir(exist_ok=True)
        os.replace(content, target)
    return PinnedFile(shown, target, digest, bool(wanted))


def _find_kept_file(name: str, digest: str) -> Path | None:
    """The file of a name and a hash, if it was fetched before and is as it was."""
    folder = _locate_folder() / _name_folder(name, digest)
    if not is_folder(folder):
        return None
    for path in sorted(folder.iterdir()):
        if digest_file(path) == digest:
            return path
    return None


def _find_only_file(name: str) -> RemoteFile:
    """The one file that a name stands for."""
    files = [file for file in find_input_files([name]) if isinstance(file, RemoteFile)]
    if len(files) > 1:
        listed = ", ".join(str(file) for file in files[:3])
        raise InputError(
            f"{redact_address(name)} stands for {len(files):,} files ({listed}, ...): name one"
        )
    return files[0]


def _choose_file_name(name: str, file: RemoteFile) -> str:
    """The name under which a file is kept; question sets are named after it."""
    own = PurePosixPath(str(file)).name
    data_set = parse_hub_name(name)
    if data_set is None:
        return own
    # Files of data sets are called train-00000-of-00001.parquet.
    suffixes = "".join(PurePosixPath(own).suffixes)
    return data_set.repository.rpartition("/")[2] + suffixes


def _name_folder(name: str, digest: str) -> str:
    """The folder of a file: the same content may have several names."""
    return f"{digest}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _download(file: RemoteFile, target: Path) -> str:
    """Write the content of a file, and return its SHA-256."""
    digest = hashlib.sha256()
    with open_remote(file) as source, target.open("wb") as copy:
        while chunk := source.read(BLOCK):
            digest.update(chunk)
            copy.write(chunk)
    file.check_unchanged()
    return digest.hexdigest()


def _check_hash(name: str, digest: str, wanted: str) -> None:
    """Raise `InputError` unless a file has the hash that was given."""
    if digest != wanted:
        raise InputError(
            f"{name} is not the file that {MARK[1:]}{wanted[:12]}... names: it has the hash "
            f"{digest}; get that file, or name this hash if you want this one"
        )


@contextmanager
def _open_folder() -> Iterator[Path]:
    """The folder of files from elsewhere. Raises `OutputError` where it cannot be written."""
    folder = _locate_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    except OSError as error:
        raise OutputError(
            f"what is fetched cannot be kept in {folder}: {error.strerror or error}; make room "
            "there, or name another folder (XDG_CACHE_HOME)"
        ) from None


def _locate_folder() -> Path:
    """Where files from elsewhere are kept, by their hash."""
    return platformdirs.user_cache_path("tacos") / "files"
