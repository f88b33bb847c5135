"""Addresses of Ray clusters that lead nowhere: one line, within seconds."""

import socket
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tacos.engines import ray_cluster
from tacos.engines.ray_cluster import RayEngine
from tacos.errors import ConfigError, RunError

pytest.importorskip("ray", reason="the extra ray is not installed")


@pytest.fixture(params=[b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n"])
def stranger(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of something that listens, says so much, and is not Ray."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        line, _ = server.accept()
        with line:
            line.sendall(request.param)
            line.recv(1000)
            is_open.wait(10)

    is_open = threading.Event()
    thread = threading.Thread(target=answer)
    thread.start()
    yield f"127.0.0.1:{server.getsockname()[1]}"
    is_open.set()
    thread.join()
    server.close()


def test_what_listens_but_is_not_ray_is_told_within_seconds(
    stranger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "CONNECT_SECONDS", 0.5)
    started = time.monotonic()
    with pytest.raises(RunError, match=f"^no Ray cluster answers at {stranger} "):
        RayEngine(stranger)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1:1", "Connection refused"),
        ("127.0.0.1:70000", "Port out of range"),
        ("no-such-host.invalid:6379", "Name or service not known"),
        ("somewhere", "Invalid address format"),
    ],
)
def test_the_reason_is_told(address: str, reason: str) -> None:
    with pytest.raises(RunError, match=rf"answers at {address} \(.*{reason}"):
        RayEngine(address)


def test_a_disk_that_takes_no_file_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/proc")
    with pytest.raises(RunError, match=r"^Ray cannot start here \(.* disk of /tmp/ray"):
        RayEngine(workers=1)


def test_the_address_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(RunError, match=r"answers at 127.0.0.1:1 \("):
        RayEngine()


@pytest.mark.skipif(find_spec("grpc") is not None, reason="ray[client] is installed")
def test_an_address_of_rays_client_needs_its_package() -> None:
    with pytest.raises(ConfigError, match=r"pip install 'ray\[client\]'"):
        RayEngine("ray://127.0.0.1:1")


@pytest.mark.parametrize("address", [":", ":6379", "head:", "::"])
def test_half_an_address_is_told_before_ray_prints_a_traceback(address: str) -> None:
    with pytest.raises(RunError, match=r"^no Ray cluster answers at ") as error:
        RayEngine(address)
    assert "\n" not in str(error.value)
