"""`tacos settings`: every setting, its value in a preset, its choices and its meaning.

All of it is read from the classes of `tacos.config`: the meaning of a setting is the docstring
under its field.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from tacos import config
from tacos.errors import ConfigError, hint_at_nearest
from tacos.workflows import arguments


@dataclass(frozen=True)
class SettingInfo:
    """One setting."""

    stage: str
    name: str
    """As `--set` takes it: `judge.repetitions`."""
    value: Any
    """Its value in the preset."""
    choices: list[str]
    """The words that it can be; empty if it is a number or free text."""
    meaning: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def settings(name: str = "", preset: str = "robust") -> list[SettingInfo]:
    """List settings in the order of the stages.

    `name` is a stage (`judge`), one setting (`judge.models`), or "" for all of them.

    Raises:
        ConfigError: There is no such preset, stage or setting.
    """
    arguments.check_type("name", name, str, "a text")
    everything = list(_iterate_settings(preset))
    if not name:
        return everything
    chosen = [
        setting for setting in everything if name in {setting.name, setting.stage}
    ]
    if not chosen:
        names = {word for each in everything for word in (each.name, each.stage)}
        raise ConfigError(
            f"unknown setting or stage {name!r}; `tacos settings` lists all"
            f"{hint_at_nearest(name, sorted(names))}"
        )
    return chosen


def _iterate_settings(preset: str) -> Iterator[SettingInfo]:
    """Every setting with its value in a preset."""
    values = config.load_settings(preset).model_dump(mode="json")
    for stage, field in config.Settings.model_fields.items():
        section = getattr(field.annotation, "model_fields", None)
        if section is None:
            yield _describe_field(
                stage,
                stage,
                values[stage],
                field,
            )
            continue
        for key, inner in section.items():
            yield _describe_field(
                stage,
                f"{stage}.{key}",
                values[stage][key],
                inner,
            )


def _describe_field(
    stage: str,
    name: str,
    value: Any,
    field: FieldInfo,
) -> SettingInfo:
    """One setting, from its field."""
    docstring = field.description or ""
    return SettingInfo(
        stage,
        name,
        value,
        choices=_list_choices(field.annotation),
        meaning=" ".join(docstring.split()),
    )


def _list_choices(annotation: Any) -> list[str]:
    """The words that a setting can be.

    >>> _list_choices(Literal["a", "b"]), _list_choices(int | Literal["auto"]), _list_choices(int)
    (['a', 'b'], ['auto'], [])
    """
    if get_origin(annotation) is Literal:
        return [str(word) for word in get_args(annotation)]
    choices: list[str] = []
    parts = get_args(annotation)
    for part in parts:
        if get_origin(part) is Literal:
            choices += _list_choices(part)
    return choices
