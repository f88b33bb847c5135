"""What an engine is: it decides where work on batches runs, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")
Where = Literal["process", "thread", "here"]


class Engine(Protocol):
    """Maps a function over batches, in order, holding only a few batches at a time."""

    n_clients: int
    """Processes that work of "thread" is spread over."""
    n_machines: int
    """Machines that have a process of these."""

    def map(
        self,
        work: Callable[[T], R],
        batches: Iterable[T],
        where: Where,
    ) -> Iterator[R]:
        """`work(batch)` for each batch, in the order of the batches.

        "process": in worker processes (work and batches must pickle); "thread": in threads, for
        work that waits for a network; "here": in the caller's thread, one after another. An
        exception in `work` is raised to the caller.
        """
        ...

    def rest(self) -> None:
        """End workers that wait for work, where they take memory of this machine; later calls start
        them again.
        """
        ...

    def close(self) -> None:
        """Release the workers; later calls start them again."""
        ...
