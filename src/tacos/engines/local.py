"""The engine of one machine: worker processes for computing, threads for waiting.

Memory does not grow with the number of batches: at most `workers + 1` computing batches, or
`N_WAITING` waiting ones, are under way. A single batch runs here, since starting workers would cost
more than it saves.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from itertools import chain, islice
from typing import TypeVar

from loky import get_reusable_executor

from tacos.engines.base import Where

T = TypeVar("T")
R = TypeVar("R")

N_WAITING = 4
"""Batches that wait for a network at the same time."""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1") | {
    "POLARS_MAX_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Workers take one core each."""


class LocalEngine:
    """Runs work on this machine; `workers` defaults to the cores that this process may use."""

    def __init__(self, workers: int = 0) -> None:
        self.n_workers = workers or len(os.sched_getaffinity(0))
        self._started = False

    def map(self, work: Callable[[T], R], batches: Iterable[T], where: Where) -> Iterator[R]:
        """See `tacos.engines.base.Engine.map`."""
        stream = iter(batches)
        if where == "thread":
            yield from _map_in_threads(work, stream)
            return
        head = list(islice(stream, 2))
        stream = chain(head, stream)
        if where == "here" or len(head) < 2 or self.n_workers == 1:
            yield from map(work, stream)
        else:
            yield from _map_in_order(self._pool(), work, stream, self.n_workers + 1)

    def _pool(self) -> Executor:
        self._started = True
        pool: Executor = get_reusable_executor(
            max_workers=self.n_workers, timeout=60, env=ONE_THREAD
        )
        return pool

    def close(self) -> None:
        """Stop the worker processes, if there are any."""
        if self._started:
            self._pool().shutdown(wait=True, kill_workers=True)  # type: ignore[call-arg]
            self._started = False


def _map_in_threads(work: Callable[[T], R], batches: Iterator[T]) -> Iterator[R]:
    """Results of threads; an exception does not wait for the batches that are still under way."""
    threads = ThreadPoolExecutor(N_WAITING)
    try:
        yield from _map_in_order(threads, work, batches, N_WAITING)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _map_in_order(
    pool: Executor, work: Callable[[T], R], batches: Iterator[T], window: int
) -> Iterator[R]:
    """Results in the order of the batches, at most `window` of them under way."""
    waiting: deque[Future[R]] = deque()
    for batch in batches:
        waiting.append(pool.submit(work, batch))
        if len(waiting) >= window:
            yield _wait_for_result(waiting.popleft())
    while waiting:
        yield _wait_for_result(waiting.popleft())


def _wait_for_result(future: Future[R]) -> R:
    """Its result, waited for in short steps: where polars is loaded, Ctrl-C does not wake one long
    wait.
    """
    while not wait([future], timeout=0.2).done:
        pass
    return future.result()
