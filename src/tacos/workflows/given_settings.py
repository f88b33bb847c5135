"""Settings as a Python caller gives them: all of them, or nested values over a preset or a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tacos import config
from tacos.config import Settings

GivenSettings = Settings | Mapping[str, Any] | None
"""All settings, or nested values such as `{"cluster": {"k": 20}}`, or None for the defaults."""


def resolve_settings(
    given: GivenSettings,
    preset: str = "robust",
    **top: Any,
) -> Settings:
    """The settings of a command that starts from a preset.

    `top` are values that `given` may override, by section. Complete `Settings` are returned as they
    are. Raises `ConfigError` for an unknown setting or a value out of range, `TypeError` for what
    are no settings.
    """
    _check_settings(given)
    if isinstance(given, Settings):
        return given
    values = config.merge_layers(top, given or {})
    return config.load_settings(preset, **values)


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
