"""Calibrating a judge by pairs of which people said which one is better: `calibrate` runs the pipeline `CALIBRATION`.

It runs in a temporary directory; replies of an LLM are in the ledger, so asking the same again costs nothing.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from tacos import api
from tacos.assembling import judges_for
from tacos.config import Settings
from tacos.engines.local import LocalEngine
from tacos.errors import ConfigError, InputError
from tacos.methods import calibrating
from tacos.methods.calibrating import Calibration
from tacos.run import Progress, walk
from tacos.stages import CALIBRATION, plan
from tacos.storage import sources
from tacos.storage.artifacts import Artifact, Store


def calibrate(
    pairs: Any, settings: Settings, *, ledger: Path | None = None, progress: Progress | None = None
) -> list[Calibration]:
    """One calibration per judge of the settings, and one of the panel where there are several.

    `pairs` is whatever `tacos.select` reads, with rows as `tacos.methods.calibrating.parse` takes them. Raises
    `InputError` where there are none, and what the loop raises.
    """
    if settings.judge.mode != "comparative":
        raise ConfigError(
            "calibration asks for comparisons, which the mode singleton does not make: leave out judge.mode"
        )
    with tempfile.TemporaryDirectory(prefix="tacos-") as folder:
        store, engine = Store(Path(folder)), LocalEngine(1)
        with store.lock(), closing(engine), judges_for(settings, ledger) as models:
            start = {"input": sources.open_source(pairs, store.root)}
            steps = plan(settings, CALIBRATION)
            made = walk(steps, start, settings, store, engine, models, progress or api.Quiet(), check).artifacts
        labels, verdicts = (made[name].scan().collect() for name in ("labels", "verdicts"))
        note = made["verdicts"].manifest["notes"]["pointwise"]
    pointwise = note if isinstance(note, list) else list(settings.judges) if note else []
    return calibrating.calibrate(labels, verdicts, pointwise, settings.judges)


def check(name: str, artifact: Artifact) -> None:
    """Stop before anything is asked when there is nothing to ask about."""
    if name == "labels" and artifact.manifest["n_rows"] == 0:
        raise InputError("no labelled pair in the input: give rows with instruction, response_a, response_b, preferred")
