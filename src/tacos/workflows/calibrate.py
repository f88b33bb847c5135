"""`tacos calibrate`: how far a judge agrees with pairs that people labelled.

The pipeline `CALIBRATION` runs in a temporary directory. Replies of an LLM are in the ledger, so
calibrating on the same pairs again costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from tacos.config import Settings
from tacos.engines.local import LocalEngine
from tacos.errors import ConfigError, InputError
from tacos.formats import sources
from tacos.llm.ledger.location import LedgerLocation
from tacos.methods.judging import calibration, comparisons
from tacos.methods.judging.calibration import Calibration
from tacos.pipeline.model_factory import open_judges
from tacos.pipeline.plan import plan_steps
from tacos.pipeline.run_loop import Progress, run_steps
from tacos.pipeline.stages import CALIBRATION
from tacos.store import files
from tacos.store.artifacts import Artifact, Store
from tacos.workflows import arguments
from tacos.workflows.given_settings import GivenSettings, resolve_settings
from tacos.workflows.silent_progress import choose_progress


def calibrate(
    pairs: Any,
    settings: GivenSettings = None,
    *,
    ledger: str | Path | None = None,
    progress: Progress | None = None,
) -> list[Calibration]:
    """Measure how far each judge of the settings agrees with labelled pairs.

    Args:
        pairs: Whatever `tacos.select` reads, with rows as
            `tacos.methods.judging.calibration.parse_label` takes them: instruction, response_a,
            response_b, preferred (a, b or tie).
        settings: All settings, or nested ones over the preset robust.
        ledger: The file of paid replies, or the address of a PostgreSQL database that holds them;
            a file in the user's data folder by default.
        progress: What is told of the progress.

    Returns one calibration per judge, and one of the panel if there are several judges.

    Raises:
        ConfigError: The settings ask for single grades (`judge.mode`), not for comparisons.
        InputError: No row of `pairs` is a labelled pair.
    """
    watcher = choose_progress(progress)
    location = arguments.to_ledger_location(ledger)
    chosen = resolve_settings(settings)
    if chosen.judge.mode == "singleton":
        raise ConfigError(
            "calibration needs comparisons, which judge.mode=singleton does not make: "
            "leave out judge.mode"
        )
    with files.make_temporary_folder() as folder:
        store = Store(folder)
        artifacts = _run_calibration(
            pairs,
            chosen,
            store,
            location,
            watcher,
        )
        labels = artifacts["labels"].scan().collect()
        verdicts = comparisons.combine_verdicts(
            artifacts["verdicts"].scan().collect(),
            chosen.judge.target,
        )
    pointwise = _find_pointwise_judges(artifacts["verdicts"], chosen)
    return calibration.calibrate_judges(labels, verdicts, pointwise, chosen.judges)


def _run_calibration(
    pairs: Any,
    settings: Settings,
    store: Store,
    ledger: LedgerLocation | None,
    progress: Progress,
) -> Mapping[str, Artifact]:
    """Run the pipeline in a store."""
    steps = plan_steps(settings, CALIBRATION)
    with (
        store.lock(),
        closing(LocalEngine(1)) as engine,
        open_judges(settings, ledger) as models,
    ):
        start = {"input": sources.open_source(pairs, store.root)}
        outcome = run_steps(
            steps,
            start,
            settings,
            store,
            engine,
            models,
            progress,
            check=_check_labels,
        )
    return outcome.artifacts


def _check_labels(name: str, artifact: Artifact) -> None:
    """Raise `InputError` if there is no labelled pair, before any question is asked."""
    if name == "labels" and artifact.manifest["n_rows"] == 0:
        raise InputError(
            "no labelled pair in the input: each row needs the fields "
            "instruction, response_a, response_b and preferred"
        )


def _find_pointwise_judges(verdicts: Artifact, settings: Settings) -> list[str]:
    """The judges that score each response alone, and so cannot see the order."""
    note = verdicts.manifest["notes"]["pointwise"]
    if isinstance(note, list):
        return note
    # A single judge notes only whether it is pointwise.
    return list(settings.judges) if note else []
