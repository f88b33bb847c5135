"""Who holds a claim: a process, named so that another one on the same machine can tell whether it
still lives.

It does not know processes on other machines or in other containers: those are taken to live until
their lease ends.
"""

from __future__ import annotations

import os
import platform
import secrets
from functools import cache
from pathlib import Path


def make_holder_id() -> str:
    """`<machine>/<process id>/<start time>/<random>`; the random part tells two ledgers of one
    process apart.
    """
    return f"{_identify_machine()}/{os.getpid()}/{_read_start_time(os.getpid())}/{secrets.token_hex(4)}"


def is_holder_gone(owner: str) -> bool:
    """Whether `owner` was a process of this machine that has ended, or another one now has its
    number.
    """
    place, number, start, _ = owner.rsplit("/", 3)
    if place != _identify_machine():
        return False
    now = _read_start_time(int(number))
    return now != start if start else not _process_exists(int(number))


@cache
def _identify_machine() -> str:
    """Where process numbers mean the same: host, boot and, on Linux, the space of process numbers."""
    parts = [platform.node()]
    boot = Path("/proc/sys/kernel/random/boot_id")
    if boot.is_file():
        parts.append(boot.read_text().strip())
    if os.path.islink("/proc/self/ns/pid"):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return ":".join(parts)


def _read_start_time(number: int) -> str:
    """When a process started, in the kernel's ticks; "" where it has ended or the system does not
    say.
    """
    try:
        text = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def _process_exists(number: int) -> bool:
    """Whether there is a process of that number; where asking is not harmless, it is taken to live."""
    if os.name == "nt":
        return True
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
