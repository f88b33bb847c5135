"""The event loop of a client, in a thread of its own (uvloop where there is one)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any


class EventLoopThread:
    """Runs coroutines; `failed` is told of any that ends with an exception, since nobody else would
    be.
    """

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self.failed = failed
        self.asyncio = create_event_loop()
        self.time = self.asyncio.time
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="tacos-llm", daemon=True)

    def start(self, first: Coroutine[Any, Any, None]) -> None:
        """Start the thread; `first` is done when this returns."""
        self._thread.start()
        self.wait_for(first)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine, from the loop's own thread."""
        task = self.asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def spawn_soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine, from any thread."""
        self.asyncio.call_soon_threadsafe(self.spawn, work)

    def wait_for(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine and wait for its end, from any other thread."""
        asyncio.run_coroutine_threadsafe(work, self.asyncio).result()

    def close(self) -> None:
        """Let what is left to do end, at most a few seconds; end the thread. From any other thread."""
        self.wait_for(self._finish())
        self.asyncio.call_soon_threadsafe(self.asyncio.stop)
        self._thread.join()
        self.asyncio.close()

    async def _finish(self) -> None:
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=5)
            for task in late:
                task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.failed(error)

    def _run(self) -> None:
        asyncio.set_event_loop(self.asyncio)
        self.asyncio.run_forever()


def create_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's loop where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: Any = uvloop.new_event_loop()
    return loop  # type: ignore[no-any-return]
