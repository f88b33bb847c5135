"""Measure the style of Python source trees: names, density of lines, comments, layout.

    python scripts/measure_style.py                          # src/tacos
    python scripts/measure_style.py src/tacos /tmp/httpx     # one column per tree
    python scripts/measure_style.py --json                   # one line of JSON instead of the table
    python scripts/measure_style.py --verbose --protocol configure

A tree is the directory of one package. Every `.py` file below it is a module. The numbers describe
a code base; none of them is a goal by itself. Definitions:

Files at the top
    `.py` files directly in the package directory, `__init__.py` and `__main__.py` included.

Top-level functions
    `def` and `async def` statements directly in the body of a module: no methods, no nested
    functions, nothing under `if` or `try`. A name counts once per module (so overloads count once)
    and once more in every other module that defines it. Dunder names (`__getattr__`) are left out.

One-word names
    Share of top-level functions whose name has no underscore left once leading and trailing
    underscores are stripped: `parse` and `_parse`, not `parse_tags`.

Participles
    Number of top-level functions whose one-word name is a past participle: in `IRREGULAR` (also
    after un-), or ends in -ed and is neither in `NOT_PARTICIPLES` nor ends in -eed (`need`,
    `feed`). A word that is the bare form of the verb as well (`read`, `cut`, `set`: `BARE_FORMS`)
    is a fine name for a function and does not count; a second number counts these words too.

Names in three or more modules
    Number of distinct names of top-level functions, leading underscores included, that three or
    more modules define. Names given by `--protocol` are left out. `--verbose` lists them.

Nodes per line
    For each function or method, nested ones included, of 8 physical lines or more: the number of
    nodes that `ast.walk` yields for it divided by its number of lines. A function runs from its
    first decorator to its last line, with what is nested in it. The median over the functions is
    printed in three variants: all nodes per code line; the same without expression contexts
    (`Load`, `Store`, `Del`); and all nodes per physical line, blank lines, comments and docstrings
    included. A code line is neither blank nor a comment nor part of a docstring.

Lines over 100 characters
    Share of all physical lines that are longer than 100 characters, line end not included.

Comment lines per 100
    Lines with a `#` comment, alone or after code, per 100 code lines. Comments for tools
    (`# type: ignore`, `# noqa`, a shebang; see `PRAGMA`) do not count.

Import layers
    Number of layers in the import-linter contract of type "layers" in the nearest `pyproject.toml`
    at or above the tree; with several such contracts, the longest. Siblings that share a layer
    ("a | b") count as one. "-" if there is none, or if its root package is not this tree.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import re
import statistics
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

MIN_FUNCTION_LINES = 8
MAX_LINE_LENGTH = 100
MIN_SHARED_MODULES = 3

# Past participles of irregular verbs that are not spelt like the bare form.
IRREGULAR_WORDS = """
    arisen awoken beaten been begotten begun bent bitten blown born borne bought bound broken
    brought built burnt caught chosen clung crept dealt done drawn dreamt driven drunk dug dwelt
    eaten fallen fed felt flown forbidden foregone foreseen forgiven forgone forgot forgotten
    fought found frozen given gone got gotten grown had heard held hidden hung kept knelt known
    laid lain leant learnt led left lent lit lost made meant met mistaken mown outdone outgrown
    overdone overridden overseen overtaken overthrown overwritten paid proven rebuilt redone
    redrawn regrown remade repaid resold rethought retold rewound rewritten ridden risen rung
    said sat sawn seen sent sewn shaken shaven shone shorn shot shown shrunk slain slept slid
    smelt sold sought sown spelt spent spilt spoilt spoken sprung spun stolen stood strewn
    stricken striven struck stuck stung sung sunk swept swollen sworn swum swung taken taught
    thought thrown told torn trodden undergone understood undertaken upheld withdrawn withheld
    withstood woken won worn wound woven written wrung
"""
# Past participles that are spelt like the bare form.
BARE_FORM_WORDS = """
    become beset bet bid broadcast burst cast come cost cut forecast hit hurt let overcome preset
    put quit read recast reread reset rid run set shed shut slit split spread thrust undercut upset
"""
OTHER_WORDS_IN_ED = "bed embed hundred kindred red sacred sled wed"
IRREGULAR = frozenset(IRREGULAR_WORDS.split())
BARE_FORMS = frozenset(BARE_FORM_WORDS.split())
NOT_PARTICIPLES = frozenset(OTHER_WORDS_IN_ED.split()) | BARE_FORMS

PRAGMA = re.compile(
    r"#\s*(type:|noqa|nosec|pragma:|mypy:|pyright:|ruff:|fmt:|isort:|pylint:|flake8:|yapf:"
    r"|-\*-|coding[:=]|!)"
)
TOKENS_WITHOUT_CODE = frozenset(
    {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
)

Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTION_TYPES = (ast.FunctionDef, ast.AsyncFunctionDef)
DOCUMENTED_TYPES = (ast.Module, ast.ClassDef, *FUNCTION_TYPES)


@dataclass(frozen=True)
class Module:
    """A parsed source file."""

    tree: ast.Module
    lines: list[str]
    code_lines: frozenset[int]
    comment_lines: frozenset[int]


@dataclass(frozen=True)
class Measures:
    """What one tree measures. Shares lie between 0 and 1."""

    modules: int
    top_level_files: int
    top_level_functions: int
    one_word_share: float
    participles: int
    participles_with_bare_forms: int
    shared_names: int
    long_functions: int
    nodes_per_code_line: float | None
    nodes_without_context_per_code_line: float | None
    nodes_per_physical_line: float | None
    long_line_share: float
    comment_lines_per_100: float
    import_layers: int | None


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the trees and print a table, or JSON."""
    options = parse_arguments(arguments)
    protocol = frozenset(options.protocol)
    measures: dict[str, Measures] = {}
    listings: list[str] = []
    for tree in options.trees:
        modules = parse_modules(tree)
        function_names = [list_function_names(module) for module in modules]
        shared_names = count_shared_names(function_names, protocol)
        measures[str(tree)] = measure_tree(tree, modules, function_names, shared_names)
        if options.verbose:
            listings += [f"\n{tree}: names in three or more modules"]
            listings += [
                f"  {count:>3}  {name}" for name, count in shared_names.most_common()
            ]
            participles = list_participles(function_names)
            listings += [f"{tree}: participles", f"  {' '.join(participles)}"]
    if options.json:
        print(json.dumps({tree: vars(measured) for tree, measured in measures.items()}))
        return
    print(format_table(measures))
    for line in listings:
        print(line)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add(
        "trees",
        nargs="*",
        type=Path,
        default=[Path("src/tacos")],
        help="package directories",
    )
    add(
        "--json",
        action="store_true",
        help="print one line of JSON instead of the table",
    )
    add(
        "--verbose",
        action="store_true",
        help="list shared names and participles below the table",
    )
    add(
        "--protocol",
        action="append",
        default=[],
        metavar="NAME",
        help="a function name that a protocol asks of many modules; may be repeated",
    )
    options = parser.parse_args(arguments)
    for tree in options.trees:
        if not any(tree.rglob("*.py")):
            parser.error(f"no Python files in {tree}")
    return options


def measure_tree(
    root: Path,
    modules: list[Module],
    function_names: list[set[str]],
    shared_names: Counter[str],
) -> Measures:
    names = [name for names_of_module in function_names for name in names_of_module]
    participles = sum(is_participle(name) for name in names)
    bare_forms = sum(is_bare_form(name) for name in names)
    lines = [line for module in modules for line in module.lines]
    long_lines = [line for line in lines if len(line) > MAX_LINE_LENGTH]
    code_lines = sum(len(module.code_lines) for module in modules)
    comment_lines = sum(len(module.comment_lines) for module in modules)
    densities = [density for module in modules for density in measure_densities(module)]
    return Measures(
        modules=len(modules),
        top_level_files=len(list(root.glob("*.py"))),
        top_level_functions=len(names),
        one_word_share=divide(sum(is_one_word(name) for name in names), len(names)),
        participles=participles,
        participles_with_bare_forms=participles + bare_forms,
        shared_names=len(shared_names),
        long_functions=len(densities),
        nodes_per_code_line=compute_median([density[0] for density in densities]),
        nodes_without_context_per_code_line=compute_median(
            [density[1] for density in densities]
        ),
        nodes_per_physical_line=compute_median([density[2] for density in densities]),
        long_line_share=divide(len(long_lines), len(lines)),
        comment_lines_per_100=100 * divide(comment_lines, code_lines),
        import_layers=count_import_layers(root),
    )


# Reading source files


def parse_modules(root: Path) -> list[Module]:
    return [parse_module(path) for path in sorted(root.rglob("*.py"))]


def parse_module(path: Path) -> Module:
    with tokenize.open(path) as file:
        source = file.read()
    # Not splitlines(), which also splits at form feeds and Unicode separators inside strings.
    lines = source.removesuffix("\n").split("\n") if source else []
    tree = ast.parse(source, filename=str(path))
    docstring_spans = list(find_docstring_spans(tree))
    code_lines: set[int] = set()
    comment_lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not PRAGMA.match(token.string):
            comment_lines.add(token.start[0])
        if token.type in TOKENS_WITHOUT_CODE:
            continue
        if any(start <= token.start < end for start, end in docstring_spans):
            continue
        code_lines.update(range(token.start[0], token.end[0] + 1))
    # A blank line inside a string of several lines is blank all the same.
    filled_lines = {
        number for number, line in enumerate(lines, start=1) if line.strip()
    }
    return Module(
        tree, lines, frozenset(code_lines & filled_lines), frozenset(comment_lines)
    )


def find_docstring_spans(
    tree: ast.Module,
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield the start and end of each docstring, as (line, column)."""
    for node in ast.walk(tree):
        if (
            not isinstance(node, DOCUMENTED_TYPES)
            or ast.get_docstring(node, clean=False) is None
        ):
            continue
        docstring = node.body[0]
        end_line = docstring.end_lineno or docstring.lineno
        end_column = docstring.end_col_offset or 0
        yield (docstring.lineno, docstring.col_offset), (end_line, end_column)


# Names


def list_function_names(module: Module) -> set[str]:
    functions = [node for node in module.tree.body if isinstance(node, FUNCTION_TYPES)]
    return {function.name for function in functions if not is_dunder(function.name)}


def is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def is_one_word(name: str) -> bool:
    return "_" not in name.strip("_")


def is_participle(name: str) -> bool:
    word = name.strip("_")
    if word in IRREGULAR or word.removeprefix("un") in IRREGULAR:
        return True
    is_regular = word.endswith("ed") and not word.endswith("eed")
    return is_regular and is_one_word(word) and word not in NOT_PARTICIPLES


def is_bare_form(name: str) -> bool:
    return name.strip("_") in BARE_FORMS


def list_participles(function_names: list[set[str]]) -> list[str]:
    return sorted(
        name for names in function_names for name in names if is_participle(name)
    )


def count_shared_names(
    function_names: list[set[str]], protocol: frozenset[str]
) -> Counter[str]:
    """Map each name that enough modules define to the number of these modules."""
    counts = Counter(name for names in function_names for name in sorted(names))
    for name, count in list(counts.items()):
        if count < MIN_SHARED_MODULES or name in protocol:
            del counts[name]
    return counts


# Density


def measure_densities(module: Module) -> Iterator[tuple[float, float, float]]:
    """Yield the three variants of nodes per line for each function that is long enough."""
    for function in ast.walk(module.tree):
        if not isinstance(function, FUNCTION_TYPES):
            continue
        physical_lines = list_physical_lines(function)
        if len(physical_lines) < MIN_FUNCTION_LINES:
            continue
        code_lines = len(module.code_lines.intersection(physical_lines))
        nodes = list(ast.walk(function))
        nodes_without_context = [
            node for node in nodes if not isinstance(node, ast.expr_context)
        ]
        yield (
            len(nodes) / code_lines,
            len(nodes_without_context) / code_lines,
            len(nodes) / len(physical_lines),
        )


def list_physical_lines(function: Function) -> range:
    decorator_lines = [decorator.lineno for decorator in function.decorator_list]
    first_line = min([function.lineno, *decorator_lines])
    last_line = function.end_lineno or function.lineno
    return range(first_line, last_line + 1)


# Import layers


def count_import_layers(root: Path) -> int | None:
    package = root.resolve()
    for directory in (package, *package.parents):
        pyproject = directory / "pyproject.toml"
        if pyproject.is_file():
            break
    else:
        return None
    settings = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    linter = settings.get("tool", {}).get("importlinter", {})
    root_packages = linter.get("root_packages", [linter.get("root_package")])
    if package.name not in root_packages:
        return None
    contracts = [
        item for item in linter.get("contracts", []) if item.get("type") == "layers"
    ]
    return max((len(contract["layers"]) for contract in contracts), default=None)


# Printing


def format_table(measures: dict[str, Measures]) -> str:
    table = [["", *measures]]
    rows = [
        ("modules", "modules", ""),
        ("files at the top", "top_level_files", ""),
        ("top-level functions", "top_level_functions", ""),
        ("one-word names", "one_word_share", "%"),
        ("participles", "participles", ""),
        ("  with read, cut, set ...", "participles_with_bare_forms", ""),
        ("names in three or more modules", "shared_names", ""),
        ("functions of 8 lines or more", "long_functions", ""),
        ("nodes per code line, median", "nodes_per_code_line", ""),
        ("  without expression contexts", "nodes_without_context_per_code_line", ""),
        ("  per physical line", "nodes_per_physical_line", ""),
        ("lines over 100 characters", "long_line_share", "%"),
        ("comment lines per 100", "comment_lines_per_100", ""),
        ("import layers", "import_layers", ""),
    ]
    for label, field, unit in rows:
        values = [getattr(measured, field) for measured in measures.values()]
        table.append([label, *(format_value(value, unit) for value in values)])
    widths = [
        max(len(row[index]) for row in table) for index in range(len(measures) + 1)
    ]
    return "\n".join(format_row(row, widths) for row in table)


def format_row(cells: list[str], widths: list[int]) -> str:
    label = cells[0].ljust(widths[0])
    values = [
        cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)
    ]
    return "  ".join([label, *values])


def format_value(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit == "%":
        return f"{100 * value:.1f}%"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def divide(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else 0.0


def compute_median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


if __name__ == "__main__":
    main()
