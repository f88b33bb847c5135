"""A path that a person types is that file: never a pattern, a URL or the home folder.

Inputs like `../shared/cases/glob_parquet.md` and `data_1_.jsonl.md`, and their brothers: every name
below is that of a file, a run folder, an output, a ledger and a list of rows to keep.
"""

import json
import re
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

import tacos
from tacos.cli import app, run_app
from tacos.errors import InputError, TacosError
from tacos.formats.paths import choose_inputs, expand_folders
from tacos.formats.reading import read_ids, read_rows
from tacos.llm.ledger.ledger import open_ledger
from tacos.records import build_reject_frame
from tacos.store.artifacts import Store

NAMES = [
    "data[1]",
    "part*",
    "w?",
    "{1,2}",
    "~/in a folder called tilde",
    "~x",
    "file:/a url",
    "[folder]/[!a]",
    "hash#percent%20",
    "-leading",
    ":memory:",
    "a:3",
]
TOPICS = ["rivers", "bread", "chess", "fonts", "tides", "moss", "kites", "glass"]
ROWS = [
    {
        "instruction": f"Say something about {topic}.",
        "output": f"There is much to say about {topic}, and most of it is true.",
    }
    for topic in TOPICS
]


@pytest.fixture(autouse=True)
def work_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Relative paths, as people type them, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_place(name: str) -> Path:
    """The path of a name, in a folder that exists."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def read_column(path: Path, column: str) -> list[str]:
    return [row[column] for batch in read_rows(path) for _, row in batch.rows]


@pytest.mark.parametrize("name", NAMES)
def test_a_parquet_file_is_read_whatever_its_name_means_to_others(name: str) -> None:
    """glob_parquet: beside files that the name, as a pattern, would match."""
    for other in ("data1", "part-1", "wx", "1"):
        pl.DataFrame({"whose": ["other"]}).write_parquet(f"{other}.parquet")
    path = make_place(f"{name}.parquet")
    with path.open("wb") as file:
        pl.DataFrame({"whose": ["own"]}).write_parquet(file)
    assert read_column(path, "whose") == ["own"]


@pytest.mark.parametrize("name", NAMES)
def test_a_run_folder_may_have_any_name(name: str) -> None:
    """data_1_: brackets in an output's name made its run "damaged"."""
    store = Store(make_place(name))
    draft = store.begin("samples", "key")
    for number in range(2):
        table = pl.DataFrame({"x": [number]})
        rejects = build_reject_frame()
        draft.write(number, table, rejects)
    artifact = draft.commit({"stage": "ingest", "rejects": {}})
    assert artifact.scan().collect()["x"].to_list() == [0, 1]
    assert [part["x"].to_list() for part in artifact.batches(["x"])] == [[0], [1]]
    assert Path(name, "samples", "key", "part-00000.parquet").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_a_ledger_and_a_list_of_ids_may_have_any_name(name: str) -> None:
    ledger = make_place(f"{name}.sqlite")
    with open_ledger(ledger) as book:
        size = book.size()
    assert ledger.is_file()
    assert size.n_bytes >= ledger.stat().st_size > 0
    keep = make_place(f"{name}.keep")
    keep.write_text("a.jsonl:1\n")
    assert set(read_ids(keep)) == {"a.jsonl:1"}


def test_only_one_module_gives_paths_to_polars() -> None:
    """A path that goes to polars by another way is a pattern again."""
    package = Path(tacos.__file__).parent
    call = re.compile(r"\.(scan|read)_(parquet|ipc|csv|ndjson)\((?!io\.)")
    found = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if call.search(path.read_text("utf-8"))
    ]
    assert found == ["store/tables.py"]


def test_a_ledger_called_memory_is_a_file() -> None:
    with open_ledger(":memory:"):
        assert Path(":memory:").is_file()


def test_input_and_output_with_brackets_from_end_to_end() -> None:
    """glob_parquet and data_1_, by the command line."""
    pl.DataFrame(ROWS).write_parquet("data[1].parquet")
    pl.DataFrame(ROWS[:1]).write_parquet("data1.parquet")
    words = ["select", "data[1].parquet", "-n", "3", "-o", "out[1].jsonl"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    lines = Path("out[1].jsonl").read_text().splitlines()
    assert len(lines) == 3
    assert all(json.loads(line) in ROWS for line in lines)
    assert tacos.load("out[1].jsonl.run").explain("data[1].parquet:7")


NOT_UTF8 = "a\udcff.jsonl"


@pytest.mark.parametrize(
    "words",
    [
        ["select", NOT_UTF8],
        ["select", "a.jsonl", "-o", NOT_UTF8],
        ["select", "a.jsonl", "--run", NOT_UTF8],
        ["select", "a.jsonl", "--ledger", NOT_UTF8],
        ["select", "a.jsonl", f"--keep={NOT_UTF8}"],
    ],
    ids=["input", "output", "run", "ledger", "keep"],
)
def test_a_name_that_is_not_utf8_is_refused_in_one_line(
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["tacos", *words])
    with pytest.raises(SystemExit) as stopped:
        run_app(time.monotonic())
    printed = capsys.readouterr().err
    assert stopped.value.code == 2
    assert printed.count("\n") == 1
    assert r"a\udcff.jsonl' is not UTF-8: rename it" in printed


def test_python_callers_are_told_the_same() -> None:
    with pytest.raises(InputError, match="is not UTF-8: rename it"):
        list(read_rows(NOT_UTF8))
    with pytest.raises(TacosError, match="is not UTF-8: rename it"):
        tacos.select(ROWS, n=2, output=NOT_UTF8)


def test_links_in_a_folder(tmp_path: Path) -> None:
    # A link to the folder itself was followed 40 times, and one to a missing file passed over.
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.jsonl").touch()
    (folder / "sub" / "b.jsonl").touch()
    (folder / "sub" / "back").symlink_to("..")
    (folder / "c.jsonl").symlink_to("a.jsonl")
    names = [folder / "a.jsonl", folder / "c.jsonl", folder / "sub" / "b.jsonl"]
    assert expand_folders([folder]) == names
    (folder / "again").symlink_to(".")
    assert expand_folders([folder]) == names
    (folder / "again").unlink()
    everywhere = choose_inputs([str(folder)], ["**/*.jsonl"])
    assert sorted(everywhere) == [str(name) for name in names]
    (folder / "d.jsonl").symlink_to("gone.jsonl")
    with pytest.raises(InputError, match=r"d\.jsonl cannot be read: No such file"):
        expand_folders([folder])


def test_links_that_lead_round_in_circles_end(tmp_path: Path) -> None:
    # Two such links were followed 2 ** 40 times.
    folder = tmp_path / "data"
    for name in ("a", "b", "c"):
        (folder / name).mkdir(parents=True)
        (folder / name / f"{name}.jsonl").touch()
        (folder / name / "back").symlink_to("..")
        (folder / name / "again").symlink_to(f"../{name}")
        for other in {"a", "b", "c"} - {name}:
            (folder / name / f"to-{other}").symlink_to(f"../{other}")
    names = [folder / name / f"{name}.jsonl" for name in ("a", "b", "c")]
    assert expand_folders([folder]) == names
    for pattern in ("**", "**/*.jsonl", "**/**/*.jsonl"):
        assert choose_inputs([str(folder)], [pattern]) == [str(name) for name in names]


def test_a_folder_with_two_names_is_read_once(tmp_path: Path) -> None:
    # By its own name where it has one in the folder, otherwise by that of the link.
    folder, outside = tmp_path / "data", tmp_path / "outside"
    for place in (folder / "z", outside):
        place.mkdir(parents=True)
        (place / "rows.jsonl").touch()
    (folder / "a").symlink_to("z")
    (folder / "b").symlink_to(outside)
    (folder / "c").symlink_to(outside)
    names = [folder / "b" / "rows.jsonl", folder / "z" / "rows.jsonl"]
    assert expand_folders([folder]) == names
    assert choose_inputs([str(folder)], ["**"]) == [str(name) for name in names]
    # A link that is named itself is followed wherever it leads.
    (folder / "z" / "up").symlink_to("..")
    assert choose_inputs([str(folder / "z" / "up")], ["z/*.jsonl"]) == [
        str(folder / "z" / "up" / "z" / "rows.jsonl")
    ]


def test_what_tacos_writes_beside_its_rows_is_no_data(tmp_path: Path) -> None:
    # A folder with a cleaned file or an export with rows left out could not be read again.
    data = tmp_path / "data.jsonl"
    rows = [{"instruction": f"What is {n}?", "output": "A number."} for n in range(4)]
    rows.append({"instruction": "Who?", "output": "As an AI language model, I cannot."})
    data.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    folder = tmp_path / "folder"
    folder.mkdir()
    tacos.clean(data, folder / "clean.jsonl")
    assert tacos.inspect(folder).n_rows == 4
    (folder / "left_out.jsonl").write_text('{"id": "a:0", "reason": "too long"}\n')
    (folder / "a.jsonl.edits.jsonl").write_text("{}\n")
    assert tacos.inspect(folder).n_rows == 4


def test_an_input_without_a_name_is_no_folder() -> None:
    # "$UNSET" was the whole working directory.
    with pytest.raises(InputError, match="an input has no name"):
        choose_inputs([""], [])
