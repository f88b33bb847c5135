"""The documentation and the program agree."""

import re
import tomllib
from pathlib import Path

import pytest
from scripts import docs_reference

import tacos
from tacos.formats.detection import COMPRESSED, FORMATS_READ, SUFFIXES
from tacos.version import DISTRIBUTION

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "tacos"
COMMANDS = dict(docs_reference.list_commands())
SETTINGS = docs_reference.list_settings("robust")


def read_map() -> set[str]:
    """Paths of the modules on the map in docs/design.md, relative to the package."""
    page = (ROOT / "docs" / "design.md").read_text("utf-8")
    lines = page.partition("<!-- map -->")[2].splitlines()[3:-1]
    modules, folders = set(), []
    for line in lines:
        depth = (len(line) - len(line.lstrip())) // 2 - 1
        name = line.split()[0]
        folders = [*folders[:depth], name.rstrip("/")]
        if name.endswith(".py"):
            modules.add("/".join(folders))
    return modules


def test_the_map_has_every_module_and_no_other() -> None:
    modules = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py" or path.read_text("utf-8").strip()
    }
    assert read_map() == modules, "run `python scripts/package_map.py`"


def test_no_page_holds_both_sides_of_a_merge() -> None:
    """Git leaves such marks where two changes met, and Markdown shows them as text."""
    pages = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("benchmarks/*.md"),
    ]
    assert pages
    marked = [
        page.relative_to(ROOT).as_posix()
        for page in pages
        if re.search(r"^(<{7}|>{7}) ", page.read_text("utf-8"), re.MULTILINE)
    ]
    assert marked == []


def test_the_first_page_links_every_how_to_page() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    pages = sorted(page.name for page in (ROOT / "docs" / "how-to").glob("*.md"))
    assert [page for page in pages if f"how-to/{page}" not in index] == []


@pytest.mark.parametrize("page", ["design.md", "glossary.md", "guide.md"])
def test_files_that_a_page_names_exist(page: str) -> None:
    text = (ROOT / "docs" / page).read_text("utf-8").partition("<!-- map -->")[0]
    for name in re.findall(r"`([a-z_/]+(?:\.py|/))`", text):
        assert any(folder.joinpath(name).exists() for folder in (PACKAGE, ROOT)), name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_says_what_it_does(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    undocumented = [
        parameter.name
        for parameter in command.params
        if not getattr(parameter, "help", None)
    ]
    assert not undocumented
    assert f"\n## {name}\n" in docs_reference.write_cli_page().replace("###", "##")


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting["name"])
def test_every_setting_says_what_it_means(setting: dict[str, str]) -> None:
    assert setting["meaning"]
    assert f"| `{setting['name']}` |" in docs_reference.write_settings_page()


def test_every_public_name_is_in_the_reference() -> None:
    page = docs_reference.write_python_page()
    for name in tacos.__all__:
        assert name.startswith("_") or f"heading: tacos.{name}\n" in page
        assert name == "__version__" or getattr(tacos, name).__doc__


def test_how_to_pages_name_commands_and_options_that_exist() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    options = {
        flag
        for command in COMMANDS.values()
        for parameter in command.params
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }
    for page in pages:
        blocks = re.findall(r"```console\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
        for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
            called = re.match(r"\$ (?:\.venv/bin/)?tacos ([a-z-]+)(.*)", line)
            if called is None:
                continue
            assert f"tacos {called[1]}" in COMMANDS, line
            used = re.findall(r"(?<= )--?[a-z][a-z-]*", called[2].partition("#")[0])
            assert set(used) <= options | {"--help"}, line


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md", "docs/how-to/data.md"])
def test_a_page_that_lists_formats_lists_all_that_are_read(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    missing = [name for name in (*SUFFIXES, *COMPRESSED) if f"`{name}`" not in text]
    assert not missing


@pytest.mark.parametrize("name", ["tacos select", "tacos quote", "tacos inspect"])
def test_the_help_of_a_command_that_reads_data_lists_them_too(name: str) -> None:
    helps = [getattr(each, "help", "") for each in COMMANDS[name].params]
    assert any(FORMATS_READ in text for text in helps)


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    version = project["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert project["name"] == DISTRIBUTION
    assert "pip install tacos\n" not in (ROOT / "README.md").read_text("utf-8")


def test_an_extra_that_is_named_is_one_of_ours() -> None:
    """`tacos` on PyPI is another project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    pages = [
        *(ROOT / "src").rglob("*.py"),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "README.md",
    ]
    named = set()
    for page in pages:
        named |= set(re.findall(r"\b(tacos[a-z-]*)\[(\w+)\]", page.read_text("utf-8")))
    assert {("tacos-select", "ray"), ("tacos-select", "clean")} <= named
    for name, extra in named:
        assert name == DISTRIBUTION
        assert extra in project["optional-dependencies"]


@pytest.mark.parametrize("page", docs_reference.COPIES)
def test_links_of_pages_from_elsewhere_lead_to_pages_and_headings(page: str) -> None:
    content = docs_reference.copy_page(page, docs_reference.COPIES[page])
    headings = re.findall(r"^#+ (.*)", content, re.MULTILINE)
    plain = [re.sub(r"[^\w -]", "", heading).lower() for heading in headings]
    anchors = {heading.replace(" ", "-") for heading in plain}
    for target, anchor in re.findall(r"\]\((?!http)([^()#]*)#?([^()]*)\)", content):
        if target:
            file = (ROOT / "docs" / page).parent.joinpath(target).resolve()
            shown = str(file.relative_to(ROOT / "docs"))
            assert shown in docs_reference.COPIES or file.is_file(), target
        else:
            assert anchor in anchors, anchor


def test_every_benchmark_has_its_figures_in_the_results() -> None:
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text("utf-8")
    for script in (ROOT / "benchmarks").glob("bench_*.py"):
        name = script.stem.removeprefix("bench_")
        assert f"make bench-{name}`" in results or f"bench_{name}.py" in results
