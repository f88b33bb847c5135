"""`import tacos`: every command is a function, and nothing is loaded before it is used."""

import inspect
import subprocess
import sys

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import tacos
from tacos.cli import app
from tacos.errors import TacosError

COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_a_function_with_named_arguments(command: str) -> None:
    function = getattr(tacos, command.replace("-", "_"))
    kinds = {
        parameter.kind for parameter in inspect.signature(function).parameters.values()
    }
    assert function.__doc__
    assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_workflow_of_the_same_name(command: str) -> None:
    name = command.replace("-", "_")
    assert getattr(tacos, name).__module__ == f"tacos.workflows.{name}"


def test_every_public_name_is_listed_and_loads() -> None:
    assert set(tacos.__all__) <= set(dir(tacos))
    assert all(getattr(tacos, name) is not None for name in tacos.__all__)
    assert "TYPE_CHECKING" not in dir(tacos)


def test_the_root_of_all_errors_is_a_public_name() -> None:
    assert tacos.TacosError is TacosError


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'selct'"):
        _ = tacos.selct


def test_importing_tacos_loads_no_other_module_of_it() -> None:
    code = "import sys, tacos; print([name for name in sys.modules if name.startswith('tacos.')])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_command_line_prints_the_version() -> None:
    assert (
        CliRunner().invoke(app, ["--version"]).stdout == f"tacos {tacos.__version__}\n"
    )
