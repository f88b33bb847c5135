"""`tacos settings`: what `--set` and a settings file can change."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
import typer

from tacos import config
from tacos.cli.shared import console, options
from tacos.workflows import settings as workflow
from tacos.workflows.settings import SettingInfo

Name = Annotated[
    str,
    typer.Argument(help="a stage (judge) or one setting (judge.models) [default: all]"),
]
Preset = Annotated[
    str, typer.Option(help=f"whose values to show: {' or '.join(config.PRESETS)}")
]


def settings(
    name: Name = "",
    preset: Preset = "robust",
    as_json: options.AsJson = False,
) -> None:
    """List the settings of `--set` and of `--settings FILE`: value, choices and meaning.

    Examples:

      tacos settings judge

    \b
      tacos select data.jsonl -n 1000 --model MODEL \\
        --set judge.repetitions=3 --set pair.method=active
    """
    listed = workflow.settings(name, preset)
    if as_json:
        console.print_json([setting.as_dict() for setting in listed])
        return
    rows = []
    for setting in listed:
        label = f"{setting.name} = {_format_value(setting.value)}"
        rows.append((label, _describe_setting(setting)))
    console.print_pairs("", rows)


def _format_value(value: Any) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, str) and value:
        return value
    # JSON for the others: `--set` reads true, null and lists that way.
    return orjson.dumps(value).decode()


def _describe_setting(setting: SettingInfo) -> str:
    """Choices and meaning, each on a line of its own."""
    choices = " | ".join(setting.choices)
    return "\n".join(text for text in (choices, setting.meaning) if text)
