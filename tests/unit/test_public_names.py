"""`import tacos`: every command is a function, and nothing is loaded before it is used."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.small_world import (
    encode_letters,
    judge_by_instruction,
    make_rows,
    tag_by_words,
)
from typer.main import get_command
from typer.testing import CliRunner

import tacos
from tacos.cli import app
from tacos.errors import ConfigError, InputError, OutputError, RunError, TacosError

COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]
ROWS = make_rows()
FUNCTIONS = sorted(
    name for name in tacos.__all__ if inspect.isfunction(getattr(tacos, name))
)


def list_arguments(name: str) -> dict[str, inspect.Parameter]:
    """The parameters of a public function."""
    return dict(inspect.signature(getattr(tacos, name)).parameters)


def name_function(command: str) -> str:
    """The public function of a command; `tacos.report` is a package."""
    name = command.replace("-", "_")
    return "write_report" if name == "report" else name


READ_A_RUN = [
    name for name in FUNCTIONS if "run" in list_arguments(name) and name != "select"
]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tacos.Selection:
    """A finished run in which every row was judged."""
    folder = tmp_path_factory.mktemp("done")
    return tacos.select(
        ROWS,
        n=20,
        run=folder / "run",
        tagger=tag_by_words,
        judge=judge_by_instruction,
        encoder=encode_letters,
        settings={"shortlist": {"rule": "all"}, "normalise": {"alpha": 1}},
        ledger=folder / "ledger.sqlite",
    )


def call(name: str, folder: Path, /, **given: Any) -> Any:
    """Call a public function with the arguments given, and with small ones for what it needs."""
    defaults = {
        "data": ROWS,
        "pairs": ROWS,
        "first": folder / "first.jsonl",
        "second": folder / "second.jsonl",
        "file": folder / "file",
        "replies": folder / "replies.jsonl",
        "output": folder / "output.csv",
        "model": "tiny-1",
        "trainer": "trl",
        "recipe": "tiny" if name == "train" else None,
        "row": "data:1",
        "other": folder / "other.run",
        "ledger": folder / "ledger.sqlite",
        "answers": folder / "answers.jsonl",
        "questions": folder / "questions.jsonl",
        "references": "none",
        "outputs": folder / "outputs.json",
        "baseline": folder / "baseline.json",
    }
    arguments = {**defaults, **given}
    accepted = list_arguments(name)
    return getattr(tacos, name)(
        **{key: arguments[key] for key in arguments if key in accepted}
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_a_function_with_named_arguments(command: str) -> None:
    function = getattr(tacos, name_function(command))
    kinds = {
        parameter.kind for parameter in inspect.signature(function).parameters.values()
    }
    assert function.__doc__
    assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_workflow_of_the_same_name(command: str) -> None:
    module = getattr(tacos, name_function(command)).__module__
    assert module == f"tacos.workflows.{command.replace('-', '_')}"


def test_every_public_name_is_listed_and_loads() -> None:
    assert set(tacos.__all__) <= set(dir(tacos))
    assert all(getattr(tacos, name) is not None for name in tacos.__all__)
    assert "TYPE_CHECKING" not in dir(tacos)


def test_the_root_of_all_errors_is_a_public_name() -> None:
    assert tacos.TacosError is TacosError


def test_the_method_of_a_selection_takes_what_its_function_takes() -> None:
    """But for the run, which it is itself."""
    method = inspect.signature(tacos.Selection.reselect).parameters
    function = list_arguments("reselect")
    assert [*method][1:] == [*function][1:]
    for name, parameter in [*method.items()][1:]:
        assert parameter.default == function[name].default


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'selct'"):
        _ = tacos.selct


def test_importing_tacos_loads_no_other_module_of_it() -> None:
    code = "import sys, tacos; print([name for name in sys.modules if name.startswith('tacos.')])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_command_loads_no_library_that_few_commands_need() -> None:
    libraries = {"scipy.stats", "scipy.optimize", "pandas", "altair", "vl_convert"}
    libraries |= {"pyarrow", "sklearn", "torch", "datasets", "ray", "fsspec", "rensa"}
    code = "import sys, tacos.cli; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not libraries & set(done.stdout.split())


def test_the_command_line_prints_the_version() -> None:
    assert (
        CliRunner().invoke(app, ["--version"]).stdout == f"tacos {tacos.__version__}\n"
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arguments_of_one_name_have_one_type(name: str) -> None:
    hints = {"ledger": "str | Path | None", "settings": "GivenSettings"}
    if name in READ_A_RUN:
        hints["run"] = "GivenRun"
    for argument, parameter in list_arguments(name).items():
        assert parameter.annotation == hints.get(argument, parameter.annotation)
        # The address of a function in a default would be all that `help` shows.
        assert parameter.default is parameter.empty or not callable(parameter.default)


@pytest.mark.parametrize("name", READ_A_RUN)
@pytest.mark.parametrize("run", [5, None, ["run"]])
def test_what_is_no_run_is_an_error_of_one_line(
    name: str, run: Any, tmp_path: Path
) -> None:
    with pytest.raises(
        TypeError, match=r"^run must be a run directory or a selection, not \w+$"
    ):
        call(name, tmp_path, run=run)


@pytest.mark.parametrize("name", READ_A_RUN)
def test_a_folder_that_holds_no_run_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nowhere"):
        call(name, tmp_path, run=tmp_path / "nowhere")


@pytest.mark.parametrize(
    "name",
    [
        "check_tags",
        "refine",
        "requests",
        "export_requests",
        "import_replies",
        "run_batch",
    ],
)
def test_a_selection_stands_for_its_run(
    name: str, done: tacos.Selection, tmp_path: Path
) -> None:
    messages = []
    for run in (done, done.run, str(done.run)):
        with pytest.raises(ConfigError) as caught:
            call(name, tmp_path, run=run)
        messages.append(str(caught.value))
    # All three get as far as the model that this run does not have.
    assert len(set(messages)) == 1
    assert "--model" in messages[0]
    assert ".model" in messages[0]


def test_a_selection_is_analysed_tagged_and_removed_as_its_run_is(
    done: tacos.Selection, tmp_path: Path
) -> None:
    ledger = str(tmp_path / "ledger.sqlite")
    by_selection = tacos.analyse([done], ledger=ledger)
    by_path = tacos.analyse(str(done.run), ledger=ledger)
    assert by_selection.as_dict() == by_path.as_dict()
    assert tacos.write_tag_sheet(done, tmp_path / "sheet.csv") > 0
    assert tacos.load(done) is done
    copy = tacos.select(
        ROWS, 5, run=tmp_path / "copy", tagger=tag_by_words, judge=judge_by_instruction
    )
    tacos.remove_run(copy)
    assert not copy.run.exists()


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        (name, argument)
        for name in FUNCTIONS
        for argument in ("ledger", "settings", "progress", "output", "file", "replies")
        if argument in list_arguments(name)
    ],
)
def test_a_number_in_place_of_a_path_or_settings_is_an_error_of_one_line(
    name: str, argument: str, done: tacos.Selection, tmp_path: Path
) -> None:
    given: dict[str, Any] = {argument: 5}
    if name in READ_A_RUN:
        given["run"] = done
    with pytest.raises(TypeError, match=rf"^{argument} must .*int$"):
        call(name, tmp_path, **given)


@pytest.mark.parametrize("argument", ["tagger", "judge", "encoder", "selector"])
def test_only_a_function_stands_for_a_model(argument: str) -> None:
    with pytest.raises(TypeError, match=f"^{argument} must be a function, not int"):
        tacos.select(ROWS, 5, **{argument: 3})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["reselect", "curve", "compare"])
def test_an_unknown_score_or_seed_is_refused(
    name: str, done: tacos.Selection, tmp_path: Path
) -> None:
    with pytest.raises(
        ConfigError,
        match=r"unknown value of by \(--by\) 'nosuch'; choose from score, grade",
    ):
        call(name, tmp_path, run=done, by="nosuch")
    with pytest.raises(TypeError, match="seed must be a whole number, not str"):
        call(name, tmp_path, run=done, seed="x")


@pytest.mark.parametrize("name", ["reselect", "curve"])
def test_an_unknown_strategy_is_refused(
    name: str, done: tacos.Selection, tmp_path: Path
) -> None:
    with pytest.raises(
        ConfigError, match="unknown strategy 'nosuch'; choose from tacos, "
    ):
        call(name, tmp_path, run=done, strategy="nosuch")


def test_one_item_is_a_list_of_one(done: tacos.Selection, tmp_path: Path) -> None:
    assert tacos.curve(done, ns=10).table.equals(tacos.curve(done, ns=["10"]).table)
    assert tacos.curve(done, ns="10").table["n"].to_list() == [10]
    assert tacos.compare(done, 20, "mig").table.equals(
        tacos.compare(done, 20, ["mig"]).table
    )
    with pytest.raises(InputError, match=r"nosuch.jsonl: no such file"):
        tacos.analyse("nosuch.jsonl", ledger=tmp_path / "ledger.sqlite")
    with pytest.raises(InputError, match=r"nosuch.csv: no such file"):
        tacos.check_tags(done, sheets="nosuch.csv", ask=False)


def test_a_row_is_an_id_or_a_hash(done: tacos.Selection) -> None:
    for explain in (done.explain, lambda row: tacos.explain(done, row)):
        with pytest.raises(
            TypeError, match=r"row must be an id .* or a content hash, not int"
        ):
            explain(17)
    with pytest.raises(TypeError, match="name must be a tag, not int"):
        tacos.tags(done).lineage(17)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("curve", {"gain": "x"}, "gain must be a number, not str"),
        ("distill", {"encoder": "nosuch"}, "unknown encoder 'nosuch'"),
        ("run_batch", {"poll": "x"}, "poll must be a number of seconds, not str"),
        ("run_batch", {"budget": 5}, "budget must be a text such as '5usd', not int"),
        ("run_batch", {"say": 5}, "say must be a function, not int"),
        ("quote", {"pilot": 0}, "pilot is 0"),
        ("quote", {"pilot": "x"}, "pilot must be a number of requests, not str"),
        ("analyse", {"seed": "x"}, "seed must be a whole number, not str"),
        ("analyse", {"workers": "x"}, "workers must be a number of processes, not str"),
        ("analyse", {"workers": -1}, r"workers must be 0 \(one per core\) or more"),
        ("select", {"workers": "x"}, "workers must be a number of processes, not str"),
        ("select", {"engine": "rya"}, "unknown engine 'rya'.*; did you mean 'ray'"),
        ("select", {"engine": ["ray"]}, "unknown engine"),
        ("select", {"ray_address": 5}, "ray_address must be a text, not int"),
        ("select", {"ray_address": "h:1"}, "an address of Ray .* needs the engine ray"),
        ("select", {"settings": {5: 5}}, "settings must be nested values"),
        ("select", {"preset": ["paper"]}, "unknown preset"),
        ("select", {"n": None}, r"None is not a valid size \(-n, select.n\)"),
        ("select", {"run": 5}, "run must be a path, not int"),
        ("settings", {"name": ["judge"]}, "name must be a text, not list"),
        ("runs", {"folder": 5}, "folder must be a path, not int"),
    ],
)
def test_other_wrong_values_are_errors_of_one_line(
    name: str,
    given: dict[str, Any],
    message: str,
    done: tacos.Selection,
    tmp_path: Path,
) -> None:
    if name in READ_A_RUN:
        given = {"run": done, **given}
    with pytest.raises((TypeError, TacosError), match=f"^{message}") as caught:
        call(name, tmp_path, **given)
    assert "\n" not in str(caught.value)


def test_the_ledger_of_a_selection_can_be_named(tmp_path: Path) -> None:
    # It is opened only if an endpoint is asked, so a file that is none shows that it is used.
    settings = {
        "tag": {"model": "llm"},
        "llm": {"model": "m", "base_url": "http://localhost:9/v1"},
    }
    with pytest.raises(OutputError, match=r"the ledger .* cannot be used"):
        tacos.select(ROWS, 5, settings=settings, ledger=str(tmp_path))
