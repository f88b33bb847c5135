"""Select a small, diverse, high-quality subset of an instruction-tuning data set, and say why."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tacos.workflows.analyse import Analysis, analyse
    from tacos.workflows.compare import Comparison, compare
    from tacos.workflows.select import Selection, load, select

__all__ = ["Analysis", "Comparison", "Selection", "analyse", "compare", "load", "select"]

MODULES = {
    "Analysis": "analyse",
    "analyse": "analyse",
    "Comparison": "compare",
    "compare": "compare",
}


def __getattr__(name: str) -> Any:
    """The public names, loaded when they are first asked for, so that `import tacos` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'tacos' has no attribute {name!r}")
    return getattr(import_module(f"tacos.workflows.{MODULES.get(name, 'select')}"), name)
