"""The versions that each machine of a cluster has, and what to say where they are not those here.

Another tacos computes other features, another Python or Ray cannot read what is sent to it. So each
machine is asked before any work is.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version

from tacos.version import read_version

Versions = Mapping[str, str]
"""By package, "python" among them; "" for what is missing."""

N_SHOWN = 3
"""Machines that a message names."""


def read_versions() -> Versions:
    """The versions of this process."""
    return {
        "tacos": read_version(),
        "Python": platform.python_version(),
        "Ray": version("ray"),
    }


def build_probe() -> Callable[[], Versions]:
    """A function that says the versions of the process in which it runs, one without tacos too:
    Pickle sends what stands inside another function by its code, not by its module's name.
    """

    def probe_versions() -> Versions:
        import platform as platform_there
        from importlib.metadata import version as version_there

        try:
            from tacos.version import read_version as read_version_there

            tacos = read_version_there()
        except ImportError:
            tacos = ""
        return {
            "tacos": tacos,
            "Python": platform_there.python_version(),
            "Ray": version_there("ray"),
        }

    return probe_versions


def explain_mismatch(here: Versions, machines: Mapping[str, Versions]) -> str:
    """One line about the machines, by name, whose versions are not those here; "" if there is none.

    >>> here = {"tacos": "2.0", "Python": "3.11.7"}
    >>> explain_mismatch(here, {"a": here, "b": {"tacos": "1.9", "Python": "3.11.7"}})
    'b has tacos 1.9 (here: 2.0)'
    """
    others = []
    for machine, versions in sorted(machines.items()):
        differences = []
        for name, version_here in here.items():
            version_there = versions.get(name, "")
            if not version_there:
                differences.append(f"no {name}")
            elif version_there != version_here:
                differences.append(f"{name} {version_there} (here: {version_here})")
        if differences:
            others.append(f"{machine} has {', '.join(differences)}")
    text = "; ".join(others[:N_SHOWN])
    n_more = len(others) - N_SHOWN
    return f"{text}; and {n_more} more machines" if n_more > 0 else text
