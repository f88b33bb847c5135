"""The event loop of a client, in a thread of its own (uvloop where it is installed)."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)

NOT_RETRIEVED = "exception was never retrieved"
CLOSING_TIME = 5.0
"""Seconds that `EventLoopThread.close` waits for what is still running."""


class EventLoopThread:
    """Runs coroutines on a thread of its own.

    `on_error` receives the exception of any coroutine that ends with one: nobody awaits them.
    """

    def __init__(self, on_error: Callable[[BaseException], object]) -> None:
        self.asyncio = create_event_loop()
        self.time = self.asyncio.time
        self._on_error = on_error
        self.asyncio.set_exception_handler(self._handle_stray_error)
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="tacos-llm", daemon=True)

    def start(self, first: Coroutine[Any, Any, None]) -> None:
        """Start the thread and return once the coroutine `first` has ended."""
        self._thread.start()
        self.wait_for(first)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine; call it on the loop's own thread."""
        task = self.asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_end)
        return task

    def spawn_soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine; call it on any thread."""
        self.asyncio.call_soon_threadsafe(self.spawn, work)

    def wait_for(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine and wait for its end; call it on any other thread."""
        asyncio.run_coroutine_threadsafe(work, self.asyncio).result()

    def close(self) -> None:
        """Wait a few seconds for what is still running, then end the thread.

        Call it on any other thread.
        """
        self.wait_for(self._finish())
        self.asyncio.call_soon_threadsafe(self.asyncio.stop)
        self._thread.join()
        self.asyncio.close()

    async def _finish(self) -> None:
        end = self.time() + CLOSING_TIME
        # What ends may start something else: a question that is given up releases its lease.
        while (tasks := set(self._tasks)) and self.time() < end:
            await asyncio.wait(tasks, timeout=end - self.time())
        late_tasks = set(self._tasks)
        for task in late_tasks:
            task.cancel()
        # A task that is cancelled ends a turn later.
        await asyncio.gather(*late_tasks, return_exceptions=True)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._on_error(error)

    def _handle_stray_error(
        self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]
    ) -> None:
        """Take an exception that no coroutine of ours has met.

        A look-up of a name that was given up leaves its error in a future that nobody waits for any
        more; an error in a call of the loop must stop the client, or somebody would wait for ever.
        """
        error = context.get("exception")
        if error is None:
            loop.default_exception_handler(context)
        elif NOT_RETRIEVED in context["message"]:
            log.debug("%s: %r", context["message"], error)
        else:
            self._on_error(error)

    def _run(self) -> None:
        asyncio.set_event_loop(self.asyncio)
        self.asyncio.run_forever()


def create_event_loop() -> asyncio.AbstractEventLoop:
    """A loop of uvloop where it is installed, else one of asyncio."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: Any = uvloop.new_event_loop()
    return loop  # type: ignore[no-any-return]
