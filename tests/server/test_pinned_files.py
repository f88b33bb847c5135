"""Files of evaluations by name, address or place on the hub, with the hash of what they hold."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from tests.server.fake_hub import open_fake_hub
from tests.server.fault_server import Behaviour, FaultServer
from tests.server.test_hub_inputs import run
from tests.server.web_server import WebServer, open_web_server
from tests.small_world import run_command

from tacos.errors import InputError, OutputError
from tacos.formats.answer_files import read_answers
from tacos.formats.pinned_files import fetch_file
from tacos.formats.question_sets import name_set

QUESTIONS = b'{"question_id": 1, "turns": ["Name a river."]}\n'
HASH = hashlib.sha256(QUESTIONS).hexdigest()
PIN = f"#sha256={HASH}"
OTHER_PIN = "#sha256=" + "0" * 64


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of this test's own for what is fetched."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tacos" / "files"


@pytest.fixture
def web() -> Iterator[WebServer]:
    with open_web_server() as opened:
        opened.files["sets/koala_test_set.jsonl"] = QUESTIONS
        yield opened


@pytest.fixture
def address(web: WebServer) -> str:
    return f"{web.address}/sets/koala_test_set.jsonl"


def list_kept(cache: Path) -> list[str]:
    return [path.name for path in cache.rglob("*") if path.is_file()]


def test_a_file_that_is_named_with_its_hash_is_fetched_once(
    web: WebServer, address: str
) -> None:
    first = fetch_file(f"{address}?token=5ecret")
    assert first.path.read_bytes() == QUESTIONS
    assert name_set(first.path) == "koala"
    assert first.pinned_name == address + PIN
    n_asked = len(web.asked)
    # Without a hash it may have changed; with one it cannot have.
    again = fetch_file(address)
    assert (again.path, len(web.asked) > n_asked) == (first.path, True)
    web.files.clear()
    pinned = fetch_file(address + PIN.upper().replace("#SHA256", "#sha256"))
    assert (pinned.path, pinned.is_pinned) == (first.path, True)


def test_another_content_is_refused_and_not_kept(
    web: WebServer, address: str, cache: Path
) -> None:
    web.files["sets/koala_test_set.jsonl"] = QUESTIONS + b"\n"
    with pytest.raises(InputError, match=f"{address} is not the file that .* the hash"):
        fetch_file(address + PIN)
    assert list_kept(cache) == []


def test_what_was_kept_and_has_changed_since_is_fetched_again(address: str) -> None:
    kept = fetch_file(address).path
    kept.write_bytes(b"{}")
    assert fetch_file(address + PIN).path.read_bytes() == QUESTIONS


def test_two_names_of_one_content_stay_two_sets(web: WebServer, address: str) -> None:
    web.files["sets/vicuna.jsonl"] = QUESTIONS
    fetch_file(address)
    other = fetch_file(f"{web.address}/sets/vicuna.jsonl{PIN}")
    assert name_set(other.path) == "vicuna"


def test_any_file_system_is_read(cache: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/sets/a.jsonl", QUESTIONS)
    memory.pipe_file("/sets/b.jsonl", QUESTIONS)
    assert fetch_file(f"memory://sets/a.jsonl{PIN}").path.read_bytes() == QUESTIONS
    with pytest.raises(InputError, match="memory://sets stands for 2 files"):
        fetch_file("memory://sets")
    memory.store.clear()
    with pytest.raises(InputError):
        fetch_file("memory://sets/c.jsonl")
    assert list_kept(cache) == ["a.jsonl"]


def test_files_here_are_checked_alike(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(QUESTIONS)
    assert fetch_file(path).sha256 == HASH
    assert fetch_file(f"{path}{PIN}").path == path
    with pytest.raises(InputError, match=f"it has the hash {HASH}"):
        fetch_file(f"{path}{OTHER_PIN}")
    with pytest.raises(InputError, match="64 hexadecimal digits"):
        fetch_file(f"{path}#sha256=abc")
    with pytest.raises(InputError, match="is no regular file"):
        fetch_file(f"{tmp_path}{PIN}")
    # What is not there is said where it is read.
    assert fetch_file(f"{tmp_path}/b.jsonl").sha256 is None


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_that_must_not_be_read_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(QUESTIONS)
    path.chmod(0)
    with pytest.raises(InputError, match="cannot be read"):
        fetch_file(path)


def test_a_folder_that_cannot_be_written_is_one_line(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="XDG_CACHE_HOME"):
        fetch_file(address)


def test_answers_say_which_questions_were_asked(address: str, tmp_path: Path) -> None:
    """Commands print hashes, so that they can be given, and write them."""
    output = tmp_path / "answers.jsonl"
    with FaultServer(Behaviour()) as server:

        def answer(name: str, *more: str) -> tuple[int, str]:
            return run_command(
                *("answer", "tiny-1", name, "--llm", server.url, "-o", output, *more),
                *("--ledger", tmp_path / "ledger"),
            )

        code, said = answer(address)
        assert code == 0, said
        assert f"questions: {address}{PIN}\n" in said
        code, said = answer(address + PIN)
        assert (code, PIN in said) == (0, False)
        code, said = answer(address + PIN, "--json")
        files = json.loads(said)["files"]
        assert files == {"questions": [{"name": address, "sha256": HASH}]}
        code, said = answer(address + OTHER_PIN)
        assert (code, "is not the file that" in said) == (2, True)
    (answered,) = read_answers(output)
    assert (answered.set, answered.set_hash) == ("koala", HASH)


def test_sets_come_from_the_hub(tmp_path: Path) -> None:
    """By name and split, and by revision and path; a pinned one without the hub."""
    pytest.importorskip("datasets")
    grade = {"question_id": 1, "model": "mine", "judge": "j", "score": 7, "turn": 1}
    grades = json.dumps(grade).encode() + b"\n"
    base = ("mt-bench", "--json", "--judgments")
    with open_fake_hub() as hub:
        hub.publish("ann/sets", {"test.jsonl": QUESTIONS, "grades/a.jsonl": grades})
        place = "hf://datasets/ann/sets@main/grades/a.jsonl"
        commands: list[tuple[Any, ...]] = [
            (*base, place, "--questions", "hf://datasets/ann/sets/test.jsonl"),
            (*base, place, "--questions", f"ann/sets:test{PIN}"),
            (*base, place, "--questions", f"ann/sets:test{OTHER_PIN}"),
            (*base, place, "--questions", "ann/none"),
        ]
        done = run(hub, tmp_path, *commands)
        for code, said in done[:2]:
            assert code == 0, said
            found = json.loads(said)
            assert found["n_questions"] == 1
            assert found["models"][0]["n_grades"] == 1
            assert found["files"]["questions"][0]["sha256"] == HASH
        assert done[2][0] == done[3][0] == 2
        assert "is not the file that" in done[2][1]
        assert "no data set of that name on the hub" in done[3][1]
        n_asked = len(hub.asked)
        digest = hashlib.sha256(grades).hexdigest()
        pinned = (*base, f"{place}#sha256={digest}", *commands[1][4:])
        [(code, said)] = run(hub, tmp_path, pinned)
        assert code == 0, said
        assert len(hub.asked) == n_asked
