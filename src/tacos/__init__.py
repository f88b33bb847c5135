"""Select a small, diverse, high-quality subset of an instruction-tuning data set, and say why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tacos.analysis import Analysis, analyse
    from tacos.api import Selection, load, select

__all__ = ["Analysis", "Selection", "analyse", "load", "select"]


def __getattr__(name: str) -> Any:
    """The public names, loaded when they are first asked for, so that `import tacos` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'tacos' has no attribute {name!r}")
    from tacos import analysis, api

    return getattr(analysis if name in {"Analysis", "analyse"} else api, name)
