"""The command that makes a run again, or the call of Python where functions took part, and the
settings that it needs.

No key can be in it: settings hold none (`tacos.config.literal_keys`), and what is sent to an
endpoint beside its address (headers, query, body, proxy) is left out and named. Of absolute paths
only the names are in it (`tacos.report.shown_paths`).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tacos.config import Settings, load_settings
from tacos.report.selection_request import MadeRequest
from tacos.report.shown_paths import show_path, show_paths

NOT_SHOWN = frozenset({"headers", "query", "body", "proxy"})
"""Settings of endpoints that are named and not shown."""
BY_OPTION = frozenset({"preset", "seed", "select.n"})
"""Settings that the command has options for."""
MAX_ITEMS = 1_000
"""Items of a list that a page shows."""
SETTINGS_FILE = "settings.toml"


@dataclass(frozen=True)
class Setting:
    """A setting by its name, `stage.key`."""

    name: str
    value: Any
    default: Any
    """That of the preset."""

    @property
    def is_changed(self) -> bool:
        """Whether the preset has another value."""
        return bool(self.value != self.default)

    @property
    def is_shown(self) -> bool:
        """Whether its value may stand in a page."""
        return self.name.rpartition(".")[2] not in NOT_SHOWN


def list_settings(settings: Settings) -> list[Setting]:
    """Every setting beside the preset's, in the order of the sections."""
    made = show_paths(settings.model_dump(mode="json"))
    usual = load_settings(settings.preset).model_dump(mode="json")
    return [Setting(name, value, _look_up(usual, name)) for name, value in _walk(made)]


def build_command(
    settings: Settings,
    inputs: Sequence[str],
    output: Path | None,
) -> tuple[str, str]:
    """The command line that selects so again, and the settings file that it reads ("" for none).

    Settings go into `--set` options as long as all of them are short.
    """
    changed = _list_changed(settings)
    names = [show_path(name) for name in inputs] or ["DATA"]
    words = ["tacos", "select", *names, "-n", str(settings.select.n)]
    if settings.preset != "robust":
        words += ["--preset", settings.preset]
    words += ["--seed", str(settings.seed)]
    file = ""
    if all(_is_short(setting.value) for setting in changed):
        for setting in changed:
            words += ["--set", f"{setting.name}={format_toml(setting.value)}"]
    else:
        file = _write_toml(changed)
        words += ["--settings", SETTINGS_FILE]
    words += ["-o", _name_output(output)]
    return shlex.join(words), file


def build_call(
    settings: Settings,
    inputs: Sequence[str],
    output: Path | None,
    functions: Mapping[str, str],
) -> str:
    """The call of Python that selects so again, where a person's own functions took part: argument
    of `tacos.select` -> name of the function.

    >>> print(build_call(load_settings(), ["a.jsonl"], None, {"judge": "rate.<locals>.long"}))
    import tacos
    <BLANKLINE>
    tacos.select(
        ["a.jsonl"],
        n=1000,
        output="selected.jsonl",
        judge=long,  # your own function, rate.<locals>.long
    )
    """
    names = [show_path(name) for name in inputs]
    lines = [f"{_quote_all(names)}," if names else "rows,  # the rows that you passed"]
    lines += [f"n={settings.select.n!r},", f"output={_quote(_name_output(output))},"]
    if settings.preset != "robust":
        lines.append(f"preset={_quote(settings.preset)},")
    if settings.seed != 1:
        lines.append(f"seed={settings.seed},")
    nested: dict[str, dict[str, Any]] = {}
    for setting in _list_changed(settings):
        section, _, key = setting.name.partition(".")
        nested.setdefault(section, {})[key] = setting.value
    if nested:
        lines += ["settings={", *_list_sections(nested), "},"]
    for argument, function in functions.items():
        # What stands inside another function has no name of its own outside.
        name = function.rpartition(".")[2]
        name = name if name.isidentifier() else f"your_{argument}"
        lines.append(f"{argument}={name},  # your own function, {function}")
    body = "\n".join(f"    {line}" for line in lines)
    return f"import tacos\n\ntacos.select(\n{body}\n)"


def build_reselect_command(
    run: Path,
    request: MadeRequest,
    n: int,
    seed: int,
    output: Path | None,
) -> str:
    """The command line of a selection that `tacos reselect` made of a run."""
    asked = request.as_dict()
    words = ["tacos", "reselect", show_path(run), "-n", str(n), "--seed", str(seed)]
    words += ["--strategy", asked["strategy"], "--by", asked["by"]]
    for option, part in (("--quota-source", "per_source"), ("--quota-tag", "per_tag")):
        for name, quota in asked[part].items():
            amount = quota if quota.startswith("<=") else f"={quota}"
            words += [option, f"{name}{amount}"]
    if asked["match_length"]:
        words.append("--match-length")
    if asked["limit"] < 1:
        words += ["--limit", f"{asked['limit']:g}"]
    if asked["min_correctness"]:
        words += ["--min-correctness", f"{asked['min_correctness']:g}"]
    if asked["tag_price"] is not None:
        words += ["--tag-price", f"{asked['tag_price']:g}"]
    return shlex.join([*words, "-o", _name_output(output)])


def format_toml(value: Any) -> str:
    """A value as TOML.

    >>> format_toml({"a.json": ["x", 1.5, True]})
    '{"a.json" = ["x", 1.5, true]}'
    """
    if isinstance(value, Mapping):
        items = [f"{_quote(key)} = {format_toml(each)}" for key, each in value.items()]
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(format_toml(each) for each in value) + "]"
    return _quote(value) if isinstance(value, str) else json.dumps(value)


def _list_changed(settings: Settings) -> list[Setting]:
    """The settings that a command has to name."""
    return [
        setting
        for setting in list_settings(settings)
        if setting.is_changed and setting.is_shown and setting.name not in BY_OPTION
    ]


def _name_output(output: Path | None) -> str:
    """The file of selected rows in a command."""
    return show_path(output or "selected.jsonl")


def _list_sections(nested: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Settings as lines of a dict of Python."""
    for section, values in nested.items():
        yield f"    {_quote(section)}: {{"
        for key, value in values.items():
            yield f"        {_quote(key)}: {value!r},"
        yield "    },"


def _quote_all(names: Sequence[str]) -> str:
    """A list of texts in Python."""
    return f"[{', '.join(map(_quote, names))}]"


def _quote(text: str) -> str:
    """A basic string of TOML; JSON's escapes are valid in it, but a lone DEL is not."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _walk(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every setting under its full name."""
    for section, content in values.items():
        if not isinstance(content, Mapping):
            yield section, content
            continue
        for name, value in content.items():
            yield f"{section}.{name}", value


def _look_up(values: Mapping[str, Any], name: str) -> Any:
    """The value of a full name."""
    section, _, key = name.partition(".")
    return values[section][key] if key else values[section]


def _is_short(value: Any) -> bool:
    """Whether a value can stand on a command line."""
    return not isinstance(value, Mapping) and len(format_toml(value)) <= 80


def _write_toml(changed: Sequence[Setting]) -> str:
    """A settings file. A null is left out: it is what TOML says by silence."""
    sections: dict[str, list[str]] = {}
    for setting in changed:
        section, _, key = setting.name.partition(".")
        value = setting.value
        if value is None:
            continue
        line = f"{key} = {format_toml(value)}"
        if isinstance(value, list) and len(value) > MAX_ITEMS:
            line = f"# {key}: {len(value):,} entries, which are in the run"
        sections.setdefault(section, []).append(line)
    blocks = [f"[{name}]\n" + "\n".join(lines) for name, lines in sections.items()]
    return "\n\n".join(blocks) + "\n"
