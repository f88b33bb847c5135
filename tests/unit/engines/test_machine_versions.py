"""Versions of the machines of a cluster: what is said where they differ, and a probe that needs no
tacos.
"""

import subprocess
import sys

import pytest

from tacos.engines.machine_versions import (
    build_probe,
    explain_mismatch,
    read_versions,
)

HERE = {"tacos": "0.2.0", "Python": "3.11.7", "Ray": "2.60.0"}
OLD = {**HERE, "tacos": "0.1.0"}


def test_machines_with_the_versions_of_this_one_need_no_words() -> None:
    assert explain_mismatch(HERE, {"a": HERE, "b": dict(HERE)}) == ""


@pytest.mark.parametrize(
    ("there", "message"),
    [
        (OLD, "b has tacos 0.1.0 (here: 0.2.0)"),
        ({**HERE, "tacos": ""}, "b has no tacos"),
        ({}, "b has no tacos, no Python, no Ray"),
        (
            {**HERE, "Python": "3.12.1", "Ray": "2.50.0"},
            "b has Python 3.12.1 (here: 3.11.7), Ray 2.50.0 (here: 2.60.0)",
        ),
    ],
)
def test_each_difference_is_named(there: dict[str, str], message: str) -> None:
    assert explain_mismatch(HERE, {"a": HERE, "b": there}) == message


def test_of_many_machines_three_are_named() -> None:
    message = explain_mismatch(HERE, {f"m{number}": OLD for number in range(9)})
    assert message.count("has tacos 0.1.0") == 3
    assert message.endswith("; and 6 more machines")


def test_the_probe_tells_what_a_machine_of_the_cluster_is_compared_with() -> None:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    assert build_probe()() == read_versions()


def test_the_probe_runs_where_tacos_is_missing() -> None:
    cloudpickle = pytest.importorskip(
        "ray.cloudpickle", reason="the extra ray is not installed"
    )
    source = (
        "import pickle, sys\n"
        "sys.modules['tacos'] = None\n"
        "print(pickle.load(sys.stdin.buffer)()['tacos'] or 'none')"
    )
    done = subprocess.run(
        [sys.executable, "-c", source],
        input=cloudpickle.dumps(build_probe()),
        capture_output=True,
        check=False,
    )
    assert done.stdout == b"none\n", done.stderr.decode()
