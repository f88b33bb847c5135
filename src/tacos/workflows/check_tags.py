"""`tacos check-tags`: are the tags of a run right? A model, people, or both judge a few cases.

The pipeline `CHECKING` runs in the run's own directory. The same settings and seed draw the same
cases, so a sheet that is filled in today still fits tomorrow, and asking the model again costs
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.engines.local import LocalEngine
from tacos.errors import InputError, RunError
from tacos.formats import reading, writing
from tacos.llm.ledger.location import LedgerLocation
from tacos.methods.tags import annotation_sheets, tag_quality
from tacos.methods.tags.tag_quality import TagQuality
from tacos.pipeline.model_factory import open_checker
from tacos.pipeline.plan import Step, plan_steps
from tacos.pipeline.run_loop import ConcatenatedTable, Progress, StageModels, run_steps
from tacos.pipeline.stages import CHECKING
from tacos.pipeline.steps.check_tags import read_case_texts
from tacos.store.artifacts import Artifact, Store
from tacos.workflows import arguments, kept_files
from tacos.workflows.given_settings import GivenSettings, resolve_run_settings
from tacos.workflows.selection import GivenRun, Selection, load
from tacos.workflows.silent_progress import choose_progress

DRAW = "draw"
"""The stage that draws the cases, before any model is asked."""


@dataclass(frozen=True)
class TagCheck:
    """The cases, the judgements of them, and the shares that follow."""

    cases: pl.DataFrame
    """By `tacos.methods.tags.tag_checks.CASES`: a row per case."""
    judgements: pl.DataFrame
    """By `tacos.methods.tags.tag_checks.JUDGEMENTS`: a row per case and judge."""
    rejects: pl.DataFrame
    """By `tacos.records.REJECTS`: answers that could not be read."""
    assessment: TagQuality

    @property
    def worthless(self) -> list[tuple[str, str]]:
        """(task, judge) of each judge whose answers cannot tell planted cases from genuine ones."""
        return tag_quality.list_worthless(self.assessment.shares)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        by_task = self.cases.group_by("task", "planted").len()
        counts = by_task.sort("task", "planted")
        return {
            "cases": counts.rename({"len": "n"}).to_dicts(),
            "shares": self.assessment.shares.to_dicts(),
            "worthless": [
                {"task": task, "judge": judge} for task, judge in self.worthless
            ],
            "agreement": self.assessment.agreement.to_dicts(),
            "rejects": self.rejects.select("id", "reason").to_dicts(),
        }


def check_tags(
    run: GivenRun,
    settings: GivenSettings = None,
    sheets: str | Path | Sequence[str | Path] = (),
    *,
    ask: bool = True,
    ledger: str | Path | None = None,
    progress: Progress | None = None,
) -> TagCheck:
    """Judge the tags of a run.

    Args:
        run: The run directory, or a selection.
        settings: All settings, or nested ones over the run's own.
        sheets: A filled-in sheet of `write_tag_sheet`, or several; the file's name without its
            suffix names the person.
        ask: Whether the model of the settings judges.
        ledger: The file of paid replies, or the address of a PostgreSQL database that holds them;
            a file in the user's data folder by default.
        progress: What is told of the progress.

    Raises:
        InputError: There is no judge, or a sheet holds other cases.
        RunError: The run was stopped before its tags were normalised.
    """
    # Wrong arguments are refused before a model is asked.
    sheet_files = arguments.to_paths("sheets", sheets)
    if not ask and not sheet_files:
        raise InputError(
            "no judge given: name a model, or pass sheets that people filled in"
        )
    watcher = choose_progress(progress)
    location = arguments.to_ledger_location(ledger)
    # Draw the cases, and have the model judge them.
    people = _name_people(sheet_files)
    done = load(run)
    chosen = resolve_run_settings(settings, done.settings)
    until = None if ask else DRAW
    with _run_check_pipeline(
        done,
        chosen,
        until,
        location,
        watcher,
    ) as artifacts:
        cases = artifacts["cases"].scan().collect()
        by_model = [
            artifacts[name]
            for name in ("precision", "consistency")
            if name in artifacts
        ]
        judgements = [artifact.scan().collect() for artifact in by_model]
        rejects = [artifact.rejects() for artifact in by_model]
    # Add what people answered.
    for person, sheet in zip(people, sheet_files, strict=True):
        answers = _read_sheet(sheet)
        by_person, unclear = annotation_sheets.read_annotation_sheet(
            answers, cases, person
        )
        judgements.append(by_person)
        rejects.append(unclear)
    all_judgements = pl.concat(judgements)
    _refuse_namesakes(people, all_judgements)
    quality = tag_quality.assess_tag_quality(cases, all_judgements, chosen.seed)
    return TagCheck(
        cases,
        all_judgements,
        pl.concat(rejects),
        quality,
    )


def write_tag_sheet(
    run: GivenRun,
    output: str | Path,
    settings: GivenSettings = None,
    *,
    progress: Progress | None = None,
) -> int:
    """Write a sheet of cases for people to judge, and return the number of cases.

    The suffix of `output` decides the format (.csv, .jsonl, ...);
    `tacos.methods.tags.annotation_sheets` describes the columns. `settings` are all settings, or
    nested ones over the run's own.

    Raises:
        InputError: The file exists (somebody may have answered in it), or there is no case.
        RunError: The run was stopped before its tags were normalised.
    """
    sheet = arguments.to_path("output", output)
    watcher = choose_progress(progress)
    writing.check_rows_writable(sheet)
    if sheet.exists():
        raise InputError(
            f"{sheet} exists, and somebody may have answered in it: "
            "choose another name, or remove it"
        )
    kept_files.check_files_kept([sheet], [])
    done = load(run)
    chosen = resolve_run_settings(settings, done.settings)
    with _run_check_pipeline(done, chosen, DRAW, None, watcher) as artifacts:
        cases = artifacts["cases"].scan().collect()
        if cases.height == 0:
            raise InputError(
                "no cases to judge: the check settings ask for none, "
                "or no tag is frequent enough"
            )
        texts = read_case_texts(ConcatenatedTable([done.artifacts["samples"]]), cases)
    table = annotation_sheets.build_annotation_sheet(
        cases, texts, chosen.check.max_chars
    )
    writing.write_rows(table.iter_rows(named=True), sheet)
    return cases.height


def _name_people(sheets: Sequence[Path]) -> list[str]:
    """The persons that the sheets are named after. Raises `InputError` if two are the same."""
    people = [sheet.name.partition(".")[0] for sheet in sheets]
    for name in people:
        if people.count(name) > 1:
            raise InputError(
                f"two sheets are named after {name!r}: give each person a sheet with its own name"
            )
    return people


def _refuse_namesakes(people: Sequence[str], judgements: pl.DataFrame) -> None:
    """Raise `InputError` if a person has the name of a model that judged, or of the majority:
    judgements are told apart by name.
    """
    by_models = judgements.filter(~pl.col("person"))
    other_names = {tag_quality.MAJORITY, *by_models["judge"].to_list()}
    namesakes = sorted(other_names.intersection(people))
    if namesakes:
        raise InputError(
            f"a sheet is named {namesakes[0]!r}, as another judge is: name it after the person"
        )


@contextmanager
def _run_check_pipeline(
    done: Selection,
    settings: Settings,
    until: str | None,
    ledger: LedgerLocation | None,
    progress: Progress,
) -> Iterator[dict[str, Artifact]]:
    """The artifacts of the pipeline up to the stage `until` (None: all of it), while the run is
    locked.
    """
    artifacts = done.artifacts
    if "canonical_tags" not in artifacts:
        raise RunError(
            f"{done.run} was stopped before its tags were normalised; "
            "finish it first (on the command line, --until canonicalise is enough)"
        )
    inputs = ("samples", "canonical_tags")
    start = {name: ConcatenatedTable([artifacts[name]]) for name in inputs}
    steps = _plan_until(settings, until)
    store = Store(done.run)
    with (
        store.lock(),
        closing(LocalEngine(1)) as engine,
        _open_check_models(settings, until, ledger) as models,
    ):
        outcome = run_steps(
            steps,
            start,
            settings,
            store,
            engine,
            models,
            progress,
        )
        yield outcome.artifacts


def _plan_until(settings: Settings, until: str | None) -> list[Step]:
    """The step of one stage, or all steps."""
    steps = plan_steps(settings, CHECKING)
    if until is None:
        return steps
    return [step for step in steps if step.stage.name == until]


@contextmanager
def _open_check_models(
    settings: Settings, until: str | None, ledger: LedgerLocation | None
) -> Iterator[StageModels]:
    """The model that judges; no model if cases are only drawn."""
    if until is not None:
        yield StageModels({}, {})
        return
    with open_checker(settings, ledger) as models:
        yield models


def _read_sheet(path: Path) -> pl.DataFrame:
    """A filled-in sheet as a table of texts. Raises `InputError` if a line cannot be read."""
    rows = []
    for batch in reading.read_rows(path):
        if batch.rejects:
            raise InputError(f"{path}: {batch.rejects[0].reason}")
        for _, row in batch.rows:
            # A spreadsheet may have turned words into numbers: all cells are read as text.
            cells = {name: _format_cell(value) for name, value in row.items()}
            rows.append(cells)
    return pl.DataFrame(rows, infer_schema_length=None)


def _format_cell(value: Any) -> str | None:
    """A cell as text; a yes that the file format read as true becomes text again."""
    return None if value is None else str(value)
