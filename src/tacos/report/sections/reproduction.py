"""How to make the run again: command, settings, seeds, versions, models and prompts."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata

from tacos.report.page_parts import DataTable, Section
from tacos.report.report_input import ReportInput
from tacos.report.reproduction import (
    SETTINGS_FILE,
    Setting,
    build_call,
    build_command,
    build_reselect_command,
    format_toml,
    list_settings,
)
from tacos.version import read_version

LIBRARIES = ("polars", "numpy", "scikit-learn", "onnxruntime", "tokenizers")
"""Libraries that can change a figure."""
MAX_VALUE = 400
"""Characters shown of the value of a setting; the settings file has all of them."""


def build_reproduction(source: ReportInput) -> Section:
    """The command first, then everything that it rests on."""
    output = source.output
    reselect = ""
    if source.request.is_reselected:
        output = None
        reselect = build_reselect_command(
            source.run,
            source.request,
            source.rows.height,
            source.settings.seed,
            source.output,
        )
    command, file = build_command(source.settings, source.inputs, output)
    if source.functions:
        # No command line can pass a function.
        file = ""
        command = build_call(source.settings, source.inputs, output, source.functions)
    settings = list_settings(source.settings)
    values = {
        "command": command,
        "reselect": reselect,
        "file": file,
        "file_name": SETTINGS_FILE,
        "inputs": source.inputs,
        "functions": sorted(source.functions.values()),
        "hidden": [each.name for each in settings if each.value and not each.is_shown],
        "changed": _tabulate([each for each in settings if each.is_changed]),
        "settings": _tabulate(settings),
        "artifacts": DataTable(
            ("table", "stage", "rows", "model", "prompt", "key", "digest"),
            list(_list_artifacts(source)),
            frozenset({2}),
            "Every table of the run: equal digests mean equal content",
        ),
        "versions": list(_list_versions()),
        "digest": source.artifacts["selection"].manifest["digest"],
    }
    return Section("reproduction", "How to reproduce it", values)


def _tabulate(settings: list[Setting]) -> DataTable:
    """Settings with the preset's values."""
    rows = []
    for setting in settings:
        value = format_toml(setting.value) if setting.is_shown else "(not shown)"
        default = format_toml(setting.default) if setting.is_shown else "(not shown)"
        rows.append((setting.name, _clip(value), _clip(default)))
    return DataTable(("setting", "value", "in the preset"), rows)


def _clip(text: str) -> str:
    """The start of a long value."""
    if len(text) <= MAX_VALUE:
        return text
    return f"{text[:MAX_VALUE]} ... ({len(text):,} characters)"


def _list_artifacts(source: ReportInput) -> Iterator[tuple[str, ...]]:
    """A line per table; hashes are cut to 16 digits."""
    for name, artifact in source.artifacts.items():
        manifest = artifact.manifest
        yield (
            name,
            f"{manifest['stage']} (version {manifest['version']})",
            f"{manifest['n_rows']:,}",
            manifest.get("model") or "",
            (manifest.get("prompt") or "")[:16],
            manifest["key"],
            manifest["digest"][:16],
        )


def _list_versions() -> Iterator[tuple[str, str]]:
    """What this report was written with."""
    yield "tacos", read_version()
    yield "Python", platform.python_version()
    for name in LIBRARIES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
