"""The engine of one machine: worker processes for computing, threads for waiting.

Memory does not grow with the number of batches: at most `workers + 1` computing batches, or
`N_WAITING` waiting ones, are under way. A single batch runs here, since starting workers would cost
more than it saves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from itertools import chain, islice
from typing import TypeVar

from loky import get_reusable_executor

from tacos.engines.base import Where
from tacos.engines.freed_memory import ALLOCATOR
from tacos.engines.windows import map_in_window

T = TypeVar("T")
R = TypeVar("R")

N_WAITING = 4
"""Batches that wait for a network at the same time."""

IDLE_SECONDS = 60
"""After this time without work, worker processes end."""

WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Batch after batch takes as much memory: giving it back at once only costs time.
    ALLOCATOR: "",
    # Loky ends workers that grow by 300 MB, as they do when they load SmolLM2.
    "LOKY_MAX_MEMORY_LEAK_SIZE": "2e9",
}
"""The environment of workers, which take one core each."""


class LocalEngine:
    """Runs work on this machine; `workers` defaults to the cores that this process may use."""

    n_clients = 1
    n_machines = 1

    def __init__(self, workers: int = 0) -> None:
        self.n_workers = count_workers(workers)
        self._started = False

    def map(
        self,
        work: Callable[[T], R],
        batches: Iterable[T],
        where: Where,
    ) -> Iterator[R]:
        """See `tacos.engines.base.Engine.map`."""
        stream = iter(batches)
        if where == "thread":
            yield from _map_in_threads(work, stream)
            return

        # Look at the first two batches to know whether there is more than one.
        head = list(islice(stream, 2))
        stream = chain(head, stream)
        is_single = len(head) < 2
        if where == "here" or is_single or self.n_workers == 1:
            yield from map(work, stream)
        else:
            # One batch more than workers, so that none of them waits for the next one.
            window = self.n_workers + 1
            yield from _map_in_order(
                self._start_pool(),
                work,
                stream,
                window,
            )

    def rest(self) -> None:
        """Stop the worker processes: see `tacos.engines.base.Engine.rest`."""
        self.close()

    def close(self) -> None:
        """Stop the worker processes, if there are any."""
        if self._started:
            pool = self._start_pool()
            pool.shutdown(wait=True, kill_workers=True)  # type: ignore[call-arg]
            self._started = False

    def _start_pool(self) -> Executor:
        """The worker processes, started now or earlier."""
        self._started = True
        pool: Executor = get_reusable_executor(
            max_workers=self.n_workers,
            timeout=IDLE_SECONDS,
            env=WORKER_ENVIRONMENT,
        )
        return pool


def count_workers(given: int) -> int:
    """As many as given; with 0, one for each core that this process may use."""
    return given or len(os.sched_getaffinity(0))


def _map_in_threads(work: Callable[[T], R], batches: Iterator[T]) -> Iterator[R]:
    """Results of threads; an exception does not wait for batches that are still under way."""
    threads = ThreadPoolExecutor(N_WAITING)
    try:
        yield from _map_in_order(threads, work, batches, N_WAITING)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _map_in_order(
    pool: Executor,
    work: Callable[[T], R],
    batches: Iterator[T],
    window: int,
) -> Iterator[R]:
    """Results in the order of the batches, at most `window` of them under way."""

    def submit(batch: T) -> Future[R]:
        return pool.submit(work, batch)

    return map_in_window(
        submit,
        _wait_for_result,
        batches,
        window,
    )


def _wait_for_result(future: Future[R]) -> R:
    """The result of a future, waited for in short steps: once polars is loaded, Ctrl-C does not
    interrupt a single long wait.
    """
    while not wait([future], timeout=0.2).done:
        pass
    return future.result()
