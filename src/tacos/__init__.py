"""Select a small, diverse, high-quality subset of an instruction-tuning data set, with reasons.

Every command of the command line is a function here, under the same name:

>>> import tacos
>>> rows = [{"instruction": f"Add {i} and {i}.", "output": f"It is {2 * i}."} for i in range(60)]
>>> selection = tacos.select(rows, n=5)
>>> selection.summary.n_selected
5
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tacos.errors import TacosError as TacosError
    from tacos.workflows.alpaca_eval import alpaca_eval as alpaca_eval
    from tacos.workflows.alpaca_eval import count_annotations as count_annotations
    from tacos.workflows.alpaca_eval import forecast_alpaca_eval as forecast_alpaca_eval
    from tacos.workflows.alpaca_eval_result import AlpacaEvaluation as AlpacaEvaluation
    from tacos.workflows.analyse import Analysis as Analysis
    from tacos.workflows.analyse import analyse as analyse
    from tacos.workflows.annotate import Annotation as Annotation
    from tacos.workflows.annotate import annotate as annotate
    from tacos.workflows.answer import ModelAnswers as ModelAnswers
    from tacos.workflows.answer import answer as answer
    from tacos.workflows.calibrate import calibrate as calibrate
    from tacos.workflows.check_tags import TagCheck as TagCheck
    from tacos.workflows.check_tags import check_tags as check_tags
    from tacos.workflows.check_tags import write_tag_sheet as write_tag_sheet
    from tacos.workflows.clean import Cleaning as Cleaning
    from tacos.workflows.clean import clean as clean
    from tacos.workflows.compare import Comparison as Comparison
    from tacos.workflows.compare import compare as compare
    from tacos.workflows.curve import SizeCurve as SizeCurve
    from tacos.workflows.curve import curve as curve
    from tacos.workflows.distill import Distillation as Distillation
    from tacos.workflows.distill import distill as distill
    from tacos.workflows.duel import Duels as Duels
    from tacos.workflows.duel import duel as duel
    from tacos.workflows.duel import forecast_duel as forecast_duel
    from tacos.workflows.duel import recount_duels as recount_duels
    from tacos.workflows.explain import explain as explain
    from tacos.workflows.export import Export as Export
    from tacos.workflows.export import export as export
    from tacos.workflows.inspect import Inspection as Inspection
    from tacos.workflows.inspect import inspect as inspect
    from tacos.workflows.ledger import export_ledger as export_ledger
    from tacos.workflows.ledger import import_ledger as import_ledger
    from tacos.workflows.ledger import ledger as ledger
    from tacos.workflows.ledger import remove_from_ledger as remove_from_ledger
    from tacos.workflows.mt_bench import count_judgments as count_judgments
    from tacos.workflows.mt_bench import forecast_mt_bench as forecast_mt_bench
    from tacos.workflows.mt_bench import mt_bench as mt_bench
    from tacos.workflows.mt_bench_result import MtBenchEvaluation as MtBenchEvaluation
    from tacos.workflows.prove import Proof as Proof
    from tacos.workflows.prove import prove as prove
    from tacos.workflows.quote import Quote as Quote
    from tacos.workflows.quote import quote as quote
    from tacos.workflows.refine import Refinement as Refinement
    from tacos.workflows.refine import refine as refine
    from tacos.workflows.report import write_report as write_report
    from tacos.workflows.requests import export_requests as export_requests
    from tacos.workflows.requests import import_replies as import_replies
    from tacos.workflows.requests import requests as requests
    from tacos.workflows.requests import run_batch as run_batch
    from tacos.workflows.reselect import reselect as reselect
    from tacos.workflows.run_difference import RunDifference as RunDifference
    from tacos.workflows.run_difference import compare_runs as compare_runs
    from tacos.workflows.runs import remove_run as remove_run
    from tacos.workflows.runs import runs as runs
    from tacos.workflows.select import select as select
    from tacos.workflows.selection import Selection as Selection
    from tacos.workflows.selection import load as load
    from tacos.workflows.settings import settings as settings
    from tacos.workflows.tags import TagVocabulary as TagVocabulary
    from tacos.workflows.tags import publish_tags as publish_tags
    from tacos.workflows.tags import tags as tags
    from tacos.workflows.train import TrainedModel as TrainedModel
    from tacos.workflows.train import train as train
    from tacos.workflows.ui import RunView as RunView
    from tacos.workflows.ui import ui as ui

    __version__: str

_NAMES_OF = {
    "errors": ("TacosError",),
    "workflows.alpaca_eval": (
        "alpaca_eval",
        "forecast_alpaca_eval",
        "count_annotations",
    ),
    "workflows.alpaca_eval_result": ("AlpacaEvaluation",),
    "workflows.analyse": ("analyse", "Analysis"),
    "workflows.annotate": ("annotate", "Annotation"),
    "workflows.answer": ("answer", "ModelAnswers"),
    "workflows.calibrate": ("calibrate",),
    "workflows.check_tags": ("check_tags", "write_tag_sheet", "TagCheck"),
    "workflows.clean": ("clean", "Cleaning"),
    "workflows.compare": ("compare", "Comparison"),
    "workflows.curve": ("curve", "SizeCurve"),
    "workflows.distill": ("distill", "Distillation"),
    "workflows.duel": ("duel", "forecast_duel", "recount_duels", "Duels"),
    "workflows.explain": ("explain",),
    "workflows.export": ("export", "Export"),
    "workflows.inspect": ("inspect", "Inspection"),
    "workflows.ledger": (
        "ledger",
        "export_ledger",
        "import_ledger",
        "remove_from_ledger",
    ),
    "workflows.mt_bench": ("mt_bench", "forecast_mt_bench", "count_judgments"),
    "workflows.mt_bench_result": ("MtBenchEvaluation",),
    "workflows.prove": ("prove", "Proof"),
    "workflows.quote": ("quote", "Quote"),
    "workflows.refine": ("refine", "Refinement"),
    "workflows.report": ("write_report",),
    "workflows.requests": (
        "requests",
        "export_requests",
        "import_replies",
        "run_batch",
    ),
    "workflows.reselect": ("reselect",),
    "workflows.run_difference": ("compare_runs", "RunDifference"),
    "workflows.runs": ("runs", "remove_run"),
    "workflows.select": ("select",),
    "workflows.selection": ("load", "Selection"),
    "workflows.settings": ("settings",),
    "workflows.tags": ("tags", "publish_tags", "TagVocabulary"),
    "workflows.train": ("train", "TrainedModel"),
    "workflows.ui": ("ui", "RunView"),
}
"""Module -> the public names that it defines."""

_MODULE_OF = {name: module for module, names in _NAMES_OF.items() for name in names}

__all__ = ["__version__", *sorted(_MODULE_OF)]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that `import tacos` costs nothing."""
    if name == "__version__":
        from tacos.version import read_version

        return read_version()
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'tacos' has no attribute {name!r}")
    return getattr(import_module(f"tacos.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    """The public names, for completion."""
    return list(__all__)
