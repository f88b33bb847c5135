"""Data sets of the Hugging Face hub as inputs: the real packages against a hub on this machine.

The packages read HF_ENDPOINT as they are imported, so commands run in another process.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.server.fake_hub import TOKEN, FakeHub, open_fake_hub
from tests.small_world import make_rows

from tacos.formats import writing

pytest.importorskip("datasets")

NAME = "ann/animals"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with open_fake_hub() as opened:
        yield opened


def encode(n_rows: int, name: str, folder: Path) -> bytes:
    return writing.write_rows(make_rows(n_rows), folder / name).read_bytes()


COMMANDS = """
import json, sys
from tests.small_world import run_command
print(json.dumps([run_command(*words) for words in json.loads(sys.argv[1])]))
"""


def run(
    hub: FakeHub,
    folder: Path,
    *commands: tuple[object, ...],
    token: str = TOKEN,
) -> list[tuple[int, str]]:
    """Exit code and output of each command, or its error."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.address,
        "HF_TOKEN": token,
        "HF_HOME": str(folder / "hf"),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
    }
    words = [[*map(str, command)] for command in commands]
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps(words)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return [(code, output) for code, output in json.loads(done.stdout.splitlines()[-1])]


def test_names_splits_and_configurations(hub: FakeHub, tmp_path: Path) -> None:
    parquet = encode(30, "a.parquet", tmp_path)
    lines = encode(20, "a.jsonl", tmp_path)
    hub.publish(
        NAME, {"data/train-00000-of-00001.parquet": parquet, "README.md": b"# A"}
    )
    hub.publish("ann/two", {"train.jsonl": lines, "test.jsonl": lines})
    card = """---
configs:
- config_name: main
  data_files:
  - {split: train, path: main/*.jsonl}
- config_name: hard
  data_files:
  - {split: train, path: hard/a.jsonl}
  - {split: test, path: hard/b.jsonl}
---
"""
    configured = {
        "README.md": card.encode(),
        "main/a.jsonl": lines,
        "hard/a.jsonl": lines,
        "hard/b.jsonl": encode(10, "b.jsonl", tmp_path),
    }
    hub.publish("ann/configured", configured)

    train = [("train-00000-of-00001.parquet", 30)]
    answers: dict[tuple[str, ...], list[tuple[str, int]]] = {
        (NAME,): train,
        (f"hf://datasets/{NAME}",): train,
        (f"hf://datasets/{NAME}/data/train-00000-of-00001.parquet",): train,
        (f"hf://datasets/{NAME}/data",): train,
        ("--glob", f"hf://datasets/{NAME}/**/*.parquet"): train,
        ("ann/two:test",): [("test.jsonl", 20)],
        ("ann/configured:hard/test",): [("b.jsonl", 10)],
    }
    errors = {
        "ann/two": "ann/two has the splits train, test: name one, such as ann/two:train",
        "ann/two:dev": "ann/two:dev has no split dev: it has train, test",
        "ann/configured": "ann/configured has the configurations main, hard: name one with a "
        "split, such as ann/configured:main/train",
        "ann/nothing": "ann/nothing: no such file here, and no data set of that name on the hub; "
        "check the name, and HF_TOKEN if it is private",
        f"{NAME}@old": f"{NAME}@old: {NAME} has no revision old; check its name",
    }
    done = run(
        hub,
        tmp_path,
        *[("inspect", *words, "--json") for words in answers],
        *[("inspect", given) for given in errors],
    )
    for (code, output), files in zip(done, answers.values(), strict=False):
        assert (code, output[:1]) == (0, "{"), output
        found = json.loads(output)["files"]
        assert [(file["name"], file["n_rows"]) for file in found] == files
    assert done[len(answers) :] == [(2, said) for said in errors.values()]


def test_a_run_goes_on_with_the_commit_that_it_has_read(
    hub: FakeHub, tmp_path: Path
) -> None:
    first = hub.publish(NAME, {"train.jsonl": encode(40, "a.jsonl", tmp_path)})
    options = ("-n", 5, "-o", "out.jsonl", "--until", "ingest")
    [(code, output)] = run(hub, tmp_path, ("select", NAME, *options))
    assert code == 0, output
    second = hub.publish(NAME, {"train.jsonl": encode(50, "a.jsonl", tmp_path)})
    n_asked = len(hub.asked)
    [(code, output)] = run(hub, tmp_path, ("select", NAME, *options))
    assert code == 0, output
    assert len(hub.asked) == n_asked
    kept = json.loads((tmp_path / "out.jsonl.run" / "inputs.json").read_text())
    assert kept["commits"] == {f"{NAME}@main": first}
    address = f"hf://datasets/{NAME}@{first}/train.jsonl"
    assert kept["files"][NAME][0]["address"] == address
    [(code, output)] = run(hub, tmp_path, ("select", f"{NAME}@{second}", *options))
    assert code == 0, output
    manifests = (tmp_path / "out.jsonl.run").rglob("manifest.json")
    n_rows = {json.loads(file.read_text())["n_rows"] for file in manifests}
    assert n_rows == {40, 50}


def test_a_refused_token_is_one_line_and_not_shown(
    hub: FakeHub, tmp_path: Path
) -> None:
    hub.publish(NAME, {"train.jsonl": encode(9, "a.jsonl", tmp_path)})
    file = f"hf://datasets/{NAME}/train.jsonl"
    commands = (("inspect", NAME), ("inspect", file))
    for code, output in run(hub, tmp_path, *commands, token="hf_wrong-secret-1"):
        assert code == 2
        assert "\n" not in output
        assert "HF_TOKEN" in output
        assert "secret" not in output


def test_a_path_that_was_mistyped_is_no_name(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "corpora").mkdir()
    paths = ("corpora/train", "none/train.jsonl")
    done = run(hub, tmp_path, *[("inspect", path) for path in paths])
    assert done == [(2, f"{path}: no such file; check the name") for path in paths]
    assert not hub.asked
