"""Before data leaves this machine for the first time in a run: say what goes where, and ask."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import typer

from tacos.cli.shared import console
from tacos.config import Settings
from tacos.errors import ConfigError
from tacos.llm.transport.endpoint import resolve_endpoint
from tacos.pipeline.model_factory import list_embedding_models, list_endpoint_models
from tacos.store.artifacts import write_json

WHAT = {
    "tag-sample": "a sample of the instructions (each user turn)",
    "tag": "every instruction (each user turn)",
    "judge": "instruction and response of every sample that is compared",
    "grade": "instruction and response of every sample",
    "refine": "every selected row",
    "confirm": "every selected row and its rewrite",
    "check": "the instructions and tags of the cases to check",
    "calibrate": "instruction and responses of every labelled pair",
    "normalise": "every distinct tag",
    "cluster": "every canonical tag",
}
EMBEDDED = frozenset({"normalise", "cluster"})
"""Stages that ask for vectors, from the endpoint of `embed`."""


def ask_consent(
    settings: Settings,
    run: Path | None,
    *,
    yes: bool,
    models: Mapping[str, tuple[str, ...]] | None = None,
) -> None:
    """Ask unless the endpoint is this machine, `yes` was given, or this run has asked before about
    the same stages.

    `models` (stage -> models) defaults to those of a selection, its encoders included. Raises
    `ConfigError` where nobody is there to answer.
    """
    models = (
        {**list_endpoint_models(settings), **list_embedding_models(settings)}
        if models is None
        else models
    )
    hosts: dict[str, dict[str, tuple[str, ...]]] = {}
    for stage, names in models.items():
        asked = settings.embed.endpoint(settings.llm) if stage in EMBEDDED else settings.llm
        hosts.setdefault(resolve_endpoint(asked).host, {})[stage] = names
    open_hosts = {
        host: stages
        for host, stages in hosts.items()
        if not (yes or _is_local_host(host) or _has_consent(run, host, stages))
    }
    if not open_hosts:
        return
    for host, stages in open_hosts.items():
        for stage, names in stages.items():
            line = f"{stage}: {WHAT[stage]} will be sent to {host}, model {', '.join(names)}"
            console.errors.print(line, soft_wrap=True)
    if not sys.stdin.isatty():
        raise ConfigError(
            f"nobody is here to agree that data goes to {' and '.join(open_hosts)}; give --yes if you do"
        )
    if not typer.confirm("go on?"):
        raise ConfigError("stopped before anything was sent")
    for host, stages in open_hosts.items():
        _record_consent(run, host, stages)


def _consent_path(run: Path, host: str) -> Path:
    """Where a run keeps what it has asked about a host."""
    return run / f"consent-{host}.json"


def _has_consent(run: Path | None, host: str, stages: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether this run has asked about all of these stages before."""
    return run is not None and set(stages) <= set(_read_consent(_consent_path(run, host)))


def _record_consent(run: Path | None, host: str, stages: Mapping[str, tuple[str, ...]]) -> None:
    """Keep that a person agreed."""
    if run is None:
        return
    run.mkdir(parents=True, exist_ok=True)
    write_json(
        _consent_path(run, host),
        {"host": host, "models": {**_read_consent(_consent_path(run, host)), **stages}},
    )


def _read_consent(file: Path) -> dict[str, Any]:
    """What was asked before: stage -> models."""
    if not file.is_file():
        return {}
    return dict(orjson.loads(file.read_bytes())["models"])


def _is_local_host(host: str) -> bool:
    """Whether a host name is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
