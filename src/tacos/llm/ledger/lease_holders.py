"""Who holds a lease: a process, named so that another one on the same machine can tell whether it
still runs.

Processes on other machines or in other containers cannot be seen from here: they are taken to run
until their lease ends.
"""

from __future__ import annotations

import os
import platform
import secrets
from functools import cache
from pathlib import Path

LEASE = 15.0
"""Seconds for which leases hold after their process last renewed them."""


def make_holder_id() -> str:
    """`<machine>/<process id>/<start time>/<random>`; the random part tells two ledgers of one
    process apart.
    """
    process_id = os.getpid()
    start_time = _read_start_time(process_id)
    return f"{_identify_machine()}/{process_id}/{start_time}/{secrets.token_hex(4)}"


def is_holder_gone(holder: str) -> bool:
    """Whether `holder` was a process of this machine that has ended; its process id may have been
    given to another one since.
    """
    machine, process_id, start_time, _ = holder.rsplit("/", 3)
    if machine != _identify_machine():
        return False
    if not start_time:
        return not _process_exists(int(process_id))
    return _read_start_time(int(process_id)) != start_time


@cache
def _identify_machine() -> str:
    """Where process ids mean the same: host, boot and, on Linux, the namespace of process ids."""
    parts = [platform.node()]
    boot = Path("/proc/sys/kernel/random/boot_id")
    if boot.is_file():
        parts.append(boot.read_text().strip())
    if os.path.islink("/proc/self/ns/pid"):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return ":".join(parts)


def _read_start_time(process_id: int) -> str:
    """When a process started, in the kernel's ticks; "" where it has ended or the system does not
    say.
    """
    try:
        text = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return ""
    # proc(5): the second field is the command in parentheses, and may itself contain spaces and
    # parentheses. After it come the state (field 3) and, as field 22, the start time.
    fields = text.rpartition(")")[2].split()
    has_ended = fields[0] in "ZX"
    return "" if has_ended else fields[19]


def _process_exists(process_id: int) -> bool:
    """Whether a process has this id; where asking is not harmless, it is taken to run."""
    if os.name == "nt":  # there os.kill ends the process
        return True
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
