"""Calibrating a judge by pairs of which people said which one is better: `calibrate` runs the
pipeline `CALIBRATION`.

It runs in a temporary directory; replies of an LLM are in the ledger, so asking the same again
costs nothing.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from tacos.config import Settings
from tacos.engines.local import LocalEngine
from tacos.errors import ConfigError, InputError
from tacos.formats import sources
from tacos.methods.judging import calibration
from tacos.methods.judging.calibration import Calibration
from tacos.pipeline.model_factory import open_judges
from tacos.pipeline.plan import plan_steps
from tacos.pipeline.run_loop import Progress, run_steps
from tacos.pipeline.stages import CALIBRATION
from tacos.store.artifacts import Artifact, Store
from tacos.workflows import select


def calibrate(
    pairs: Any, settings: Settings, *, ledger: Path | None = None, progress: Progress | None = None
) -> list[Calibration]:
    """One calibration per judge of the settings, and one of the panel where there are several.

    `pairs` is whatever `tacos.select` reads, with rows as `tacos.methods.judging.calibration.parse_label`
    takes them. Raises `InputError` where there are none, and what the loop raises.
    """
    if settings.judge.mode != "comparative":
        raise ConfigError(
            "calibration asks for comparisons, which the mode singleton does not make: leave out judge.mode"
        )
    with tempfile.TemporaryDirectory(prefix="tacos-") as folder:
        store, engine = Store(Path(folder)), LocalEngine(1)
        with store.lock(), closing(engine), open_judges(settings, ledger) as models:
            start = {"input": sources.open_source(pairs, store.root)}
            steps = plan_steps(settings, CALIBRATION)
            made = run_steps(
                steps,
                start,
                settings,
                store,
                engine,
                models,
                progress or select.SilentProgress(),
                _check_labels,
            ).artifacts
        labels, verdicts = (made[name].scan().collect() for name in ("labels", "verdicts"))
        note = made["verdicts"].manifest["notes"]["pointwise"]
    pointwise = note if isinstance(note, list) else list(settings.judges) if note else []
    return calibration.calibrate_judges(labels, verdicts, pointwise, settings.judges)


def _check_labels(name: str, artifact: Artifact) -> None:
    """Stop before anything is asked when there is nothing to ask about."""
    if name == "labels" and artifact.manifest["n_rows"] == 0:
        raise InputError(
            "no labelled pair in the input: give rows with instruction, response_a, response_b, preferred"
        )
