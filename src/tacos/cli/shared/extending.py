"""The settings of `tacos select` and `tacos quote`, whose data may join those of earlier runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from tacos.cli.shared import option_settings
from tacos.cli.shared.option_settings import EndpointOptions
from tacos.config import Settings
from tacos.errors import ConfigError
from tacos.formats.paths import choose_inputs
from tacos.workflows.extension import build_extension, check_preset
from tacos.workflows.selection import load


def choose_data(
    data: list[str] | None,
    glob: list[str] | None,
    extend: list[Path] | None,
) -> list[Any]:
    """The inputs: those named, or none where runs are only merged."""
    is_empty = bool(extend) and not data and not glob
    return [] if is_empty else list(choose_inputs(data or (), glob or ()))


def build_settings(  # noqa: PLR0913 - options of the commands
    context: typer.Context,
    extend: list[Path] | None,
    preset: str,
    seed: int,
    file: Path | None,
    sets: Sequence[str] | None,
    endpoint: EndpointOptions,
    top: dict[str, Any],
    *,
    renew: bool,
) -> Settings:
    """Settings from a preset, or from the first of the runs that are extended; `top` wins.

    Raises `ConfigError` for `--renew` without a run to extend, and for another preset than the
    run's.
    """
    if not extend:
        if renew:
            raise ConfigError("--renew needs a run to extend: name it (--extend RUN)")
        return option_settings.build_settings(
            preset,
            file,
            sets,
            endpoint,
            seed=seed,
            **top,
        )
    of_first = load(extend[0]).settings
    check_preset(preset, of_first)
    source = context.get_parameter_source("seed")
    if source is not None and source.name == "COMMANDLINE":
        top = {**top, "seed": seed}
    return option_settings.build_run_settings(
        of_first,
        file,
        sets,
        endpoint,
        **top,
        **build_extension(extend, renew=renew),
    )
