"""Data sets of the Hugging Face hub by name: their commit, and the files of a split.

Which files belong to a configuration and a split is told by the package `datasets`; they are read
here, as files of any other place are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tacos.addresses import HubName, hide_secrets
from tacos.errors import InputError
from tacos.formats import hub
from tacos.formats.remote_failures import try_again
from tacos.formats.remote_files import RemoteFile, find_file
from tacos.formats.saved_folders import explain_splits

INSTALL = "pip install 'tacos-select[datasets]'"


def find_commit(
    repository: str,
    revision: str,
    given: str,
) -> str:
    """The commit of a revision; of the main one, if that is empty. `given` names the input.

    Raises `InputError` if there is none, or if it must not be read.
    """
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import (
            GatedRepoError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    except ImportError:
        raise InputError(
            f"{given} is no file here; to read it from the hub: pip install 'tacos-select[hub]'"
        ) from None
    api = HfApi(hub.get_address(), library_name="tacos")

    def ask() -> str:
        try:
            info = api.dataset_info(repository, revision=revision or None)
        except GatedRepoError:
            raise InputError(
                f"{given}: access to {repository} must be granted on its page of the hub; "
                f"then set {hub.TOKEN}"
            ) from None
        except RevisionNotFoundError:
            raise InputError(
                f"{given}: {repository} has no revision {revision}; check its name"
            ) from None
        except RepositoryNotFoundError:
            raise InputError(
                f"{given}: no such file here, and no data set of that name on the hub; check the "
                f"name, and {hub.TOKEN} if it is private"
            ) from None
        return str(info.sha)

    return try_again(ask, given, is_first=True)


def list_split_files(
    name: HubName,
    commit: str,
    given: str,
) -> list[RemoteFile]:
    """The files of a split, in its order.

    Raises `InputError` where a configuration or a split must be named.
    """
    try:
        import datasets
    except ImportError:
        raise InputError(
            f"{given}: data sets of the hub need the package datasets: {INSTALL}; or name a file, "
            f"hf://datasets/{name.repository}/PATH"
        ) from None
    config = name.config or _choose_config(datasets, name, commit, given)

    def list_files() -> dict[str, list[str]]:
        builder = datasets.load_dataset_builder(
            name.repository, config, revision=commit
        )
        files = builder.config.data_files or {}
        return {str(split): [*map(str, each)] for split, each in files.items()}

    splits = _call(list_files, name, given)
    split = name.split or _choose_split(list(splits), name, given)
    if split not in splits:
        raise InputError(
            f"{given} has no split {split}: it has {', '.join(splits) or 'none'}"
        )
    return [find_file(address) for address in splits[split]]


def _choose_config(
    datasets: Any,
    name: HubName,
    commit: str,
    given: str,
) -> str:
    """The configuration that is read where none is named."""

    def list_configs() -> tuple[list[str], str | None]:
        place = name.repository
        names = datasets.get_dataset_config_names(place, revision=commit)
        default = datasets.get_dataset_default_config_name(place, revision=commit)
        return names, default

    names: list[str]
    default: str | None
    names, default = _call(list_configs, name, given)
    if default is not None:
        return default
    if len(names) == 1:
        return names[0]
    place = _write_name(name)
    raise InputError(
        f"{given} has the configurations {', '.join(names)}: name one with a split, such as "
        f"{place}:{names[0]}/train"
    )


def _choose_split(
    splits: Sequence[str],
    name: HubName,
    given: str,
) -> str:
    """The split that is read where none is named: the only one."""
    if len(splits) == 1:
        return splits[0]
    if not splits:
        raise InputError(
            f"{given} has no files of rows; name one, hf://datasets/{name.repository}/PATH"
        )
    config = f"{name.config}/" if name.config else ""
    raise InputError(
        explain_splits(given, splits, f"{_write_name(name)}:{config}{splits[0]}")
    )


def _call(
    action: Any,
    name: HubName,
    given: str,
) -> Any:
    """What `datasets` says, or an `InputError` of one line."""

    def act() -> Any:
        try:
            return action()
        except ValueError as error:  # an unknown configuration, or no data at all
            reason = hide_secrets(str(error).strip().splitlines()[0]).rstrip(".")
            raise InputError(
                f"{given}: {reason}; or name a file, hf://datasets/{name.repository}/PATH"
            ) from None

    with _keep_quiet():
        return try_again(act, given, is_first=True)


@contextmanager
def _keep_quiet() -> Iterator[None]:
    """Let the libraries of the hub say nothing about the small files that they look at."""
    import datasets
    from huggingface_hub import utils

    shown = [
        module
        for module in (datasets, utils)
        if not module.are_progress_bars_disabled()
    ]
    for module in shown:
        module.disable_progress_bars()
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        for module in shown:
            module.enable_progress_bars()


def _write_name(name: HubName) -> str:
    """A name without configuration and split."""
    revision = f"@{name.revision}" if name.revision else ""
    return f"{name.repository}{revision}"
