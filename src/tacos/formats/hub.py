"""Writes data sets to the Hugging Face hub, through the package `huggingface_hub`.

The token comes from the environment variable HF_TOKEN alone, and no message repeats it. HF_ENDPOINT
names another hub.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from tacos.errors import ConfigError, OutputError

TOKEN = "HF_TOKEN"
ENDPOINT = "HF_ENDPOINT"
HUB = "https://huggingface.co"
KIND = "dataset"
DATA_FOLDER = "data/"
DATA = f"{DATA_FOLDER}train-00000-of-00001.parquet"
"""Where `datasets.load_dataset` finds the rows without being told."""
INSTALL = "pip install 'tacos-select[hub]'"
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.\-]*/[A-Za-z0-9][\w.\-]*")
TOKEN_FORM = re.compile(r"[!-~]+")
"""What a header can hold: visible ASCII."""
SILENCE = 300.0
"""Seconds for which a hub may say nothing; committing many files takes it long."""
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
FORBIDDEN = 401, 403
CONFLICT = 409


def get_address(environment: Mapping[str, str] = os.environ) -> str:
    """The address of the hub. Raises `ConfigError` if a token would be sent there in the clear."""
    address = environment.get(ENDPOINT, "").rstrip("/") or HUB
    parts = urlsplit(address)
    is_safe = parts.scheme == "https" or parts.hostname in LOCAL_HOSTS
    if not parts.hostname or not is_safe:
        raise ConfigError(f"{ENDPOINT} is no https address: unset it, or name one")
    return address


def get_host(environment: Mapping[str, str] = os.environ) -> str:
    """The name of the hub's host."""
    return urlsplit(get_address(environment)).hostname or ""


def check_push(repository: str, environment: Mapping[str, str] = os.environ) -> None:
    """Raise `ConfigError` if nothing can be pushed: before any work."""
    if not REPOSITORY.fullmatch(repository):
        raise ConfigError(
            f"--push {repository!r} is no name of a repository: give OWNER/NAME"
        )
    get_address(environment)
    _get_token(environment)
    try:
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import (  # type: ignore[attr-defined]
            validate_repo_id,
        )
    except ImportError:
        raise ConfigError(f"--push needs huggingface_hub: {INSTALL}") from None
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        reason = str(error).partition(": '")[0].rstrip(".")
        raise ConfigError(
            f"--push {repository!r} is no name that the hub takes: {reason}"
        ) from None


def push_dataset(
    repository: str,
    files: Mapping[str, bytes],
    *,
    public: bool,
    replace: bool,
) -> str:
    """Write the files of a data set to the hub, as one commit, and return its address.

    A new repository is private, unless it is to be public. With `replace`, an older one gets the
    files, and its other files of data go.

    Raises:
        ConfigError: The token is missing or refused.
        OutputError: The repository exists, or the hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (  # type: ignore[attr-defined]
        HfHubHTTPError,
        HTTPError,
    )

    token = _get_token(os.environ)
    address = get_address()
    api = HfApi(address, token, library_name="tacos")
    try:
        with _limit_silence():
            _commit_files(
                api,
                repository,
                files,
                public=public,
                replace=replace,
            )
    except HfHubHTTPError as error:
        raise _explain_refusal(error, repository, token) from None
    except (OSError, HTTPError) as error:
        text = _hide_token(str(error), token)
        raise OutputError(f"{address} cannot be reached: {text}") from None
    return f"{address}/datasets/{repository}"


def _get_token(environment: Mapping[str, str]) -> str:
    """The token. Raises `ConfigError` if there is none."""
    token = environment.get(TOKEN, "").strip()
    if not token:
        raise ConfigError(
            f"no token for the hub: put one that may write into the environment variable {TOKEN}"
        )
    if not TOKEN_FORM.fullmatch(token):
        raise ConfigError(
            f"{TOKEN} holds characters that no token has, such as blanks or curly quotes: "
            "copy the token alone"
        )
    return token


@contextmanager
def _limit_silence() -> Iterator[None]:
    """Have a hub that says nothing for long be one that cannot be reached: by itself
    `huggingface_hub` would wait for ever.
    """
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    session = get_session()
    before = session.timeout
    session.timeout = SILENCE
    try:
        yield
    finally:
        session.timeout = before


def _commit_files(
    api: Any,
    repository: str,
    files: Mapping[str, bytes],
    *,
    public: bool,
    replace: bool,
) -> None:
    """Make the repository, and write the files in one commit."""
    from huggingface_hub import (
        CommitOperationAdd,
        CommitOperationDelete,
    )

    api.create_repo(
        repository,
        repo_type=KIND,
        private=not public,
        exist_ok=replace,
    )
    stale = []
    if replace:
        present = api.list_repo_files(repository, repo_type=KIND)
        stale = [
            path
            for path in present
            if path.startswith(DATA_FOLDER) and path not in files
        ]
    added = [CommitOperationAdd(path, content) for path, content in files.items()]
    deleted = [CommitOperationDelete(path) for path in stale]
    api.create_commit(
        repository,
        [*added, *deleted],
        commit_message="Data set by tacos",
        repo_type=KIND,
    )


def _explain_refusal(
    error: Any,
    repository: str,
    token: str,
) -> ConfigError | OutputError:
    """What to do about an answer of the hub."""
    status = error.response.status_code
    if status in FORBIDDEN:
        return ConfigError(
            f"the hub refuses to write {repository} (HTTP {status}): "
            f"put a token that may write there into {TOKEN}"
        )
    if status == CONFLICT:
        return OutputError(
            f"{repository} exists on the hub: name another repository, or replace its data "
            "with --force"
        )
    said = error.server_message or ""
    return OutputError(
        f"the hub refuses {repository} (HTTP {status}): {_hide_token(said, token)}"
    )


def _hide_token(text: str, token: str) -> str:
    """The first line of a text, without the token."""
    lines = text.replace(token, "[secret]").splitlines() or ["no reason given"]
    return lines[0]
