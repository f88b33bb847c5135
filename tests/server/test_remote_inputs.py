"""Inputs at addresses, over a real web server and fsspec's memory: every format is read as from a
file, faults are waited for or are one line, and no login, query or signature is kept or shown.
"""

import gc
import gzip
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pytest
from fsspec.asyn import get_loop
from tests.server.web_server import WebServer, open_web_server
from tests.small_world import MODELS, judge_by_instruction, make_rows, run_command

import tacos
from tacos.errors import ConfigError, InputError
from tacos.formats import reading, remote_failures, writing
from tacos.formats.remote_inputs import RECORD

SECRET = "X-Amz-Signature=5ecre7"


@pytest.fixture
def web() -> Iterator[WebServer]:
    with open_web_server() as opened:
        yield opened
    # What aiohttp leaves open of a broken connection ends here, not in some later test.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def memory() -> Iterator[Any]:
    file_system = fsspec.filesystem("memory")
    file_system.store.clear()
    file_system.pseudo_dirs[:] = [""]
    yield file_system
    file_system.store.clear()


def encode(rows: list[dict[str, Any]], name: str, folder: Path) -> bytes:
    """The rows as the file of a name."""
    return writing.write_rows(rows, folder / name).read_bytes()


def read(source: Any) -> list[tuple[str, Any]]:
    return [
        (f"{batch.file}:{number}", row)
        for batch in reading.read_rows(source)
        for number, row in batch.rows
    ]


NAMES = (
    "a.jsonl",
    "a.json",
    "a.csv",
    "a.tsv",
    "a.parquet",
    "a.arrow",
    "a.jsonl.gz",
    "a.jsonl.zst",
    "a.json.bz2",
    "a.csv.xz",
    "a.parquet.gz",
)


@pytest.mark.parametrize("sends_parts", (True, False))
@pytest.mark.parametrize("name", NAMES)
def test_every_format_is_read_from_the_web(
    web: WebServer, tmp_path: Path, name: str, sends_parts: bool
) -> None:
    rows = make_rows(50)
    web.files[f"data/{name}"] = encode(rows, name, tmp_path)
    web.sends_parts = sends_parts
    found = read(f"{web.address}/data/{name}?download=true")
    assert found == [(f"{name}:{number}", row) for number, row in enumerate(rows)]


@pytest.mark.parametrize("name", NAMES)
def test_every_format_is_read_from_other_file_systems(
    memory: Any, tmp_path: Path, name: str
) -> None:
    rows = make_rows(50)
    memory.pipe_file(f"/data/{name}", encode(rows, name, tmp_path))
    found = read(f"memory://data/{name}")
    assert found == [(f"{name}:{number}", row) for number, row in enumerate(rows)]


def test_a_size_that_is_not_told_is_not_needed(web: WebServer, tmp_path: Path) -> None:
    rows = make_rows(2_000)
    web.files["a.jsonl"] = encode(rows, "a.jsonl", tmp_path)
    web.names_sizes = web.names_versions = web.sends_parts = False
    assert len(read(f"{web.address}/a.jsonl")) == 2_000


@pytest.mark.parametrize("sends_parts", (True, False))
def test_a_connection_that_breaks_is_taken_up_where_it_was(
    web: WebServer, tmp_path: Path, sends_parts: bool
) -> None:
    rows = make_rows(30_000)
    web.files["a.jsonl"] = content = encode(rows, "a.jsonl", tmp_path)
    web.sends_parts = sends_parts
    assert len(content) > 2_500_000  # more than is asked for at a time
    address = f"{web.address}/a.jsonl"
    batches = reading.read_rows(address)
    web.n_broken = 2
    web.statuses = [503, 429]
    found = [row for batch in batches for _, row in batch.rows]
    assert found == rows
    assert not web.n_broken
    assert not web.statuses


def test_a_column_store_is_read_in_parts(web: WebServer, tmp_path: Path) -> None:
    """The question alone is read, not the bulky column before it."""
    n_rows = 4_000
    frame = pl.DataFrame(
        {
            "instruction": [f"Name the number {number}." for number in range(n_rows)],
            "output": [f"It is {number}." for number in range(n_rows)],
            "bulk": [f"{number:064d}" * 40 for number in range(n_rows)],
        }
    )
    frame.write_parquet(
        tmp_path / "a.parquet", compression="uncompressed", use_pyarrow=True
    )
    content = (tmp_path / "a.parquet").read_bytes()
    web.files["a.parquet"] = content
    found = tacos.inspect(f"{web.address}/a.parquet")
    assert found.n_rows == n_rows
    parts = [range_ for command, _, range_ in web.asked if command == "GET"]
    assert all(parts)  # never the file as a whole
    heads_and_rows = 2
    assert web.n_sent < (heads_and_rows + 1) * len(content)


def test_a_server_that_stays_broken_is_one_line(web: WebServer, tmp_path: Path) -> None:
    web.files["a.jsonl"] = encode(make_rows(9), "a.jsonl", tmp_path)
    web.statuses = [500] * 50
    with pytest.raises(InputError) as failure:
        read(f"{web.address}/a.jsonl?{SECRET}")
    assert str(failure.value) == (
        f"{web.address}/a.jsonl cannot be read: the server answers HTTP 500; try again later"
    )


@pytest.mark.parametrize(
    "change, said",
    (
        ({"files": {}}, "no such file; check the address"),
        (
            {"signature": "something=else"},
            "access is refused (HTTP 403); check its login or signature",
        ),
    ),
)
def test_what_cannot_be_read_is_one_line_without_secrets(
    web: WebServer, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    web.files["a.jsonl"] = encode(make_rows(9), "a.jsonl", tmp_path)
    for name, value in change.items():
        setattr(web, name, value)
    host = web.address.removeprefix("http://")
    code, output = run_command("inspect", f"http://me:passw0rd@{host}/a.jsonl?{SECRET}")
    assert (code, output) == (2, f"{web.address}/a.jsonl: {said}")


def test_a_host_that_is_not_there_is_one_line() -> None:
    code, output = run_command("inspect", f"http://localhost:9/a.jsonl?{SECRET}")
    assert code == 2
    assert output.startswith(
        "http://localhost:9/a.jsonl cannot be reached or breaks off: "
    )
    assert "check the network" in output
    assert "5ecre7" not in output


def test_addresses_that_lead_to_each_other_are_one_line(web: WebServer) -> None:
    """`0, message='', url=...`, and 14 seconds of waiting."""
    web.redirects = {"a.jsonl": f"/b.jsonl?{SECRET}", "b.jsonl": "/a.jsonl"}
    code, output = run_command("inspect", f"{web.address}/a.jsonl")
    told = "leads from one address to the next without end; check the address"
    assert (code, output) == (2, f"{web.address}/a.jsonl {told}")
    times = [path for command, path, _ in web.asked if command == "HEAD"]
    assert times.count("/a.jsonl") < 20  # followed once, not five times


def test_an_answer_that_always_ends_too_early_is_one_line(
    web: WebServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """`400, message:`, as if the server had said so, and lines about unclosed connections."""
    monkeypatch.setattr(remote_failures, "WAITS", (0.0,))
    web.files["a.jsonl"] = encode(make_rows(90), "a.jsonl", tmp_path)
    web.sends_parts = False
    web.n_broken = 1_000
    code, output = run_command("inspect", f"{web.address}/a.jsonl?{SECRET}")
    assert code == 2
    assert output == (
        f"{web.address}/a.jsonl cannot be reached or breaks off: its answer ends too early, or "
        "is not the one that it announces; check the network, and run the same command again"
    )
    # What a connection leaves open is noticed by its loop.
    get_loop().call_exception_handler({"message": "Unclosed connection"})
    assert [line for line in caplog.records if line.name == "asyncio"] == []


def test_a_server_that_is_asked_as_it_is_opened_is_one_line() -> None:
    """FTP logs in at once: a traceback."""
    code, output = run_command("inspect", "ftp://me:passw0rd@localhost:9/a.jsonl")
    assert code == 2
    assert output.startswith(
        "ftp://localhost:9/a.jsonl cannot be reached or breaks off: "
    )
    assert "passw0rd" not in output
    assert "\n" not in output


def test_a_package_that_no_extra_has_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lacked paramiko was sent to tacos-select[http]."""
    monkeypatch.setitem(__import__("sys").modules, "paramiko", None)
    code, output = run_command("inspect", "sftp://localhost/a.jsonl")
    assert code == 2
    assert output.startswith("sftp://localhost/a.jsonl needs a package: ")
    assert "paramiko" in output


def test_an_unknown_scheme_is_one_line() -> None:
    code, output = run_command("inspect", "gopher://host/a.jsonl")
    assert code == 2
    assert output.startswith("gopher://host/a.jsonl cannot be opened: ")
    assert "\n" not in output


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for address, extra in (
        ("s3://bucket/a.jsonl", "s3"),
        ("gs://bucket/a.jsonl", "gs"),
        ("az://bucket/a.jsonl", "az"),
    ):
        monkeypatch.setitem(
            __import__("sys").modules,
            {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}[extra],
            None,
        )
        with pytest.raises(InputError) as failure:
            read(address)
        assert str(failure.value) == (
            f"{address} needs a package: pip install 'tacos-select[{extra}]'"
        )


def test_a_page_is_no_data(web: WebServer) -> None:
    web.files["a.jsonl"] = b"<!doctype html><title>Log in</title>"
    with pytest.raises(InputError, match=r"a\.jsonl is a web page, not the data"):
        read(f"{web.address}/a.jsonl")


def test_folders_and_patterns(web: WebServer, memory: Any, tmp_path: Path) -> None:
    content = encode(make_rows(9), "a.jsonl", tmp_path)
    for name in ("a.jsonl", "b/c.jsonl.gz", "b/README.md", "b/.hidden.jsonl", "d.csv"):
        body = gzip.compress(content) if name.endswith(".gz") else content
        if name.endswith(".csv"):
            body = encode(make_rows(9), name, tmp_path)
        web.files[f"data/{name}"] = body
        memory.pipe_file(f"/data/{name}", body)
    for root in (f"{web.address}/data/", "memory://data"):
        assert {id_.partition(":")[0] for id_, _ in read(root)} == {
            "a.jsonl",
            "c.jsonl.gz",
            "d.csv",
        }
        for words in (
            (root, "--glob", "**/*.jsonl*"),
            ("--glob", f"{root.rstrip('/')}/**/*.jsonl*"),
        ):
            code, output = run_command("inspect", *words, "--json")
            assert code == 0, (words, output)
            names = [file["name"] for file in json.loads(output)["files"]]
            assert "a.jsonl" in names
            assert "d.csv" not in names
    code, output = run_command("inspect", "memory://data", "--glob", "*.parquet")
    assert (code, "no file matches --glob '*.parquet' in memory://data" in output) == (
        2,
        True,
    )
    with pytest.raises(InputError, match=r"memory://data/none: no such file"):
        read("memory://data/none")


def test_a_saved_folder_elsewhere(memory: Any, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    splits = {
        name: datasets.Dataset.from_list(make_rows(9)) for name in ("train", "test")
    }
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    memory.put(str(tmp_path / "saved"), "/saved", recursive=True)
    memory.pipe_file("/saved/train/cache-123.arrow", b"old")
    with pytest.raises(InputError) as failure:
        read("memory://saved")
    assert str(failure.value) == (
        "memory://saved has the splits train, test: name one, such as memory://saved/train"
    )
    assert [row for _, row in read("memory://saved/train")] == make_rows(9)


def select(source: Any, folder: Path, **more: Any) -> tacos.Selection:
    models = {**MODELS, "judge": judge_by_instruction}
    return tacos.select(source, n=5, output=folder / "out.jsonl", **models, **more)


def test_a_run_keeps_no_secret_and_notices_change(
    web: WebServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    web.files["a.jsonl"] = encode(make_rows(60), "a.jsonl", tmp_path)
    web.signature = SECRET
    host = web.address.removeprefix("http://")
    first = select(f"http://me:passw0rd@{host}/a.jsonl?{SECRET}", tmp_path)
    assert len(first.rows) == 5
    # Signed anew, it is the same file.
    n_asked = len(web.asked)
    select(f"{web.address}/a.jsonl?expires=2&{SECRET}", tmp_path)
    later = web.asked[n_asked:]
    assert all(
        range_ == "bytes=1-1" for command, _, range_ in later if command == "GET"
    )
    for file in (tmp_path / "out.jsonl.run").rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert b"5ecre7" not in content, file
            assert b"passw0rd" not in content, file

    web.files["a.jsonl"] = encode(make_rows(61), "a.jsonl", tmp_path)
    again = select(f"{web.address}/a.jsonl?{SECRET}", tmp_path)
    assert again.artifacts["samples"].manifest["n_rows"] == 61
    kept = json.loads((tmp_path / "out.jsonl.run" / RECORD).read_text())
    assert [*kept["files"]] == [f"{web.address}/a.jsonl"]


def test_a_change_of_a_file_without_version_is_noticed(
    web: WebServer, tmp_path: Path
) -> None:
    web.names_versions = False
    for n_rows in (60, 61):
        web.files["a.jsonl"] = encode(make_rows(n_rows), "a.jsonl", tmp_path)
        done = select(f"{web.address}/a.jsonl", tmp_path)
        assert done.artifacts["samples"].manifest["n_rows"] == n_rows


def test_a_change_while_reading_is_noticed(web: WebServer, tmp_path: Path) -> None:
    web.files["a.jsonl"] = encode(make_rows(30_000), "a.jsonl", tmp_path)
    batches = reading.read_rows(f"{web.address}/a.jsonl")
    next(batches)
    web.files["a.jsonl"] += b'{"instruction": "One more.", "output": "Yes."}\n'
    with pytest.raises(InputError, match="has changed while it was read"):
        list(batches)


def test_addresses_that_differ_in_their_query_are_told_apart(
    web: WebServer, tmp_path: Path
) -> None:
    web.files["get"] = encode(make_rows(3), "a.jsonl", tmp_path)
    found = read([f"{web.address}/get?id=1", f"{web.address}/get?id=2"])
    assert [id_ for id_, _ in found] == [
        "get:0",
        "get:1",
        "get:2",
        "get~2:0",
        "get~2:1",
        "get~2:2",
    ]


def test_other_commands_read_addresses(web: WebServer, tmp_path: Path) -> None:
    rows = make_rows(60)
    web.files["a.jsonl"] = encode(rows, "a.jsonl", tmp_path)
    web.files["mt.jsonl"] = json.dumps({"prompt": rows[7]["instruction"]}).encode()
    web.files["ids.txt"] = b"a.jsonl:3\n"
    address = f"{web.address}/a.jsonl?{SECRET}"
    against = f"{web.address}/mt.jsonl"

    code, output = run_command(
        "clean",
        address,
        "-o",
        tmp_path / "clean.jsonl",
        "--against",
        f"{against}?{SECRET}",
    )
    assert code == 0, output
    assert "5ecre7" not in output
    assert "mt.jsonl" in output
    dropped = (tmp_path / "clean.jsonl.dropped.jsonl").read_text()
    assert '"a.jsonl:7"' in dropped

    code, output = run_command(
        "export", address, "--for", "alpaca", "-o", tmp_path / "t"
    )
    assert code == 0, output
    code, output = run_command("analyse", address, "--json")
    assert code == 0, output
    assert "5ecre7" not in output

    done = select(address, tmp_path, settings={"clean": {"against": [against]}})
    rejected = done.artifacts["samples"].rejects()
    assert "a.jsonl:7" in rejected["id"].to_list()
    web.files["mt.jsonl"] = json.dumps({"prompt": rows[9]["instruction"]}).encode()
    done = select(address, tmp_path, settings={"clean": {"against": [against]}})
    assert "a.jsonl:9" in done.artifacts["samples"].rejects()["id"].to_list()
    with pytest.raises(ConfigError, match="settings must not keep"):
        select(
            address, tmp_path, settings={"clean": {"against": [f"{against}?{SECRET}"]}}
        )
