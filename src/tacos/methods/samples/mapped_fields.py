"""Fields that the settings name by a path: `data.question` is the field `question` of the object in
the column `data`, `answers.0.text` the text of the first of several answers.

A column whose name is the path itself goes first. What a path leads to stands beside the columns of
the row while it is read; the row itself stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tacos.config import IngestSettings
from tacos.methods.samples.cells import UnusableRow, load_json_cell, render_json

Row = Mapping[str, Any]
ABSENT = object()
"""What a path leads to in a row without that field."""


def add_mapped_fields(row: Row, settings: IngestSettings) -> Row:
    """The row, with a column for each path of the settings that leads somewhere in it.

    >>> row = {"data": {"q": "1 + 1?", "a": ["2", "two"]}}
    >>> settings = IngestSettings(instruction="data.q", response="data.a.0")
    >>> added = add_mapped_fields(row, settings)
    >>> added["data.q"], added["data.a.0"]
    ('1 + 1?', '2')
    """
    found = {}
    for path in list_paths(settings):
        if path in row:
            continue
        value = _follow_path(row, path)
        if value is not ABSENT:
            found[path] = value
        elif path in (settings.input, settings.system):
            # Both may be missing in some rows.
            found[path] = None
    return {**row, **found} if found else row


def return_mapped_fields(
    row: dict[str, Any],
    changed: Row,
    settings: IngestSettings,
) -> dict[str, Any]:
    """The row with the values that the columns of `add_mapped_fields` have in `changed`.

    >>> row = {"data": {"q": "1 + 1?"}}
    >>> settings = IngestSettings(instruction="data.q")
    >>> return_mapped_fields(row, {**row, "data.q": "2 + 2?"}, settings)
    {'data': {'q': '2 + 2?'}}
    """
    paths = [path for path in list_paths(settings) if path not in row]
    result = {name: value for name, value in changed.items() if name not in paths}
    for path in paths:
        if path in changed:
            _set_value(result, path.split("."), changed[path])
    return result


def list_paths(settings: IngestSettings) -> list[str]:
    """The names in the settings that may be paths."""
    named = (
        settings.instruction,
        settings.input,
        settings.response,
        settings.system,
        settings.tags,
        settings.score,
    )
    return [name for name in named if "." in name]


def list_nested_fields(row: Row) -> list[str]:
    """The columns of a row, objects by the paths of their fields.

    >>> list_nested_fields({"id": 1, "data": {"q": "1 + 1?", "more": {"a": "2"}}})
    ['id', 'data.q', 'data.more.a']
    """
    paths = []
    for name, value in row.items():
        if isinstance(value, Mapping) and value:
            paths += [f"{name}.{below}" for below in list_nested_fields(value)]
        else:
            paths.append(str(name))
    return paths


def _follow_path(row: Row, path: str) -> Any:
    """What a path leads to, or `ABSENT`."""
    value: Any = row
    for step in path.split("."):
        value = _take_step(value, step)
        if value is ABSENT:
            return ABSENT
    return value


def _take_step(value: Any, step: str) -> Any:
    """A field of an object, or an item of a list by its number; tables have both as JSON."""
    value = _decode_json(value)
    if isinstance(value, Mapping):
        return value.get(step, ABSENT)
    is_list = isinstance(value, list | tuple)
    if is_list and step.isascii() and step.isdigit() and int(step) < len(value):
        return value[int(step)]
    return ABSENT


def _decode_json(value: Any) -> Any:
    """The object or list of a text that is its JSON; anything else as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return load_json_cell(value, "the field")
    except UnusableRow:
        return value


def _set_value(
    holder: Any,
    steps: Sequence[str],
    value: Any,
) -> None:
    """Put a value where a path leads to; where it leads nowhere, nothing is changed."""
    step, *below = steps
    inner = _take_step(holder, step)
    if inner is ABSENT:
        return
    if below:
        decoded = _decode_json(inner)
        _set_value(decoded, below, value)
        # JSON stays JSON.
        value = inner if decoded is inner else render_json(decoded)
    if isinstance(holder, dict):
        holder[step] = value
    elif isinstance(holder, list):
        holder[int(step)] = value
