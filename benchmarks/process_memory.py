"""Memory of a process and its children while it runs: proportional set size, which counts pages
that several processes share once.
"""

from __future__ import annotations

import psutil

STEP = 1_000_000
"""Bytes of growth that are worth another look."""


def measure_memory(process: psutil.Process) -> float:
    """Bytes of a process and its children, shared pages counted once.

    The kernel walks all of their pages: 5 to 15 ms a process.
    """
    total = 0.0
    for each in _list_family(process):
        try:
            total += each.memory_full_info().pss
        except psutil.Error:
            continue
    return total


class PeakMemory:
    """The most that a process and its children held, by what they were doing.

    Pages are only walked where the resident sizes, which cost 1 ms, are larger than at the last
    walk: walking each time took 12% of a core from what was being measured.
    """

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._resident: dict[str, int] = {}

    def look(self, doing: str = "") -> float:
        """Bytes now, if they may be the most of this doing; else 0."""
        resident = 0
        for each in _list_family(self._process):
            try:
                resident += each.memory_info().rss
            except psutil.Error:
                continue
        if resident < self._resident.get(doing, 0) + STEP:
            return 0.0
        self._resident[doing] = resident
        return measure_memory(self._process)


def _list_family(process: psutil.Process) -> list[psutil.Process]:
    """A process and all below it."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []
