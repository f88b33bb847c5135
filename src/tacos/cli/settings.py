"""`tacos settings`: what can be set with `--set` or in a settings file."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_origin

import orjson
import typer
from pydantic.fields import FieldInfo

from tacos import config
from tacos.cli.shared import console, options
from tacos.errors import ConfigError

Name = Annotated[
    str, typer.Argument(help="a stage (judge) or one setting (judge.models) [default: all]")
]
Preset = Annotated[str, typer.Option(help=f"whose values: {', '.join(config.PRESETS)}")]


def settings(name: Name = "", preset: Preset = "robust", as_json: options.AsJson = False) -> None:
    """Every setting of `--set` and of `--settings FILE`: its value, what else it can be, and what
    it means.

    Examples:

      tacos settings judge

      tacos select data.jsonl -n 1000 --model MODEL --set judge.repetitions=3 --set
      pair.method=active
    """
    found = [
        each
        for each in _list_settings(preset)
        if not name or each["name"] == name or each["stage"] == name
    ]
    if not found:
        raise ConfigError(f"there is no setting and no stage {name!r}; `tacos settings` lists all")
    if as_json:
        print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return
    rows = [
        (f"{each['name']} = {_format_setting_value(each['value'])}", _describe_setting(each))
        for each in found
    ]
    console.out.print(console.build_table("", rows))


def _list_settings(preset: str) -> list[dict[str, Any]]:
    """Stage, name, value in a preset, choices and meaning of every setting, in the order of the
    stages.
    """
    values = config.load_settings(preset).model_dump(mode="json")
    listed = []
    for stage, field in config.Settings.model_fields.items():
        section = getattr(field.annotation, "model_fields", None)
        if section is None:
            listed.append(_describe_field(stage, stage, values[stage], field))
            continue
        for key, inner in section.items():
            listed.append(_describe_field(stage, f"{stage}.{key}", values[stage][key], inner))
    return listed


def _describe_field(stage: str, name: str, value: Any, field: FieldInfo) -> dict[str, Any]:
    """One setting; its meaning is the docstring under it, on one line."""
    return {
        "stage": stage,
        "name": name,
        "value": value,
        "choices": _list_choices(field.annotation),
        "meaning": " ".join((field.description or "").split()),
    }


def _list_choices(annotation: Any) -> list[str]:
    """What a setting can be, where these are words.

    >>> _list_choices(Literal["a", "b"]), _list_choices(int | Literal["auto"]), _list_choices(int)
    (['a', 'b'], ['auto'], [])
    """
    if get_origin(annotation) is Literal:
        return [str(each) for each in get_args(annotation)]
    return [
        word
        for part in get_args(annotation)
        if get_origin(part) is Literal
        for word in _list_choices(part)
    ]


def _format_setting_value(value: Any) -> str:
    """A value as `--set` takes it."""
    return value if isinstance(value, str) and value else orjson.dumps(value).decode()


def _describe_setting(each: dict[str, Any]) -> str:
    """Choices and meaning."""
    return "\n".join(filter(None, (" | ".join(each["choices"]), each["meaning"])))
