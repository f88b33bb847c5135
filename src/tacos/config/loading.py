"""Puts settings together: the preset, then a TOML file, then `--set stage.key=value`.

Unknown keys are errors that name the nearest known one.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from tacos.config.files import read_toml_file
from tacos.config.section import SettingsSection
from tacos.config.settings import PRESETS, Settings
from tacos.errors import ConfigError


def load_settings(
    preset: str = "robust",
    file: Path | None = None,
    sets: Iterable[str] = (),
    under: Mapping[str, Any] | None = None,
    **top: Any,
) -> Settings:
    """Settings from a preset, `under`, a TOML file, `stage.key=value` strings and top-level values:
    the later ones win.

    Raises `ConfigError` for an unknown preset, an unreadable file, an unknown key or a value out of
    range.
    """
    if preset not in PRESETS:
        raise ConfigError(f"unknown preset {preset!r}; there are {', '.join(PRESETS)}")
    values: dict[str, Any] = {"preset": preset}
    layers = [
        PRESETS[preset],
        under or {},
        read_toml_file(file) if file else {},
        *map(parse_set_option, sets),
        top,
    ]
    for layer in layers:
        values = merge_layers(merge_layers(values, _drop_earlier_panel(layer)), layer)
    _check_setting_names(values)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][:2])
        raise ConfigError(f"setting {where}: {first['msg']} (it was {first['input']!r})") from None


def _drop_earlier_panel(layer: Mapping[str, Any]) -> dict[str, Any]:
    """What takes an earlier panel of judges away where a layer names a judge of its own."""
    judge = layer.get("judge")
    own = isinstance(judge, Mapping) and "model" in judge and "models" not in judge
    return {"judge": {"models": ()}} if own else {}


def parse_set_option(text: str) -> dict[str, Any]:
    """`stage.key=value` as a nested dict; the value is read as TOML, else taken as a plain string.

    >>> parse_set_option("cluster.k=20"), parse_set_option("tag.model=gpt-x")
    ({'cluster': {'k': 20}}, {'tag': {'model': 'gpt-x'}})
    """
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise ConfigError(f"--set {text!r} is not of the form stage.key=value")
    try:
        parsed: Any = tomllib.loads(f"x = {value}")["x"]
    except tomllib.TOMLDecodeError:
        parsed = value
    for part in reversed(path.strip().split(".")):
        parsed = {part: parsed}
    return dict(parsed)


def merge_layers(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """`new` laid over `old`, table by table."""
    out = dict(old)
    for key, value in new.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = merge_layers(out[key], value) if both else value
    return out


def _check_setting_names(
    values: Mapping[str, Any], model: type[BaseModel] = Settings, prefix: str = ""
) -> None:
    """Raise `ConfigError` for the first unknown key, naming the nearest known one."""
    for key, value in values.items():
        if key not in model.model_fields:
            section_name, dot, inner = key.partition(".")
            if dot and key in list_setting_names():
                raise ConfigError(
                    f'settings are nested tables: {{"{section_name}": {{"{inner}": ...}}}}, not {key!r}'
                )
            near = difflib.get_close_matches(key, list_setting_names(), n=1, cutoff=0.4)
            near += difflib.get_close_matches(prefix + key, list_setting_names(), n=1, cutoff=0.4)
            hint = f"; did you mean {near[-1]}?" if near else "; `tacos settings` lists all"
            raise ConfigError(f"unknown setting {prefix}{key}{hint}")
        section = model.model_fields[key].annotation
        if (
            isinstance(value, Mapping)
            and isinstance(section, type)
            and issubclass(section, SettingsSection)
        ):
            _check_setting_names(value, section, f"{key}.")


def list_setting_names() -> list[str]:
    """Every setting's full name."""
    names: list[str] = []
    for key, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, SettingsSection):
            names += [f"{key}.{inner}" for inner in section.model_fields]
        else:
            names.append(key)
    return names
