"""Results in the order of the batches, with a few of them under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
Task = TypeVar("Task")


def map_in_window(
    submit: Callable[[T], Task],
    wait: Callable[[Task], R],
    batches: Iterable[T],
    window: int,
    cancel: Callable[[Task], object] = lambda task: None,
) -> Iterator[R]:
    """What `wait` says of each task that `submit` has started, at most `window` of them under way;
    `cancel` gets those that nobody waits for any more.
    """
    under_way: deque[Task] = deque()
    try:
        for batch in batches:
            under_way.append(submit(batch))
            if len(under_way) >= window:
                yield wait(under_way.popleft())
        while under_way:
            yield wait(under_way.popleft())
    finally:
        for left in under_way:
            cancel(left)
