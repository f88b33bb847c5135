"""`tacos settings`: every setting, its value in a preset, its choices and its meaning.

All of it is read from the classes of `tacos.config`: the meaning of a setting is the docstring
under its field.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal, TypeGuard, get_args, get_origin

from tacos import config
from tacos.config import SettingsSection
from tacos.errors import ConfigError


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
    everything = list(_iterate_settings(preset))
    if not name:
        return everything
    chosen = [setting for setting in everything if name in {setting.name, setting.stage}]
    if not chosen:
        raise ConfigError(f"no setting and no stage {name!r}; `tacos settings` lists all of them")
    return chosen


def _iterate_settings(preset: str) -> Iterator[SettingInfo]:
    """Every setting with its value in a preset."""
    values = config.load_settings(preset).model_dump(mode="json")
    for stage, field in config.Settings.model_fields.items():
        section = field.annotation
        if _is_section(section):
            yield from _iterate_section(stage, section, values[stage])
        else:
            yield SettingInfo(stage, stage, values[stage], [], "")


def _iterate_section(
    stage: str, section: type[SettingsSection], values: dict[str, Any]
) -> Iterator[SettingInfo]:
    """Every setting of a stage."""
    meanings = _read_field_docs(section)
    for key, field in section.model_fields.items():
        choices = _list_choices(field.annotation)
        meaning = meanings.get(key, "")
        yield SettingInfo(stage, f"{stage}.{key}", values[key], choices, meaning)


def _is_section(annotation: Any) -> TypeGuard[type[SettingsSection]]:
    """Whether a field of the settings is the section of a stage."""
    return isinstance(annotation, type) and issubclass(annotation, SettingsSection)


def _read_field_docs(section: type[SettingsSection]) -> dict[str, str]:
    """Field -> the text under the field, read from the source of its class."""
    docs: dict[str, str] = {}
    class_node = ast.parse(inspect.getsource(section)).body[0]
    if not isinstance(class_node, ast.ClassDef):
        return docs
    for statement, following in pairwise(class_node.body):
        text = following.value if isinstance(following, ast.Expr) else None
        if isinstance(statement, ast.AnnAssign) and isinstance(text, ast.Constant):
            words = str(text.value).split()
            docs[ast.unparse(statement.target)] = " ".join(words)
    return docs


def _list_choices(annotation: Any) -> list[str]:
    """The words that a setting can be.

    >>> _list_choices(Literal["a", "b"]), _list_choices(int | Literal["auto"]), _list_choices(int)
    (['a', 'b'], ['auto'], [])
    """
    if get_origin(annotation) is Literal:
        return [str(word) for word in get_args(annotation)]
    choices: list[str] = []
    for part in get_args(annotation):
        if get_origin(part) is Literal:
            choices += _list_choices(part)
    return choices
