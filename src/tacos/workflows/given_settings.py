"""Settings as a Python caller gives them: all of them, or nested values over a preset or a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tacos import config
from tacos.config import Settings
from tacos.errors import ConfigError
from tacos.workflows import arguments, kept_files

GivenSettings = Settings | Mapping[str, Any] | None
"""All settings, or nested values such as `{"cluster": {"k": 20}}`, or None for the defaults."""


def resolve_settings(
    given: GivenSettings,
    preset: str = "robust",
    **top: Any,
) -> Settings:
    """The settings of a command that starts from a preset.

    `top` are the values of the command's own arguments, by section. Complete `Settings` are
    returned as they are. Raises `ConfigError` for an unknown setting, a value out of range, or an
    argument that `given` contradicts, `TypeError` for what are no settings.
    """
    _check_settings(given)
    under: Mapping[str, Any] = {}
    if isinstance(given, Settings):
        under = given.model_dump(mode="json")
    elif given is not None:
        under = given
    defaults = config.load_settings(preset).model_dump(mode="json")
    _check_contradictions(top, under, defaults)
    if isinstance(given, Settings):
        return given
    values = config.merge_layers(top, under)
    return config.load_settings(preset, **values)


def list_setting_files(given: GivenSettings) -> list[Path]:
    """The files that settings name: criteria, overrides, a vocabulary, evaluation sets.

    None for what are no settings.

    >>> list_setting_files({"judge": {"criteria_file": "rubric.txt"}})
    [PosixPath('rubric.txt')]
    """
    if isinstance(given, Settings):
        return kept_files.list_data_files([*given.clean.against])
    if not isinstance(given, Mapping):
        return []
    files: list[Path] = []
    for section in given.values():
        if not isinstance(section, Mapping):
            continue
        for name, value in section.items():
            if name.endswith("_file") and isinstance(value, str | Path) and value:
                files.append(Path(value))
        files += kept_files.list_data_files(
            arguments.list_items(section.get("against", ()))
        )
    return files


def _check_contradictions(
    top: Mapping[str, Any],
    given: Mapping[str, Any],
    defaults: Mapping[str, Any],
    prefix: str = "",
) -> None:
    """Raise `ConfigError` for an argument that the settings give another value.

    An argument at its default was not given, as far as anybody can tell.
    """
    for name, value in top.items():
        if name not in given:
            continue
        if isinstance(value, Mapping) and isinstance(given[name], Mapping):
            _check_contradictions(value, given[name], defaults[name], f"{name}.")
            continue
        # "5" and 5 are the same size.
        if str(value) in {str(given[name]), str(defaults[name])}:
            continue
        raise ConfigError(
            f"{name}={value} and settings {prefix}{name}={given[name]} contradict each other: "
            "give one of them"
        )


def resolve_run_settings(
    given: GivenSettings,
    of_run: Settings,
    defaults: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings of a command that works on a finished run: the run's own, then `defaults`, then
    what is given.

    Complete `Settings` are returned as they are. Raises `ConfigError` for an unknown setting or a
    value out of range, `TypeError` for what are no settings.
    """
    _check_settings(given)
    if isinstance(given, Settings):
        return given
    own = of_run.model_dump(mode="json")
    under = config.merge_layers(own, defaults or {})
    top = given or {}
    return config.load_settings(of_run.preset, under=under, **top)


def _check_settings(given: Any) -> None:
    """Raise `TypeError` for what are no settings."""
    if given is None or isinstance(given, Settings):
        return
    if isinstance(given, Mapping) and all(isinstance(name, str) for name in given):
        return
    raise TypeError(
        "settings must be nested values such as {'cluster': {'k': 20}}, "
        f"not {type(given).__name__}"
    )
