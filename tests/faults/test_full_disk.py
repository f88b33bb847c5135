"""A disk that is full while replies come: one line, and no reply is lost that was paid for."""

import io
import random
import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.experiment_world import write_lines
from tests.faults.disks import fill_disk, small_disk
from tests.faults.test_shared_ledger import select
from tests.server.fault_server import Behaviour, FaultServer
from tests.small_world import run_command

from tacos.errors import OutputError, TacosError
from tacos.formats.sources import open_source
from tacos.llm.ledger.ledger import open_ledger
from tacos.llm.ledger.schema import LedgerEntry
from tacos.store.artifacts import Store


def entry(key: str) -> LedgerEntry:
    return LedgerEntry(
        *(key, "m", "m-1", "tag", "stop", 10, 5, 0.2),
        *(time.time(), "online", "{}" * 1000, "http://127.0.0.1/v1"),
    )


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


@pytest.mark.parametrize("share_is_full", [False, True])
def test_replies_that_a_full_disk_refuses_are_kept_until_the_ledger_is_opened_again(
    share_is_full: bool,
    tmp_path: Path,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[TacosError | None] = []

    def listen(entries: list[LedgerEntry], error: TacosError | None) -> None:
        told.append(error)

    with small_disk() as disk:
        share = disk if share_is_full else tmp_path / "share"
        monkeypatch.setenv("XDG_DATA_HOME", str(share))
        ledger = disk / "tacos" / "ledger.sqlite"
        replies = [entry(f"{number:032x}") for number in range(300)]
        with open_ledger(str(ledger)) as book:
            book.put(replies[0], listen)
            book.flush()
            fill_disk(disk / "filler")
            for reply in replies[1:]:
                book.put(reply, listen)
            book.flush()
        errors = {str(error) for error in told[1:]}
        assert told[0] is None
        kept = temporary if share_is_full else share
        (folder,) = {file.parent for file in kept.rglob("*.jsonl")}
        for error in errors:
            assert "disk is full; free some space, or use another ledger" in error
            assert f"are kept in {folder} " in error

        # Still full: they stay where they are.
        with pytest.raises(OutputError, match="free some space"):
            open_ledger(str(ledger))
        (disk / "filler").unlink()
        with open_ledger(str(ledger)) as book:
            known = book.get([reply.key for reply in replies])
            assert list(known.values()) == replies
        assert not list(kept.rglob("*.jsonl"))


OF_OUTPUT = (
    r"{disk}/out\S* cannot be written: No space left on device; free some space, or write to "
    "another disk"
)
OF_TEMPORARY = (
    "temporary files cannot be written to {disk}: No space left on device; free some space there, "
    r"or name another folder for them \(TMPDIR=FOLDER\)"
)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("clean pool.jsonl -o {disk}/out.jsonl", OF_OUTPUT),
        ("clean pool.jsonl -o {disk}/out.parquet", OF_OUTPUT),
        ("export pool.jsonl --for trl -o {disk}/out", OF_OUTPUT),
        ("export pool.jsonl --for datasets -o {disk}/out", OF_OUTPUT),
        ("select pool.jsonl --until ingest -o {disk}/out.jsonl", OF_OUTPUT),
        ("clean pool.jsonl -o out.jsonl", OF_TEMPORARY),
        ("export pool.jsonl --for datasets -o out", OF_TEMPORARY),
        ("analyse pool.jsonl", OF_TEMPORARY),
    ],
)
def test_a_full_disk_is_named_with_what_to_do(
    command: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = random.Random(0)
    rows = [
        {"instruction": f"What is {number}?", "output": noise.randbytes(200).hex()}
        for number in range(2_000)
    ]
    monkeypatch.chdir(tmp_path)
    write_lines(Path("pool.jsonl"), rows)
    with small_disk("256k") as disk:
        if says == OF_TEMPORARY:
            monkeypatch.setenv("TMPDIR", str(disk))
        monkeypatch.setattr("tempfile.tempdir", None)
        code, said = run_command(*command.format(disk=disk).split())
    assert code == 2
    assert re.fullmatch(says.format(disk=disk), said), said


def test_a_disk_that_is_full_of_files_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run makes folders, too, and keeps what comes from a pipe."""
    lines = b'{"instruction": "Name a fruit.", "output": "A pear."}\n'
    with small_disk("256k,nr_inodes=4") as disk:
        for number in range(3):
            (disk / str(number)).touch()
        store = Store(disk)
        with pytest.raises(OutputError, match=f"{disk}.* cannot be written: No space"):
            store.begin("samples", "1")
        piped = SimpleNamespace(buffer=io.BytesIO(lines))
        monkeypatch.setattr("sys.stdin", piped)
        with pytest.raises(OutputError, match=f"{disk}.* cannot be written: No space"):
            open_source("-", disk)


@pytest.mark.slow
def test_a_full_disk_ends_a_run_with_one_line_and_nothing_is_bought_again(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    with small_disk() as disk, FaultServer(Behaviour(latency=0.2)) as server:
        ledger = str(disk / "ledger.sqlite")

        def fill() -> None:
            while server.answered.total() < 20:
                time.sleep(0.01)
            fill_disk(disk / "filler")

        filling = threading.Thread(target=fill)
        filling.start()
        said = select(tmp_path, server, ledger, code=2)
        filling.join()
        errors = [line for line in said.splitlines() if line.startswith("tacos: ")]
        assert len(errors) == 1, said
        assert "Traceback" not in said
        assert "disk is full; free some space, or use another ledger" in errors[0]
        n_before = server.asked.total()
        (disk / "filler").unlink()
        select(tmp_path, server, ledger)
        assert server.asked.total() == len(server.asked) > n_before
