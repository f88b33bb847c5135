"""The engine of a Ray cluster: the same work on its machines, the same results in the same order.

Ray's tasks, not Ray Data: the loop draws its batches lazily and in order, which a window of tasks
keeps as it is, and where Ray Data would need a source and a sort of its own. Batches and results
travel as Arrow (polars pickles to it); what a stage has prepared is put into Ray's store once.

A task that dies with its worker runs again elsewhere, as often as `RETRIES`: work has no side
effects but the ledger's, which the machines share. Work that waits for a network ("thread") runs in
actors, one per share of the endpoint's limits (see `tacos.llm.shared_client`).

Every machine needs the versions of this one (see `machine_versions`). Usage statistics are not
sent.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import chain, cycle, islice, repeat
from types import ModuleType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from tacos.engines.base import Where
from tacos.engines.local import N_WAITING, WORKER_ENVIRONMENT
from tacos.engines.machine_versions import (
    build_probe,
    explain_mismatch,
    read_versions,
)
from tacos.engines.windows import map_in_window
from tacos.errors import ConfigError, RunError

T = TypeVar("T")
R = TypeVar("R")

RETRIES = 3
"""How often a task whose worker has died is run again."""
N_CLIENTS = 4
"""Actors that ask language models."""
GRACE = 15.0
"""Seconds that closing waits for replies in flight."""
CONNECT_SECONDS = 5.0
PROBE_SECONDS = 120.0
"""What a machine has to start a worker, which takes seconds on one that is not busy."""
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HTTP2_SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
WAIT_SECONDS = 0.2
"""Ctrl-C does not interrupt a single long wait."""


class RayEngine:
    """Runs work on a Ray cluster.

    Args:
        address: The cluster ("HOST:6379", "ray://HOST:10001", "auto"). Empty is that of
            `RAY_ADDRESS`, as everywhere in Ray; without one, Ray starts on this machine, and ends
            on `close`. Where Ray is connected already, that is the cluster.
        workers: Cores of this machine for a cluster that is started here; 0 for all.
        n_clients: Actors that ask language models.
        end_clients: Called in each of these when the engine closes, to store what is in flight.

    Raises:
        ConfigError: Ray is not installed, its version or that of tacos is not the cluster's, or the
            cluster wants another token.
        RunError: The cluster cannot be reached.
    """

    def __init__(
        self,
        address: str = "",
        workers: int = 0,
        n_clients: int = N_CLIENTS,
        end_clients: Callable[[], None] = lambda: None,
    ) -> None:
        self._ray = _import_ray()
        self._actors: list[Any] = []
        self.n_clients = n_clients
        self._end_clients = end_clients
        # A program that has joined a cluster already goes on with it afterwards.
        self._is_ours = not self._ray.is_initialized()
        if self._is_ours:
            _connect(
                self._ray,
                address,
                workers or len(os.sched_getaffinity(0)),
            )
        else:
            _check_joined(self._ray, address)
        self.n_workers = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        self.n_machines = sum(node["Alive"] for node in self._ray.nodes())
        try:
            self._check_machines()
        except BaseException:
            self.close()
            raise

    def map(
        self,
        work: Callable[[T], R],
        batches: Iterable[T],
        where: Where,
    ) -> Iterator[R]:
        """See `tacos.engines.base.Engine.map`.

        Raises `RunError` for work whose worker has died too often.
        """
        if where == "here":
            yield from map(work, batches)
            return
        stream = iter(batches)
        head = list(islice(stream, 1))
        if not head:
            return
        stream = chain(head, stream)
        # Once for all batches: what is prepared for a stage may be large.
        shared = self._ray.put(work)
        if where == "process":
            run = self._ray.remote(_run)
            start = run.options(max_retries=RETRIES, num_cpus=1).remote
            starts: Iterator[Any] = repeat(start)
            window = self.n_workers + 1
        else:
            starts = cycle([actor.run.remote for actor in self._start_actors()])
            window = self.n_clients * N_WAITING

        def submit(batch: T) -> Any:
            return next(starts)(shared, batch)

        yield from map_in_window(
            submit,
            self._wait_for_result,
            stream,
            window,
            self._ray.cancel,
        )

    def rest(self) -> None:
        """Ray ends idle workers by itself."""

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        # Actors end in order, so that their clients store what is in flight.
        ends = [actor.run_last.remote(self._end_clients) for actor in self._actors]
        self._actors = []
        if ends:
            self._ray.wait(ends, num_returns=len(ends), timeout=GRACE)
        if self._is_ours:
            self._ray.shutdown()

    def _wait_for_result(self, task: Any) -> Any:
        """What a task returned; an exception of the work is raised as it was."""
        while not self._ray.wait([task], timeout=WAIT_SECONDS)[0]:
            pass
        with _explain_failures(self._ray):
            return self._ray.get(task)

    def _start_actors(self) -> list[Any]:
        """The actors that ask language models, started now or earlier."""
        if not self._actors:
            actor = self._ray.remote(_Asker)
            # They wait more than they compute.
            options = actor.options(
                num_cpus=0,
                max_concurrency=N_WAITING,
                max_restarts=RETRIES,
                max_task_retries=RETRIES,
            )
            self._actors = [options.remote() for _ in range(self.n_clients)]
        return self._actors

    def _check_machines(self) -> None:
        """Raise `ConfigError` unless each machine has the versions of this one."""
        probe = self._ray.remote(build_probe())
        pin = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        probes = {}
        for node in self._ray.nodes():
            if not node["Alive"]:
                continue
            name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
            # Two nodes of one machine are told apart.
            if name in probes:
                name = f"{name}, node {node['NodeID'][:8]}"
            probes[name] = probe.options(
                num_cpus=0,
                max_retries=RETRIES,
                scheduling_strategy=pin(node["NodeID"], soft=False),
            ).remote()
        tasks = list(probes.values())
        ready, _ = self._ray.wait(
            tasks,
            num_returns=len(tasks),
            timeout=PROBE_SECONDS,
        )
        silent = [name for name, task in probes.items() if task not in ready]
        if silent:
            raise RunError(
                f"no worker of Ray starts on {silent[0]} within {PROBE_SECONDS:.0f} s: "
                "check its memory, its disk and Ray's logs there"
            )
        machines = {}
        for name, task in probes.items():
            machines[name] = self._wait_for_result(task)
        mismatch = explain_mismatch(read_versions(), machines)
        if mismatch:
            raise ConfigError(
                f"machines of the Ray cluster have other versions: {mismatch}; "
                "install the same ones on all of them"
            )


class _Asker:
    """An actor that runs work which asks language models."""

    def run(self, work: Callable[[T], R], batch: T) -> R:
        return work(batch)

    def run_last(self, work: Callable[[], None]) -> None:
        work()


def _run(work: Callable[[T], R], batch: T) -> R:
    return work(batch)


def _import_ray() -> ModuleType:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise ConfigError(
            "the engine ray needs Ray: pip install 'tacos-select[ray]'"
        ) from None
    return ray


def _connect(ray: ModuleType, address: str, n_cores: int) -> None:
    """Join a cluster, or start one on this machine."""
    options: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": "error",
        "runtime_env": {"env_vars": WORKER_ENVIRONMENT},
    }
    address = address or os.environ.get("RAY_ADDRESS", "")
    if address.startswith("ray://") and find_spec("grpc") is None:
        raise ConfigError(
            f"{address} is an address of Ray's client: pip install 'ray[client]', or give the "
            "address of the cluster itself, such as HOST:6379"
        )
    if address:
        _check_reachable(address)
        _check_token(ray, address)
        options["address"] = address
    else:
        # Without "local", Ray would join one that somebody has started on this machine.
        options |= {
            "address": "local",
            "num_cpus": n_cores,
            "include_dashboard": False,
        }
    try:
        ray.init(**options)
    except (ConnectionError, ValueError, OSError, TimeoutError, RuntimeError) as error:
        if not address:
            raise _build_start_error(error) from None
        is_of_versions = isinstance(error, RuntimeError) and "Version" in str(error)
        if is_of_versions:
            raise ConfigError(
                f"the Ray cluster is of another version ({_join_lines(error)}): "
                "install the same versions of Ray and Python here as there"
            ) from None
        raise _build_unreachable_error(address, _first_line(error)) from None


def _check_joined(ray: ModuleType, address: str) -> None:
    """Raise `ConfigError` where this program has joined another cluster than the one wanted."""
    joined = ray.get_runtime_context().gcs_address
    if address not in {"", "auto", joined}:
        raise ConfigError(
            f"this program has joined the Ray cluster at {joined} already, not {address}: "
            "leave the address out, or call ray.shutdown() before"
        )


def _check_reachable(address: str) -> None:
    """Raise `RunError` where nothing listens, or something else than Ray: it would be waited for
    over minutes, and Ray would end the whole process.
    """
    parts = urlsplit(address if "//" in address else f"//{address}")
    try:
        port = parts.port
    except ValueError as error:
        raise _build_unreachable_error(address, _first_line(error)) from None
    if parts.hostname is None or port is None:
        if ":" in address and "//" not in address:
            # Ray would print a traceback of its own.
            raise _build_unreachable_error(
                address,
                "an address is written HOST:PORT",
            )
        return  # a name such as auto
    try:
        with socket.create_connection((parts.hostname, port), CONNECT_SECONDS) as line:
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                _check_greeting(line)
    except OSError as error:
        raise _build_unreachable_error(address, _first_line(error)) from None


def _check_greeting(line: socket.socket) -> None:
    """Raise `OSError` unless the other side speaks HTTP/2 as all servers of Ray do: both sides
    begin with a frame of settings (RFC 9113, section 3.4).
    """
    line.sendall(HTTP2_PREFACE + HTTP2_SETTINGS)
    # The length takes three bytes, the type follows.
    greeting = line.recv(len(HTTP2_SETTINGS))
    if greeting[3:4] != HTTP2_SETTINGS[3:4]:
        raise OSError("what listens there is not Ray")


def _check_token(ray: ModuleType, address: str) -> None:
    """Raise `ConfigError` where the cluster takes no connection without a token, or takes another
    one: Ray would try for 20 s, and print a line each time.
    """
    # Ray's client and names such as auto know no address of the cluster itself yet.
    if "//" in address or ":" not in address:
        return
    # This is what ray.init does first. It is not public: without it, Ray's own lines have to do.
    make_client = getattr(ray._raylet, "GcsClient", None)
    if make_client is None:
        return
    try:
        with _silence_stderr():
            make_client(address=address)
    except ray.exceptions.RayError as error:
        if type(error).__name__ == "AuthenticationError":
            raise ConfigError(
                f"the Ray cluster at {address} takes only those with its token: set "
                "RAY_AUTH_MODE=token and bring its ~/.ray/auth_token to this machine"
            ) from None
        # What else it may be is told by ray.init.


@contextmanager
def _silence_stderr() -> Iterator[None]:
    """Let nothing reach standard error, where Ray's C++ code writes its log."""
    stderr = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _build_start_error(error: Exception) -> RunError:
    return RunError(
        f"Ray cannot start here ({_first_line(error)}): check this machine's memory and the disk "
        "of /tmp/ray, or of RAY_TMPDIR"
    )


def _build_unreachable_error(address: str, reason: str) -> RunError:
    return RunError(
        f"no Ray cluster answers at {address} ({reason}): "
        "check the address (--ray-address) and the network; a cluster that asks for a token needs "
        "RAY_AUTH_MODE=token here"
    )


@contextmanager
def _explain_failures(ray: ModuleType) -> Iterator[None]:
    """Raise what the work raised as it was, and what befell its worker as a `RunError`."""
    failures = ray.exceptions
    try:
        yield
    except failures.RayTaskError as error:
        is_of_the_work = isinstance(error.cause, Exception)
        if is_of_the_work and not isinstance(error.cause, failures.RayError):
            raise error.cause from None
        raise RunError(
            f"a task on Ray failed ({_first_line(error.cause or error)}): check that all its "
            "machines have the versions of this one, and run the same command again"
        ) from None
    except failures.RayError as error:
        raise RunError(
            f"Ray lost a worker {RETRIES + 1} times ({type(error).__name__}: "
            f"{_first_line(error)}): check that its machines have memory, disk and the versions "
            "of this one, and run the same command again"
        ) from None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _join_lines(error: BaseException) -> str:
    return " ".join(str(error).split())
