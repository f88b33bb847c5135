"""Generates the reference pages of the documentation from the program; mkdocs runs it as a hook.

`reference/cli.md` holds the help of every command, `reference/settings.md` every setting with its
values in both presets, `reference/api.md` every public name; pages under `background/` show files
from elsewhere in the repository. All of them exist only in the built site, so they cannot fall
behind their sources. To read one without building the site:

    python scripts/docs_reference.py cli
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from typer.testing import CliRunner

import tacos
from tacos.cli import app

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 96
FIRST, SECOND = "robust", "paper"
PYTHON_PAGE_START = """# Python

Every command is a function of the package `tacos`; [how to use it from Python](../how-to/python.md)
has examples. This page is generated from the docstrings."""
PYTHON_MODULES: dict[str, dict[str, list[str]]] = {
    "Embedded models": {
        "tacos.models.tagger": ["load", "EmbeddedTagger"],
        "tacos.models.judge": ["load", "EmbeddedJudge"],
        "tacos.models.encoder": ["load"],
    },
    "Functions of your own": {"tacos.models.user_functions": []},
    "Errors": {"tacos.errors": []},
}
"""Title -> module -> the names to show, all if empty."""


Command = Any
"""A command of click, of which typer has its own copy."""


def list_commands() -> Iterator[tuple[str, Command]]:
    """Every command with its full name ("tacos runs show"), groups before their members."""
    yield from _walk_commands("tacos", typer.main.get_command(app))


def _walk_commands(name: str, command: Command) -> Iterator[tuple[str, Command]]:
    """`command` and everything below it."""
    yield name, command
    for child, below in getattr(command, "commands", {}).items():
        yield from _walk_commands(f"{name} {child}", below)


def write_cli_page() -> str:
    """The help of every command, as the terminal shows it."""
    parts = [
        "# Command line",
        "This page is generated from the program's own help texts.",
    ]
    for name, command in list_commands():
        depth = "##" if name.count(" ") < 2 else "###"
        context = command.context_class(
            command, info_name=name, max_content_width=WIDTH, terminal_width=WIDTH
        )
        parts += [
            f"{depth} {name}",
            f"```text\n{command.get_help(context).rstrip()}\n```",
        ]
    return "\n\n".join(parts) + "\n"


def list_settings(preset: str) -> list[dict[str, Any]]:
    """Stage, name, value, choices and meaning of each setting, as `tacos settings --json` says."""
    done = CliRunner().invoke(app, ["settings", "--json", "--preset", preset])
    if done.exception:
        raise done.exception
    settings: list[dict[str, Any]] = json.loads(done.stdout)
    return settings


def write_settings_page() -> str:
    """A table of settings per stage, with the values of both presets where they differ."""
    parts = [
        "# Settings",
        "This page is generated from the program. Set a value with `--set judge.repetitions=3`, in "
        "a TOML file given as `--settings FILE`, or from Python with "
        '`settings={"judge": {"repetitions": 3}}`. '
        "`tacos settings judge` prints the same in the terminal.",
    ]
    second = {setting["name"]: setting["value"] for setting in list_settings(SECOND)}
    stage = ""
    for setting in list_settings(FIRST):
        if setting["stage"] != stage:
            stage = setting["stage"]
            parts.append(
                f"\n## {stage}\n\n| Setting | Default | Meaning |\n|---|---|---|"
            )
        parts.append(_format_row(setting, second[setting["name"]]))
    return "\n".join(parts[:2]) + "\n" + "\n".join(parts[2:]) + "\n"


def _format_row(setting: dict[str, Any], other: Any) -> str:
    """One line of a table."""
    value = _format_value(setting["value"])
    if setting["value"] != other:
        value += f"<br>`{SECOND}`: {_format_value(other)}"
    choices = " or ".join(f"`{choice}`" for choice in setting["choices"])
    meaning = " ".join(filter(None, [choices and f"{choices}.", setting["meaning"]]))
    return f"| `{setting['name']}` | {value} | {meaning.replace('|', chr(92) + '|')} |"


def _format_value(value: Any) -> str:
    """A value as `--set` takes it, in code type."""
    text = value if isinstance(value, str) and value else json.dumps(value)
    return f"`{text}`"


def write_python_page() -> str:
    """Directives for mkdocstrings: every public name of the package, then what stands beside it."""
    parts = [PYTHON_PAGE_START]
    public = {
        name: getattr(tacos, name) for name in tacos.__all__ if not name.startswith("_")
    }
    functions = [name for name, item in public.items() if not isinstance(item, type)]
    classes = [name for name, item in public.items() if isinstance(item, type)]
    for title, names in {"Functions": functions, "Results": classes}.items():
        parts.append(f"## {title}")
        for name in names:
            item = public[name]
            path = f"{item.__module__}.{item.__qualname__}"
            parts.append(_write_directive(path, f"tacos.{name}"))
    for title, modules in PYTHON_MODULES.items():
        parts.append(f"## {title}")
        parts += [
            _write_directive(module, module, names) for module, names in modules.items()
        ]
    return "\n\n".join(parts) + "\n"


def _write_directive(path: str, heading: str, members: list[str] | None = None) -> str:
    """The directive by which mkdocstrings shows an object; `members` None or empty: all of them."""
    lines = [f"::: {path}", "    options:", "      heading_level: 3"]
    lines += [f"      heading: {heading}", f"      toc_label: {heading}"]
    if members:
        lines.append(f"      members: {json.dumps(members)}")
    return "\n".join(lines)


PAGES = {
    "cli": write_cli_page,
    "settings": write_settings_page,
    "api": write_python_page,
}
COPIES = {
    "background/results.md": "benchmarks/RESULTS.md",
    "background/judge.md": "src/tacos/models/data/judge.md",
    "background/tagger.md": "src/tacos/models/data/tagger.md",
    "background/static.md": "src/tacos/models/data/static.md",
    "background/changelog.md": "CHANGELOG.md",
}
"""Page of the site -> the file of the repository that it shows."""


def copy_page(page: str, source: str) -> str:
    """A file of the repository as a page: its links to other files lead to their pages."""
    pages = {file: shown for shown, file in COPIES.items()}

    def lead_to_page(link: re.Match[str]) -> str:
        file = os.path.normpath(Path(source).parent / link[1])
        target = pages.get(file, file.removeprefix("docs/"))
        return f"]({os.path.relpath(target, Path(page).parent)}"

    content = (ROOT / source).read_text("utf-8")
    return re.sub(r"\]\((?!https?:)([^()#\s]+\.md)", lead_to_page, content)


def on_files(files: Any, config: Any) -> Any:
    """Called by mkdocs: add the generated pages to those of the folder."""
    from mkdocs.structure.files import File

    for name, write_page in PAGES.items():
        files.append(
            File.generated(config, f"reference/{name}.md", content=write_page())
        )
    for page, source in COPIES.items():
        files.append(File.generated(config, page, content=copy_page(page, source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Called by mkdocs: links to files of the repository lead to the pages that show them."""
    place = Path("docs", page.file.src_uri).parent

    def lead_to_page(link: re.Match[str]) -> str:
        file = os.path.normpath(place / link[1])
        shown = {source: name for name, source in COPIES.items()}.get(file)
        if shown is None:
            return link[0]
        target = os.path.relpath(Path("docs", shown), place)
        return f"]({target}"

    return re.sub(r"\]\((\.\./[^()#\s]+\.md)", lead_to_page, markdown)


if __name__ == "__main__":
    print(PAGES[sys.argv[1]]())
