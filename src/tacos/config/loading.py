"""Puts settings together: the preset, then a TOML file, then `--set stage.key=value`.

Unknown keys are errors that name the nearest known one.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from tacos.config.files import read_toml_file
from tacos.config.literal_keys import check_literal_keys
from tacos.config.section import SettingsSection, find_bounds
from tacos.config.settings import PRESETS, Settings
from tacos.errors import ConfigError, RunError, hint_at_nearest

MIN_SIMILARITY = 0.4
"""Of an unknown setting to the one that is suggested instead."""

DEMANDS = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "literal_error": "{expected}",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
}
"""Pydantic's type of an error -> what the value must be."""
OF_NUMBERS = frozenset(
    {
        "float_parsing",
        "float_type",
        "finite_number",
        "greater_than_equal",
        "less_than_equal",
    }
)

MAY_BE_SECRET = frozenset({"base_url", "key_env", "headers", "query", "proxy", "body"})
"""Settings of endpoints whose values no message repeats."""

OPTION_OF = {
    "seed": "--seed",
    "select.n": "-n",
    "select.limit": "--limit",
    "select.min_correctness": "--min-correctness",
    "llm.base_url": "--llm",
    "llm.model": "--model",
    "llm.budget": "--budget",
}
"""Setting -> the option of the command line that sets it."""


def load_settings(
    preset: str = "robust",
    file: Path | None = None,
    sets: Iterable[str] = (),
    under: Mapping[str, Any] | None = None,
    **top: Any,
) -> Settings:
    """Settings from a preset, `under`, a TOML file, `stage.key=value` strings and top-level values:
    later ones win.

    Raises `ConfigError` for an unknown preset, an unreadable file, an unknown key or a value out of
    range.
    """
    if not isinstance(preset, str) or preset not in PRESETS:
        raise ConfigError(
            f"unknown preset {preset!r}; the presets are {', '.join(PRESETS)}"
            f"{hint_at_nearest(preset, PRESETS)}"
        )
    layers = [
        PRESETS[preset],
        under or {},
        read_toml_file(file) if file else {},
        *map(parse_set_option, sets),
        top,
    ]
    # Later layers win over earlier ones.
    values: dict[str, Any] = {"preset": preset}
    for layer in layers:
        values = merge_layers(values, _drop_earlier_panel(layer))
        values = merge_layers(values, layer)
    _check_setting_names(values)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_describe_invalid_value(error)) from None
    check_literal_keys(settings.llm)
    check_literal_keys(settings.embed, "embed")
    return settings


def read_run_settings(values: Mapping[str, Any]) -> Settings:
    """Settings as a run has noted them.

    Runs of versions before `judge.scores` asked judges for one score each, and go on doing so.
    Raises `RunError` for settings that this version does not know.
    """
    noted = merge_layers({"judge": {"scores": "one"}}, values)
    try:
        return Settings.model_validate(noted)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][:2])
        raise RunError(
            f"this run has a setting that this version of tacos does not know ({name}): use the "
            "version that made the run, or select anew"
        ) from None


def parse_set_option(text: str) -> dict[str, Any]:
    """`stage.key=value` as a nested dict; a value that is not TOML is taken as text.

    >>> parse_set_option("cluster.k=20"), parse_set_option("tag.model=gpt-x")
    ({'cluster': {'k': 20}}, {'tag': {'model': 'gpt-x'}})
    """
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise ConfigError(
            f"--set {_hide_value(text)} is not of the form stage.key=value"
        )
    nested: Any
    try:
        nested = tomllib.loads(f"x = {value}")["x"]
    except tomllib.TOMLDecodeError:
        nested = value
    # From the inside out: the last part holds the value.
    for part in reversed(path.strip().split(".")):
        nested = {part: nested}
    return dict(nested)


def _hide_value(text: str) -> str:
    """A `--set` that is none, as a message may repeat it: of an endpoint only the setting's name.

    >>> _hide_value("cluster.k:20"), _hide_value("llm.headers.X-Key:abc")
    ("'cluster.k:20'", "'llm.headers.X-Key...'")
    """
    if text.split(".")[0].strip() not in ("llm", "embed"):
        return repr(text)
    named = re.match(r"\s*[\w.-]*", text)
    return repr(f"{named[0] if named else ''}...")


def merge_layers(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """`new` laid over `old`, table by table."""
    merged = dict(old)
    for key, value in new.items():
        under = merged.get(key)
        if isinstance(value, Mapping) and isinstance(under, Mapping):
            value = merge_layers(under, value)
        merged[key] = value
    return merged


def list_setting_names() -> list[str]:
    """Every setting's full name."""
    names: list[str] = []
    for key in Settings.model_fields:
        section = _find_section(Settings, key)
        if section is None:
            names.append(key)
        else:
            names += [f"{key}.{inner}" for inner in section.model_fields]
    return names


def _drop_earlier_panel(layer: Mapping[str, Any]) -> dict[str, Any]:
    """What removes an earlier panel of judges, if a layer names a single judge."""
    judge = layer.get("judge")
    if isinstance(judge, Mapping) and "model" in judge and "models" not in judge:
        return {"judge": {"models": ()}}
    return {}


def _check_setting_names(
    values: Mapping[str, Any],
    model: type[BaseModel] = Settings,
    prefix: str = "",
) -> None:
    """Raise `ConfigError` for the first unknown key, naming the nearest known one."""
    for key, value in values.items():
        if key not in model.model_fields:
            raise ConfigError(_explain_unknown_name(key, prefix))
        section = _find_section(model, key)
        if section is not None and isinstance(value, Mapping):
            _check_setting_names(value, section, f"{key}.")


def _find_section(model: type[BaseModel], key: str) -> type[SettingsSection] | None:
    """The section that a field holds; None for a single setting."""
    section = model.model_fields[key].annotation
    if isinstance(section, type) and issubclass(section, SettingsSection):
        return section
    return None


def _describe_invalid_value(error: ValidationError) -> str:
    """What is wrong with the first invalid setting; one is enough, as a message is one line."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"][:2])
    if name in OPTION_OF:
        name += f" ({OPTION_OF[name]})"
    given = first["input"]
    is_secret = name.partition(".")[2] in MAY_BE_SECRET
    if first["type"] in DEMANDS:
        wanted = " or ".join(_list_demands(error))
        if is_secret:
            return f"setting {name} must be {wanted}"
        return f"setting {name} must be {wanted}, not {given!r}{_hint_at_word(error)}"
    problem = first["msg"].removeprefix("Value error, ")
    # A section as a whole is too long to repeat.
    if is_secret or isinstance(given, Mapping):
        return f"setting {name}: {problem}"
    return f"setting {name}: {problem} (given: {given!r})"


def _list_demands(error: ValidationError) -> list[str]:
    """What the first invalid setting must be: several where it may have several types."""
    errors = error.errors()
    setting = errors[0]["loc"][:2]
    bounds = _find_setting_bounds(setting)
    demands: dict[str, None] = {}
    for each in errors:
        demand = DEMANDS.get(each["type"])
        if demand is None or each["loc"][:2] != setting:
            continue
        if bounds is not None and each["type"] in OF_NUMBERS:
            demand = bounds
        bound = {
            name: _format_bound(value) for name, value in each.get("ctx", {}).items()
        }
        demands[demand.format(**bound)] = None
    return list(demands)


def _format_bound(value: Any) -> str:
    """A bound as people write it: 1 for 1.0, and no whole number as a power of ten."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _find_setting_bounds(setting: tuple[int | str, ...]) -> str | None:
    """What a number of this setting must be, if it has a least and a largest value."""
    section = Settings.model_fields[str(setting[0])].annotation
    fields = getattr(section, "model_fields", {})
    if len(setting) < 2 or setting[1] not in fields:
        return None
    least, largest = find_bounds(fields[setting[1]])
    if least is None or largest is None:
        return None
    return f"a number from {least:g} to {largest:g}"


def _hint_at_word(error: ValidationError) -> str:
    """Which word may be meant, for a setting that is one of several."""
    first = error.errors()[0]
    if first["type"] != "literal_error":
        return ""
    words = re.findall(r"'([^']+)'", first["ctx"]["expected"])
    return hint_at_nearest(first["input"], words)


def _explain_unknown_name(key: str, prefix: str) -> str:
    """What is wrong with the name of a setting, and which one may be meant."""
    names = list_setting_names()
    section, dot, inner = key.partition(".")
    if dot and key in names:
        return f'settings are nested: write {{"{section}": {{"{inner}": ...}}}}, not {key!r}'
    # The key under its full name comes last, because it is the better guess.
    nearest: list[str] = []
    for name in (key, prefix + key):
        nearest += difflib.get_close_matches(
            name,
            names,
            n=1,
            cutoff=MIN_SIMILARITY,
        )
    if nearest:
        return f"unknown setting {prefix}{key}; did you mean {nearest[-1]}?"
    return f"unknown setting {prefix}{key}; `tacos settings` lists all"
