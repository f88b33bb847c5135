"""The main command: what it prints, and how it says no."""

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tacos.cli import app
from tacos.errors import TacosError

SAMPLE = Path(__file__).parents[3] / "demo" / "sample.jsonl"


def tacos(*words: object) -> tuple[int, str]:
    """Exit code and output of a command line; errors as `main` turns them into codes."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, TacosError):
        return result.exception.exit_code, str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the bundled sample."""
    output = tmp_path_factory.mktemp("done") / "out.jsonl"
    code, printed = tacos("select", SAMPLE, "-n", 30, "-o", output)
    assert code == 0, printed
    return output


def test_it_writes_the_rows_as_they_were_read(done: Path) -> None:
    lines = done.read_text("utf-8").splitlines()
    originals = [json.loads(line) for line in SAMPLE.read_text("utf-8").splitlines()]
    assert len(set(lines)) == 30
    assert all(json.loads(line) in originals for line in lines)


def test_a_second_call_says_that_there_is_nothing_to_do(done: Path) -> None:
    before = done.read_bytes()
    code, printed = tacos("select", SAMPLE, "-n", 30, "-o", done)
    assert code == 0
    assert "Nothing to do" in printed
    assert done.read_bytes() == before


def test_the_summary_says_what_happened(done: Path) -> None:
    code, printed = tacos("select", SAMPLE, "-n", 30, "-o", done, "--json")
    assert code == 0
    found = json.loads(printed)
    assert (found["n_read"], found["n_selected"]) == (339, 30)
    assert found["rejects"]["samples"] == {"duplicate": 3, "empty response": 2}
    assert found["n_graded"]["grade"] == 334
    assert found["n_pairs"] == 0
    assert found["selection"]["pool"]["n"] == 334


def test_the_report_is_one_file_without_a_network(done: Path) -> None:
    report = (done.with_name("out.jsonl.run") / "report.html").read_text("utf-8")
    assert "30 rows selected of 334" in report
    assert "http" not in report.split("<body>")[0].replace("http-equiv", "")
    assert "src=" not in report.split("<body>")[0]


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    code, printed = tacos(
        "select", SAMPLE, "-n", 30, "-o", tmp_path / "out.jsonl", "--dry-run"
    )
    assert code == 0
    assert "would run" in printed
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_says_which_questions_go_to_whom(tmp_path: Path) -> None:
    online = ("--model", "big", "--set", "judge.model=embedded", "--json")
    _, printed = tacos(
        "select", SAMPLE, "-n", 30, "-o", tmp_path / "out.jsonl", "--dry-run", *online
    )
    asked = {
        step["artifact"]: step["models"]
        for step in json.loads(printed)
        if step["n_questions"]
    }
    asked.pop("close_grades", None)  # where the weights of the slow tier are installed
    assert asked == {"tags": ["big"], "grades": []}


def test_explain_and_runs(done: Path) -> None:
    run = done.with_name("out.jsonl.run")
    code, printed = tacos("explain", run, "sample.jsonl:0")
    assert code == 0
    assert printed.startswith("sample.jsonl:0: ")
    code, printed = tacos("explain", run, "sample.jsonl:0", "--json")
    assert code == 0
    assert json.loads(printed)["row"] == "sample.jsonl:0"
    code, printed = tacos("runs", "list", run.parent)
    assert "selected" in printed
    assert tacos("runs", "show", run)[0] == 0
    assert tacos("runs", "remove", run.parent, "--yes")[0] == 2


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


ROW = {
    "instruction": "Say something about bread.",
    "output": "Bread is baked from flour and water.",
}
LINE = json.dumps(ROW).encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.jsonl", b""),
        ("truncated.json", b"[" + LINE + b", " + LINE[:40]),
        ("picture.json", b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
        ("words.txt", b"just some words\non two lines\n"),
        ("broken.jsonl.gz", gzip.compress(LINE, mtime=0)[:-12]),
        ("other.jsonl", b'{"a": 1, "b": 2}\n' * 20),
    ],
)
def test_what_is_no_data_set_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes
) -> None:
    code, printed = tacos(
        "select", write(tmp_path / name, content), "-n", 5, "-o", tmp_path / "out.jsonl"
    )
    assert code == 2
    assert len(printed.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_directory_an_absent_file_and_an_unwritable_output_are_refused(
    tmp_path: Path,
) -> None:
    good = write(tmp_path / "good.jsonl", LINE)
    for words in (
        (tmp_path, "-n", 1, "-o", tmp_path / "out.jsonl"),
        (tmp_path / "absent.jsonl", "-n", 1, "-o", tmp_path / "out.jsonl"),
        (good, "-n", 1, "-o", tmp_path / "no" / "such" / "folder" / "out.jsonl"),
        (good, "-n", 1, "-o", "/proc/out.jsonl"),
        (good, "-n", 1, "-o", tmp_path),
    ):
        code, printed = tacos("select", *words)
        assert code == 2, printed
        assert len(printed.strip().splitlines()) == 1


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", LINE)
    code, printed = tacos("select", file, "-n", 1, "-o", file)
    assert code == 2
    assert "one of the inputs" in printed
    assert file.read_bytes() == LINE


@pytest.mark.parametrize("damaged", ["manifest.json", "part-00000.parquet"])
def test_a_damaged_run_is_one_clear_line(tmp_path: Path, damaged: str) -> None:
    words = ("select", SAMPLE, "-n", 5, "-o", tmp_path / "out.jsonl")
    assert tacos(*words, "--until", "ingest")[0] == 0
    next((tmp_path / "out.jsonl.run" / "samples").rglob(damaged)).write_bytes(
        b"garbage"
    )
    code, printed = tacos(*words)
    assert code == 2, printed
    assert "damaged" in printed
    assert len(printed.strip().splitlines()) == 1


def numbered(n: int, n_broken: int) -> bytes:
    """A file of n lines, some of them broken."""
    rows = [
        json.dumps({**ROW, "output": f"Answer number {i} is bread."}).encode()
        for i in range(n)
    ]
    step = n // n_broken
    return b"\n".join(
        b'{"instruction": broken' if i % step == step - 1 else row
        for i, row in enumerate(rows)
    )


def test_one_broken_line_in_a_hundred_is_a_reject_and_five_stop_the_run(
    tmp_path: Path,
) -> None:
    few = write(tmp_path / "few.jsonl", numbered(300, 3))
    code, printed = tacos(
        "select", few, "-n", 5, "-o", tmp_path / "few.out.jsonl", "--json"
    )
    assert code == 0
    assert sum(json.loads(printed)["rejects"]["samples"].values()) == 3
    many = write(tmp_path / "many.jsonl", numbered(300, 15))
    code, printed = tacos("select", many, "-n", 5, "-o", tmp_path / "many.out.jsonl")
    assert code == 2
    assert "line 20" in printed
    assert not (tmp_path / "many.out.jsonl").exists()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_other_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    text = SAMPLE.read_text("utf-8").splitlines()[:60]
    file = write(tmp_path / "rows.jsonl", "\n".join(text).encode(encoding))
    code, printed = tacos(
        "select", file, "-n", 5, "-o", tmp_path / "out.jsonl", "--until", "ingest"
    )
    assert code == 0, printed


def test_more_rows_than_there_are_is_an_error_that_names_fill(tmp_path: Path) -> None:
    code, printed = tacos("select", SAMPLE, "-n", 1000, "-o", tmp_path / "out.jsonl")
    assert code == 2
    assert "--fill" in printed


@pytest.mark.parametrize("engine", [(), ("--engine", "ray")])
@pytest.mark.parametrize("address", ["", " "])
def test_an_empty_address_of_ray_is_refused(
    tmp_path: Path, engine: tuple[str, ...], address: str
) -> None:
    """Before: a shell variable that was not set started Ray on this machine."""
    output = tmp_path / "out.jsonl"
    code, said = tacos(
        "select", SAMPLE, "-o", output, "--ray-address", address, *engine
    )
    assert code == 2
    assert said == (
        "--ray-address is empty: name a cluster (HOST:6379, auto), or leave the option out"
    )
    assert not list(tmp_path.iterdir())
