"""No command writes over a file that it reads, or into a run: attack 15, groups A and E.

Before, the report of `select` could replace its input, `reselect -o RUN/run.json` the state of a
run, the files beside an output (scores, dropped rows) an input of that name, and an output the
evaluation set or the list of ids that it was made with: each with exit code 0. The property is
tried for every command and each pair of a file that it reads and a file that it writes.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.small_world import MODELS, long_response, make_rows, run_command

import tacos
from tacos.errors import ConfigError, InputError, OutputError, RunError

ROWS = make_rows(60, long_response)
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
SETTINGS = "[select]\nfill = true\n"
CONTENTS = {
    "data": LINES,
    "second data": LINES,
    "--against": LINES,
    "--keep": "data.jsonl:1\n",
    "--exclude": "data.jsonl:2\n",
    "--settings": SETTINGS,
    "--criteria": "Prefer short answers.\n",
    "--overrides": 'drop = ["a"]\n',
    "--vocabulary": "alpha = 0.5\n",
    "--ledger": "not opened before the check\n",
    "--set judge.criteria_file": "Prefer short answers.\n",
    "--set normalise.overrides_file": 'drop = ["a"]\n',
}
"""What is read -> a content that gets as far as the check."""

# Command, and the options or arguments that name files that it reads.
READS = {
    "select": tuple(CONTENTS),
    "clean": ("data", "second data", "--against", "--settings"),
    "refine": (
        "--settings",
        "--criteria",
        "--ledger",
        "--set judge.criteria_file",
    ),
    "analyse": ("data", "second data", "--settings", "--overrides", "--vocabulary"),
    "requests export": ("--ledger",),
    "ledger export": ("--ledger",),
}
# Command -> what it writes: the words that name it, by the path of the file that it must not hit.
SUFFIXES = {
    "select": ("", ".scores.jsonl", "--report"),
    "clean": ("", ".dropped.jsonl"),
    "refine": ("", ".changes.jsonl"),
    "analyse": ("summary.csv", "analysis.json", "recall.svg"),
    "requests export": ("",),
    "ledger export": ("",),
}
PAIRS = [
    (command, read, suffix)
    for command, reads in READS.items()
    for read in reads
    for suffix in SUFFIXES[command]
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("kept") / "run"
    return tacos.select(ROWS, 10, run=place, **MODELS).run


def list_files(folder: Path) -> Iterator[tuple[Path, int, bytes]]:
    """Every file with its time and content."""
    for path in sorted(folder.rglob("*")):
        # The lock of a run is taken by commands that only read it.
        if path.is_file() and path.name != ".lock":
            yield path, path.stat().st_mtime_ns, path.read_bytes()


def name_output(command: str, folder: Path, suffix: str) -> tuple[Path, list[str]]:
    """A file that a command will write, and the words that make it do so."""
    if command == "analyse":
        return folder / suffix, ["-o", str(folder)]
    if suffix == "--report":
        report = folder / "both.jsonl"
        return report, ["-o", str(folder / "o.jsonl"), "--report", str(report)]
    output = folder / "both.jsonl"
    words = [str(output)] if command == "ledger export" else ["-o", str(output)]
    return output.with_name(output.name + suffix), words


def name_reads(read: str, file: Path, data: Path) -> list[str]:
    """The words that make a command read a file."""
    if read == "data":
        return [str(file)]
    if read == "second data":
        return [str(data), str(file)]
    if read.startswith("--set "):
        return [str(data), "--set", f"{read.split()[1]}={file}"]
    return [str(data), read, str(file)]


def build_command(
    command: str, read: str, file: Path, data: Path, run: Path
) -> list[str]:
    words = name_reads(read, file, data)
    if command in ("refine", "requests export"):
        words = [str(run), *words[1:]]
    if command == "ledger export":
        words = words[1:]
    if command == "refine":
        words += ["--model", "m", "--yes"]
    if command == "select":
        words += ["-n", "5"]
    return [*command.split(), *words]


@pytest.mark.parametrize(("command", "read", "suffix"), PAIRS)
def test_what_is_read_is_never_written(
    tmp_path: Path, run: Path, command: str, read: str, suffix: str
) -> None:
    both, output_words = name_output(command, tmp_path, suffix)
    data = tmp_path / "data.jsonl"
    data.write_text(LINES)
    # Overrides and vocabularies are TOML, or JSON by their name.
    is_json = both.suffix == ".json" and read in ("--overrides", "--vocabulary")
    both.write_text("{}" if is_json else CONTENTS[read])
    before = [*list_files(tmp_path), *list_files(run)]
    words = build_command(command, read, both, data, run)
    code, message = run_command(*words, *output_words)
    assert code == 2, message
    assert "which this command reads" in message
    assert both.name in message
    assert "\n" not in message.strip()
    assert [*list_files(tmp_path), *list_files(run)] == before


@pytest.mark.parametrize("make_link", [os.symlink, os.link])
@pytest.mark.parametrize("command", ["select", "clean"])
def test_links_and_other_spellings_are_seen_through(
    tmp_path: Path, command: str, make_link: object
) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text(LINES)
    other = tmp_path / "other.jsonl"
    make_link(data, other)  # type: ignore[operator]
    (tmp_path / "sub").mkdir()
    size = ["-n", "5"] if command == "select" else []
    for output in (other, tmp_path / "sub" / ".." / "data.jsonl"):
        code, message = run_command(command, data, "-o", output, *size)
        assert code == 2
        assert "which this command reads" in message
    assert data.read_text() == LINES


# Nothing is written into a run


def list_commands_into(run: Path, place: Path) -> list[Sequence[object]]:
    """Commands that would write into a run, or over one of its files."""
    return [
        ["reselect", run, "-n", "5", "-o", place / "o.jsonl"],
        ["reselect", run, "-n", "5", "-o", place / "run.json"],
        ["reselect", run, "-n", "5", "--report", place / "report.html"],
        ["report", run, "-o", place / "o.html"],
        ["refine", run, "--model", "m", "--yes", "-o", place / "o.jsonl"],
        ["compare", run, "-o", place / "o.svg"],
        ["curve", run, "-o", place / "o.svg"],
        ["tags", run, "--publish", place / "o.json"],
        ["check-tags", run, "--sheet", place / "o.csv"],
        ["export", run, "--for", "trl", "-o", place / "o"],
        ["export", run, "--for", "trl", "-o", place, "--force"],
        ["distill", run, "-o", place / "o"],
        ["analyse", run, "-o", place / "o"],
        ["requests", "export", run, "-o", place / "o.jsonl"],
        ["ledger", "export", place / "o.jsonl", "--ledger", run.parent / "l.sqlite"],
        ["clean", run.parent / "data.jsonl", "-o", place / "o.jsonl"],
        ["select", run.parent / "data.jsonl", "-n", "5", "-o", place / "o.jsonl"],
    ]


@pytest.mark.parametrize("number", range(17))
def test_no_output_lies_in_a_run(run: Path, number: int) -> None:
    data = run.parent / "data.jsonl"
    data.write_text(LINES)
    inner = run / "samples"
    for place in (run, inner):
        words = list_commands_into(run, place)[number]
        before = list(list_files(run))
        code, message = run_command(*words)
        assert code == 2, message
        assert re.search("lies in the run|is a run, whose files", message)
        assert list(list_files(run)) == before


def test_every_file_of_a_run_is_kept(run: Path) -> None:
    before = list(list_files(run))
    for file, _, _ in before:
        code, message = run_command("reselect", run, "-n", "5", "--report", file)
        assert (code, "lies in the run" in message) == (2, True)
    assert list(list_files(run)) == before


def test_a_run_has_its_own_report(tmp_path: Path) -> None:
    place = tmp_path / "run"
    done = tacos.select(ROWS, 10, run=place, **MODELS)
    assert done.report(place / "report.html").is_file()
    with pytest.raises(OutputError, match="lies in the run"):
        done.report(place / "run.json")


def test_an_output_does_not_lie_in_the_run_that_is_made(tmp_path: Path) -> None:
    place = tmp_path / "run"
    place.mkdir()
    with pytest.raises(OutputError, match="lies in the run"):
        tacos.select(ROWS, 10, output=place / "o.jsonl", run=place, **MODELS)


def test_a_run_is_not_made_around_its_input(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text(LINES)
    with pytest.raises(OutputError, match=r"lies in .*, where this command writes"):
        tacos.select(tmp_path, 10, run=tmp_path, **MODELS)
    assert [path.name for path in tmp_path.iterdir()] == ["data.jsonl"]


def test_a_folder_that_is_replaced_holds_no_input(tmp_path: Path) -> None:
    """`export --force` would have replaced the folder with the data in it."""
    folder = tmp_path / "train"
    data = tmp_path / "data.jsonl"
    data.write_text(LINES)
    assert run_command("export", data, "--for", "trl", "-o", folder)[0] == 0
    (exported,) = [path for path in folder.iterdir() if path.suffix == ".jsonl"]
    before = list(list_files(folder))
    code, message = run_command(
        "export", exported, "--for", "trl", "-o", folder, "--force"
    )
    assert code == 2
    assert "which this command reads" in message
    assert list(list_files(folder)) == before


def test_two_outputs_are_two_files(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text(LINES)
    output = tmp_path / "o.jsonl"
    code, message = run_command(
        "select", data, "-n", "5", "-o", output, "--report", output
    )
    assert (code, "written twice" in message) == (2, True)
    assert not output.exists()


def test_python_callers_are_refused_as_well(tmp_path: Path) -> None:
    both = tmp_path / "both.jsonl"
    both.write_text(LINES)
    criteria = {"judge": {"criteria_file": str(both)}}
    with pytest.raises(OutputError, match="which this command reads"):
        tacos.select(ROWS, 5, output=both, settings=criteria, **MODELS)
    with pytest.raises(OutputError, match="which this command reads"):
        tacos.clean(ROWS, both, against=both)
    assert both.read_text() == LINES


def test_outputs_elsewhere_are_written(tmp_path: Path) -> None:
    """The names beside an output that another command would write are free."""
    data = tmp_path / "o.jsonl.dropped.jsonl"
    data.write_text(LINES)
    done = tacos.select(data, 5, output=tmp_path / "o.jsonl", **MODELS)
    assert done.output is not None
    assert done.output.is_file()
    again = tacos.select(data, 5, output=tmp_path / "o.jsonl", **MODELS)
    assert again.made == []


# Files that tacos did not write


@pytest.mark.parametrize("name", ["mine.jsonl", "mine.html"])
@pytest.mark.parametrize("command", ["select", "clean", "reselect", "refine"])
def test_a_file_of_somebody_else_is_replaced_with_force_only(
    run: Path, tmp_path: Path, command: str, name: str
) -> None:
    """`-o` and `--report` named a file of the user's, and it was gone."""
    data = tmp_path / "data.jsonl"
    data.write_text(LINES)
    mine = tmp_path / name
    words: list[object] = {
        "select": ["select", data, "-n", 5],
        "clean": ["clean", data],
        "reselect": ["reselect", run, "-n", 5],
        "refine": ["refine", run, "--yes", "--set", "refine.model=m"],
    }[command]
    if name == "mine.jsonl":
        words += ["-o", mine]
    elif command in {"select", "reselect"}:
        words += ["-o", tmp_path / "out.jsonl", "--report", mine]
    else:
        pytest.skip("writes no report")
    mine.write_text("mine")
    code, message = run_command(*words)
    assert (code, "replace it with --force" in message) == (2, True), message
    assert mine.read_text() == "mine"
    if command == "refine":
        return  # needs a server
    assert run_command(*words, "--force")[0] == 0
    written = mine.read_text()
    # What tacos wrote, it may write again; and an empty file is nobody's.
    assert run_command(*words)[0] == 0
    assert mine.read_text()[:100] == written[:100] != "mine"
    mine.write_text("")
    assert run_command(*words)[0] == 0


@pytest.mark.parametrize("words", [["clean"], ["export", "--for", "trl"]])
@pytest.mark.parametrize("name", ["loop", "loop/rows.jsonl"])
def test_a_link_to_itself_is_one_line(
    tmp_path: Path, words: list[str], name: str
) -> None:
    """`Path.resolve` raised a RuntimeError."""
    data = tmp_path / "data.jsonl"
    data.write_text(LINES)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    command, *more = words
    code, message = run_command(command, data, *more, "-o", tmp_path / name)
    assert code == 2
    assert re.search("leads back to itself|[Ss]ymbolic links", message)


def test_rows_are_written_after_what_says_whose_they_are(
    run: Path, tmp_path: Path
) -> None:
    """Killed between the two, the same command would not have known its own output."""
    selected = tmp_path / "selected.jsonl"
    tacos.reselect(run, 5, output=selected)
    cleaned = tmp_path / "cleaned.jsonl"
    tacos.clean(ROWS, cleaned)
    for rows, beside in ((selected, ".scores.jsonl"), (cleaned, ".dropped.jsonl")):
        marker = rows.with_name(rows.name + beside)
        assert marker.stat().st_mtime_ns < rows.stat().st_mtime_ns


# Files of other programs


@pytest.fixture(params=['{"name": "x"}', "[1]", "text", ""])
def foreign(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with a `run.json` of another program."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    (folder / "run.json").write_text(request.param)
    (folder / "stdin.txt").write_text("mine")
    return folder


def test_a_foreign_state_file_is_passed_over_and_kept(foreign: Path) -> None:
    """`runs list` ended in KeyError, TypeError, or refused the whole list."""
    before = list(list_files(foreign))
    tacos.select(ROWS, 10, run=foreign.parent / "own", **MODELS)
    code, listed = run_command("runs", "list", foreign.parent)
    assert code == 0
    assert "own" in listed
    with pytest.raises(RunError, match=r"run\.json") as told:
        tacos.select(ROWS, 10, run=foreign, **MODELS)
    assert "remove" not in str(told.value)
    with pytest.raises(RunError, match=r"run\.json"):
        tacos.load(foreign)
    code, message = run_command("runs", "remove", foreign, "--yes")
    assert (code, "nothing was removed" in message) == (2, True)
    assert list(list_files(foreign)) == before


def test_a_run_inside_a_foreign_folder_is_listed(foreign: Path) -> None:
    tacos.select(ROWS, 10, run=foreign / "own", **MODELS)
    assert [each.run for each in tacos.runs(foreign)] == [foreign / "own"]


def test_a_foreign_report_is_kept(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(RunError, match=r"report\.html"):
        tacos.select(ROWS, 10, run=tmp_path, **MODELS)
    assert (tmp_path / "report.html").read_text() == "mine"


def test_files_that_begin_with_stdin_are_kept(tmp_path: Path) -> None:
    """A run in which nothing was made removed `stdin*` of its folder."""
    (tmp_path / "stdin-notes.txt").write_text("mine")
    with pytest.raises(InputError):
        tacos.select([{"a": 1}], 1, run=tmp_path, **MODELS)
    assert [path.name for path in tmp_path.iterdir()] == ["stdin-notes.txt"]


# One line each


@pytest.mark.parametrize("seed", [-1, 2**32, 99999999999999999999])
def test_a_seed_out_of_range_is_one_line(run: Path, seed: int) -> None:
    for words in (
        ["select", run.parent / "data.jsonl", "-n", "5"],
        ["reselect", run, "-n", "5"],
        ["compare", run],
        ["curve", run],
        ["analyse", run],
    ):
        code, message = run_command(*words, "--seed", seed)
        assert code == 2
        assert (
            f"setting seed (--seed) must be at {'least' if seed < 0 else 'most'}"
            in (message)
        )
    with pytest.raises(ConfigError):
        tacos.select(ROWS, 5, seed=seed)


def test_the_largest_seed_works(tmp_path: Path) -> None:
    done = tacos.select(ROWS, 5, seed=2**32 - 1, **MODELS)
    assert tacos.compare(done, 5, ["random"]).n_pool == len(ROWS)


def test_what_cannot_be_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, message = run_command("inspect", "/proc/self/mem")
    assert (code, message.count("\n")) == (2, 0)
    assert "cannot be read" in message
    # Nothing is forbidden to root, who may run the tests.
    (tmp_path / "data.jsonl").write_text(LINES)
    closed = tmp_path / "closed"
    closed.mkdir()
    list_folder = Path.iterdir

    def refuse(folder: Path) -> Iterator[Path]:
        if folder == closed:
            raise PermissionError(13, "Permission denied", str(folder))
        return list_folder(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    code, message = run_command("inspect", tmp_path)
    assert code == 2
    assert f"{closed} cannot be read: Permission denied" in message


def test_long_names_of_columns_are_clipped(tmp_path: Path) -> None:
    row = json.dumps({"k" * 100_000: 1, "b": 2})
    file = tmp_path / "long.jsonl"
    file.write_text(f"{row}\n{row}\n")
    for command in (["inspect", file], ["select", file, "-o", tmp_path / "o.jsonl"]):
        code, message = run_command(*command)
        assert code == 2
        assert len(message) < 1000
        assert "kkk..., b" in message
