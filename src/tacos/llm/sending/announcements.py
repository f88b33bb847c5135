"""What a person should hear while requests are on their way, once and in one line each.

The lines are warnings of the logger `tacos.llm`, which go to standard error unless a program sends
them elsewhere.
"""

from __future__ import annotations

import logging

log = logging.getLogger("tacos.llm")

LONG_WAIT = 10.0
"""Seconds from which on a wait is announced."""


def announce_line(text: str) -> None:
    """Say one line."""
    log.warning("%s", text)


class WaitAnnouncer:
    """Says each long wait once, however many requests it holds up."""

    def __init__(self) -> None:
        self._until = 0.0

    def announce(self, seconds: float, now: float, reason: str) -> None:
        """Say that nothing is sent for some seconds, unless that is known already."""
        if seconds < LONG_WAIT or now < self._until:
            return
        self._until = now + seconds
        announce_line(f"waiting {seconds:.0f} s: {reason}")
