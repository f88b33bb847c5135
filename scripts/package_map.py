"""Writes the map of the package into docs/design.md: every module, with its docstring's first
words.

    python scripts/package_map.py

A test compares the map with the package.
"""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "tacos"
PAGE = ROOT / "docs" / "design.md"
BLOCK = re.compile(r"(?<=<!-- map -->\n```text\n).*?(?=```\n)", re.DOTALL)
ROOMS = {
    "cli": "one file per command: parse, call, print",
    "shared": "what commands share: options, consent, tables",
    "web": "the local page: a peer of cli, calls workflows only",
    "screens": "the answers of each screen, by path",
    "workflows": "what a command does, without printing",
    "report": "facts, charts, explanations, HTML",
    "pipeline": "the stages, and the loop that runs them",
    "steps": "between the tables of a stage and the methods",
    "trainers": "recipes, a trainer's files, and its process",
    "llm": "everything that goes to a language model over a network",
    "formats": "data sets in and out, one file per format",
    "store": "the run directory",
    "models": "the embedded models",
    "training": "how the embedded models are made",
    "smollm2": "a small language model that reads samples",
    "engines": "where a stage runs",
    "annotating": "tasks for people, their labels and agreement",
    "methods": "pure: no files, network, clock or global random state",
    "config": "settings",
    "prompts": "prompt templates",
}
"""Folders in the order of the layers (others follow), with what is in them."""
WIDTH = 100
COLUMN = 34


def list_modules(folder: Path) -> list[Path]:
    """Modules below a folder: its own first, then those of its packages."""
    own = sorted(path for path in folder.glob("*.py") if read_summary(path))
    rank = {name: place for place, name in enumerate(ROOMS)}
    packages = sorted(
        (path.parent for path in folder.glob("*/__init__.py")),
        key=lambda path: (rank.get(path.name, len(rank)), path.name),
    )
    return own + [module for package in packages for module in list_modules(package)]


def read_summary(path: Path) -> str:
    """The first sentence of a module's docstring, "" for an empty module."""
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    first = " ".join(docstring.split("\n\n")[0].split())
    return re.split(r"(?<=[^.]{8})[.;:](?: |$)", first)[0]


def draw_map() -> str:
    """The tree, one line per module."""
    lines = ["src/tacos/"]
    drawn: set[Path] = {PACKAGE}
    for module in list_modules(PACKAGE):
        for parent in reversed(module.relative_to(PACKAGE).parents):
            folder = PACKAGE / parent
            if folder not in drawn:
                drawn.add(folder)
                title = f"{'  ' * len(parent.parts)}{folder.name}/"
                lines.append(
                    f"{title.ljust(COLUMN)}{ROOMS.get(folder.name, '')}".rstrip()
                )
        indent = "  " * len(module.relative_to(PACKAGE).parts)
        name = f"{indent}{module.name}".ljust(COLUMN)
        words = textwrap.shorten(
            read_summary(module), WIDTH - COLUMN, placeholder=" ..."
        )
        lines.append(f"{name}{words}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write."""
    page = PAGE.read_text("utf-8")
    PAGE.write_text(BLOCK.sub(lambda _: draw_map(), page), "utf-8")


if __name__ == "__main__":
    main()
