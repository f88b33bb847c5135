"""Paths as a report names them: it is passed on, and where files lie on a machine is nobody's
business.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any


def show_path(path: str | Path) -> str:
    """A relative path as it was given; of an absolute one only the name.

    >>> show_path("/home/ann/runs/a.jsonl.run"), show_path("runs/a.jsonl.run")
    ('a.jsonl.run', 'runs/a.jsonl.run')
    >>> show_path("https://example.org/a.jsonl")
    'https://example.org/a.jsonl'
    """
    text = str(path)
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(text).is_absolute():
            return kind(text).name or text
    return text


def show_paths(value: Any) -> Any:
    """A value of the settings with every absolute path in it shown so.

    >>> show_paths({"judge": ["/home/ann/judge", "embedded"]})
    {'judge': ['judge', 'embedded']}
    """
    if isinstance(value, Mapping):
        return {show_paths(name): show_paths(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [show_paths(each) for each in value]
    # A text of several lines, such as criteria, is no path.
    if isinstance(value, str) and "\n" not in value:
        return show_path(value)
    return value
