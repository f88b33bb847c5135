"""The contract of an engine: the same results in the same order, wherever the work runs."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pytest
from tests.small_world import make_rows

import tacos
from tacos.engines.base import Engine, Where
from tacos.engines.local import LocalEngine
from tacos.engines.ray_cluster import RayEngine
from tacos.errors import ConfigError, RunError


def double(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.col("x") * 2)


def fail_on_three(frame: pl.DataFrame) -> pl.DataFrame:
    if 3 in frame["x"]:
        raise ValueError("three")
    return frame


def where_it_ran(_: int) -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


@pytest.fixture(scope="module", params=["one worker", "two workers", "ray"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    made: Engine
    if request.param == "ray":
        pytest.importorskip("ray", reason="the extra ray is not installed")
        made = RayEngine(workers=2)
    else:
        made = LocalEngine(1 if request.param == "one worker" else 2)
    yield made
    made.close()


WHERES: tuple[Where, ...] = ("process", "thread", "here")


@pytest.mark.parametrize("where", WHERES)
@pytest.mark.parametrize("size", [1, 3, 50])
def test_shards_of_any_size_give_the_same_rows(
    engine: Engine, where: Where, size: int
) -> None:
    rows = pl.DataFrame({"x": range(50)})
    found = pl.concat(engine.map(double, rows.iter_slices(size), where))
    assert found["x"].to_list() == [2 * i for i in range(50)]


@pytest.mark.parametrize("where", WHERES)
def test_no_batches_give_no_results(engine: Engine, where: Where) -> None:
    assert list(engine.map(double, [], where)) == []


@pytest.mark.parametrize("where", WHERES)
def test_an_exception_of_the_work_reaches_the_caller(
    engine: Engine, where: Where
) -> None:
    with pytest.raises(ValueError, match="three"):
        list(
            engine.map(
                fail_on_three, pl.DataFrame({"x": range(6)}).iter_slices(1), where
            )
        )


@pytest.mark.parametrize("where", WHERES)
def test_only_a_few_batches_are_drawn_ahead(engine: Engine, where: Where) -> None:
    drawn: list[int] = []

    def batches() -> Iterator[pl.DataFrame]:
        for number in range(40):
            drawn.append(number)
            yield pl.DataFrame({"x": [number]})

    results = engine.map(double, batches(), where)
    next(results)
    assert len(drawn) <= 2 + 4 * engine.n_clients
    list(results)
    assert len(drawn) == 40


def test_processes_are_processes_and_threads_are_threads() -> None:
    engine = LocalEngine(2)
    try:
        assert os.getpid() not in {
            pid for pid, _ in engine.map(where_it_ran, range(4), "process")
        }
        assert {pid for pid, _ in engine.map(where_it_ran, range(4), "thread")} == {
            os.getpid()
        }
    finally:
        engine.close()


# Ray


def die_once(mark: Path) -> str:
    """Kill the worker the first time, answer the second time."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return mark.name


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayEngine]:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    made = RayEngine(workers=2)
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.parametrize("where", ["process", "thread"])
def test_work_whose_worker_is_killed_runs_again(
    cluster: RayEngine, tmp_path: Path, where: Where
) -> None:
    marks = [tmp_path / str(number) for number in range(3)]
    found = list(cluster.map(die_once, marks, where))
    assert found == ["0", "1", "2"]


@pytest.mark.slow
def test_work_that_always_kills_its_worker_is_one_line(cluster: RayEngine) -> None:
    with pytest.raises(RunError, match=r"^Ray lost a worker 4 times .* run the same"):
        list(cluster.map(die, range(2), "process"))


@pytest.mark.slow
def test_a_program_that_has_joined_a_cluster_does_not_change_it(
    cluster: RayEngine,
) -> None:
    RayEngine().close()
    assert list(cluster.map(abs, [-1], "process")) == [1]
    with pytest.raises(ConfigError, match=r"has joined the Ray cluster at .* already"):
        RayEngine("127.0.0.1:1")


@pytest.mark.slow
def test_from_python_too_and_inputs_by_address_are_read_by_this_process(
    cluster: RayEngine, tmp_path: Path
) -> None:
    assert cluster.n_machines == 1
    rows = make_rows(320)
    source = "memory://pool/rows.jsonl"
    with fsspec.open(source, "w") as file:
        file.writelines(f"{json.dumps(row)}\n" for row in rows)
    # Files in memory are those of one process: no worker sees them.
    for engine in ("local", "ray"):
        tacos.select(source, n=20, output=tmp_path / f"{engine}.jsonl", engine=engine)
    on_ray, here = (tmp_path / f"{name}.jsonl" for name in ("ray", "local"))
    assert on_ray.read_bytes() == here.read_bytes()
    tables = sorted((tmp_path / "ray.jsonl.run").rglob("*.parquet"))
    assert len(tables) > 5
    for table in tables:
        name = table.relative_to(tmp_path / "ray.jsonl.run")
        other = tmp_path / "local.jsonl.run" / name
        assert table.read_bytes() == other.read_bytes()


@pytest.fixture
def other_cluster() -> Iterator[Any]:
    """A cluster beside those of this process, with one machine."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield made
    made.shutdown()


@pytest.mark.slow
def test_machines_of_other_versions_or_without_tacos_are_one_line(
    tmp_path: Path, other_cluster: Any
) -> None:
    named = tmp_path / "old" / "tacos_select-0.0.1.dist-info" / "METADATA"
    named.parent.mkdir(parents=True)
    named.write_text("Metadata-Version: 2.1\nName: tacos-select\nVersion: 0.0.1\n")
    missing = tmp_path / "without" / "tacos" / "__init__.py"
    missing.parent.mkdir(parents=True)
    missing.write_text("raise ModuleNotFoundError(name='tacos')\n")
    for folder in ("old", "without"):
        paths = (tmp_path / folder, os.environ.get("PYTHONPATH", ""))
        found_first = os.pathsep.join(map(str, paths))
        other_cluster.add_node(num_cpus=1, env_vars={"PYTHONPATH": found_first})
    (tmp_path / "out").mkdir()
    done = select_on_ray(tmp_path / "out", "--ray-address", other_cluster.address)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "tacos: machines of the Ray cluster have other versions: "
    )
    assert "has tacos 0.0.1 (here: " in done.stderr
    assert "has no tacos" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.slow
def test_without_an_address_ray_starts_beside_a_cluster_of_this_machine(
    tmp_path: Path, other_cluster: Any
) -> None:
    n_nodes = len(other_cluster.list_all_nodes())
    done = select_on_ray(tmp_path, "--until", "ingest")
    assert done.returncode == 0, done.stderr
    assert len(other_cluster.list_all_nodes()) == n_nodes


def test_a_cluster_that_cannot_be_reached_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    done = select_on_ray(tmp_path, "--ray-address", "127.0.0.1:1")
    assert done.returncode == 2
    assert done.stderr.startswith("tacos: no Ray cluster answers at 127.0.0.1:1 (")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("token", ["", "b" * 40])
def test_a_cluster_that_wants_another_token_is_one_line(
    tmp_path: Path, token: str
) -> None:
    """Before: twenty lines of Ray's log over 20 s, and that no cluster answers."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    wanted = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a" * 40}
    head = subprocess.Popen(
        [sys.executable, "-c", HEAD],
        env={**os.environ, **wanted},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert head.stdout is not None
    address = head.stdout.readline().strip()
    given = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token} if token else {}
    try:
        done = select_on_ray(tmp_path, "--ray-address", address, **given)
        right = select_on_ray(
            tmp_path, "--ray-address", address, "--until", "ingest", **wanted
        )
    finally:
        head.communicate("end\n", timeout=60)
    assert done.returncode == 2
    assert done.stderr == (
        f"tacos: the Ray cluster at {address} takes only those with its token: set "
        "RAY_AUTH_MODE=token and bring its ~/.ray/auth_token to this machine\n"
    )
    assert right.returncode == 0, right.stderr
    assert right.stderr.startswith("on Ray: 1 machine, 1 core\n")


HEAD = """
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
print(cluster.address, flush=True)
input()
cluster.shutdown()
"""


def select_on_ray(
    folder: Path, *options: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """`tacos select` in a process of its own: this one may have a cluster."""
    rows = Path(__file__).parents[2] / "demo" / "sample.jsonl"
    words = [
        *(sys.executable, "-m", "tacos", "select", rows, "-n", "5"),
        *("-o", folder / "out.jsonl", "--engine", "ray", *options),
    ]
    return subprocess.run(
        words,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_without_ray_the_message_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'tacos-select\[ray\]'"):
        RayEngine()
