"""Before data leaves this machine for the first time in a run: say what goes where, and ask."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import typer

from tacos.assembling import asked_models
from tacos.cli import console
from tacos.config import Settings
from tacos.errors import ConfigError
from tacos.llm.endpoint import endpoint
from tacos.storage.artifacts import write_json

WHAT = {
    "tag": "every instruction (each user turn)",
    "judge": "instruction and response of every sample that is compared",
    "grade": "instruction and response of every sample",
    "refine": "every selected row",
    "confirm": "every selected row and its rewrite",
    "check": "the instructions and tags of the cases to check",
    "calibrate": "instruction and responses of every labelled pair",
}


def ask(
    settings: Settings, run: Path | None, *, yes: bool, models: Mapping[str, tuple[str, ...]] | None = None
) -> None:
    """Ask unless the endpoint is this machine, `yes` was given, or this run has asked before about the same stages.

    `models` (stage -> models) defaults to those of a selection. Raises `ConfigError` where nobody is there to answer.
    """
    models = asked_models(settings) if models is None else models
    if not models:
        return
    host = endpoint(settings.llm).host
    memory = run / f"consent-{host}.json" if run else None
    known = remembered(memory)
    if is_here(host) or yes or set(models) <= set(known):
        return
    for stage, names in models.items():
        console.errors.print(f"{stage}: {WHAT[stage]} will be sent to {host}, model {', '.join(names)}", soft_wrap=True)
    if not sys.stdin.isatty():
        raise ConfigError(f"nobody is here to agree that data goes to {host}; give --yes if you do")
    if not typer.confirm("go on?"):
        raise ConfigError("stopped before anything was sent")
    if memory is not None:
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_json(memory, {"host": host, "models": {**known, **models}})


def remembered(memory: Path | None) -> dict[str, Any]:
    """What this run has asked before: stage -> models."""
    if memory is None or not memory.is_file():
        return {}
    return dict(orjson.loads(memory.read_bytes())["models"])


def is_here(host: str) -> bool:
    """Whether a host name is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
