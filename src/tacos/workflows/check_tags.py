"""Checking the tags of a run: `check_tags` draws cases, has a model and people judge them, and says what
that comes to.

The pipeline `CHECKING` runs in the run's own directory. The same settings and seed draw the same
cases, so a sheet that people fill today still fits tomorrow, and asking the model again costs
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
from tacos.methods.tags import annotation_sheets, tag_quality
from tacos.methods.tags.tag_quality import TagQuality
from tacos.pipeline.model_factory import open_checker
from tacos.pipeline.plan import plan_steps
from tacos.pipeline.run_loop import ConcatenatedTable, Progress, StageModels, run_steps
from tacos.pipeline.stages import CHECKING
from tacos.pipeline.steps.check_tags import read_case_texts
from tacos.store.artifacts import Artifact, Store
from tacos.workflows import select


@dataclass(frozen=True)
class TagCheck:
    """What was judged, and what it comes to."""

    cases: pl.DataFrame
    """By `tacos.methods.tags.tag_checks.CASES`."""
    judgements: pl.DataFrame
    """By `tacos.methods.tags.tag_checks.JUDGEMENTS`."""
    rejects: pl.DataFrame
    assessment: TagQuality

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        counts = self.cases.group_by("task", "planted").len().sort("task", "planted").rows()
        return {
            "cases": [{"task": task, "planted": planted, "n": n} for task, planted, n in counts],
            "shares": self.assessment.shares.to_dicts(),
            "agreement": self.assessment.agreement.to_dicts(),
            "rejects": self.rejects.select("id", "reason").to_dicts(),
        }


def check_tags(
    run: Path,
    settings: Settings,
    sheets: Sequence[Path] = (),
    *,
    ask: bool = True,
    ledger: Path | None = None,
    progress: Progress | None = None,
) -> TagCheck:
    """Judge the tags of a run, with `ask` by the model of the settings, and by people's filled
    `sheets`.

    A sheet's name without its suffix names the person. Raises `InputError` for a sheet of other
    cases and where nobody judged, `RunError` for a run without tags, and what the loop raises.
    """
    if not ask and not sheets:
        raise InputError("nobody judges: name a model, or sheets that people filled")
    people = [sheet.name.partition(".")[0] for sheet in sheets]
    for name in people:
        if people.count(name) > 1:
            raise InputError(
                f"two sheets are named after {name!r}: give each person one sheet with a name of its own"
            )
    with _run_check_pipeline(run, settings, None if ask else "draw", ledger, progress) as made:
        cases = made["cases"].scan().collect()
        found = [made[name] for name in ("precision", "consistency") if name in made]
        judged = [each.scan().collect() for each in found]
        lost = [each.rejects() for each in found]
    for person, sheet in zip(people, sheets, strict=True):
        judgements, rejects = annotation_sheets.read_annotation_sheet(
            _read_sheet(sheet), cases, person
        )
        judged.append(judgements)
        lost.append(rejects)
    judgements = pl.concat(judged)
    _refuse_namesakes(people, judgements)
    return TagCheck(
        cases,
        judgements,
        pl.concat(lost),
        tag_quality.assess_tag_quality(cases, judgements, settings.seed),
    )


def _refuse_namesakes(people: Sequence[str], judgements: pl.DataFrame) -> None:
    """Raise `InputError` where a person has the name of a model that judged, or of the majority:
    theirs are told apart by name.
    """
    others = {tag_quality.MAJORITY, *judgements.filter(~pl.col("person"))["judge"].to_list()}
    if namesakes := sorted(others.intersection(people)):
        raise InputError(
            f"a sheet is named {namesakes[0]!r}, as another judge is: name it after the person"
        )


def write_sheet(run: Path, settings: Settings, path: Path, progress: Progress | None = None) -> int:
    """Write a sheet for people (.csv, .jsonl ...; see `tacos.methods.tags.annotation_sheets`);
    gives the number of its cases.

    Raises `InputError` where the file exists (it may hold what a person answered), and where there
    is no case.
    """
    writing.check_rows_writable(path)
    if path.exists():
        raise InputError(
            f"{path} exists, and somebody may have answered in it: give another name, or remove it"
        )
    with _run_check_pipeline(run, settings, "draw", None, progress) as made:
        cases = made["cases"].scan().collect()
        if cases.height == 0:
            raise InputError(
                "there is no case to judge: the check settings ask for none, or no tag is frequent enough"
            )
        texts = read_case_texts(ConcatenatedTable([select.load(run).artifacts["samples"]]), cases)
    writing.write_rows(
        annotation_sheets.build_annotation_sheet(cases, texts, settings.check.max_chars).iter_rows(
            named=True
        ),
        path,
    )
    return cases.height


@contextmanager
def _run_check_pipeline(
    run: Path, settings: Settings, until: str | None, ledger: Path | None, progress: Progress | None
) -> Iterator[dict[str, Artifact]]:
    """What the pipeline makes, up to the stage `until` (None: all of it)."""
    done = select.load(run).artifacts
    if "canonical_tags" not in done:
        raise RunError(
            f"{run} was stopped before its tags were normalised; run it again with --until canonicalise"
        )
    start = {name: ConcatenatedTable([done[name]]) for name in ("samples", "canonical_tags")}
    steps = [
        step for step in plan_steps(settings, CHECKING) if until is None or step.stage.name == until
    ]
    store = Store(run)
    with (
        store.lock(),
        closing(LocalEngine(1)) as engine,
        _open_check_models(settings, until, ledger) as models,
    ):
        yield run_steps(
            steps, start, settings, store, engine, models, progress or select.SilentProgress()
        ).artifacts


@contextmanager
def _open_check_models(
    settings: Settings, until: str | None, ledger: Path | None
) -> Iterator[StageModels]:
    """The model that judges; none where only cases are drawn."""
    if until is not None:
        yield StageModels({}, {})
        return
    with open_checker(settings, ledger) as models:
        yield models


def _read_sheet(path: Path) -> pl.DataFrame:
    """A filled sheet as a table of texts. Raises `InputError` where a line cannot be read."""
    batches = list(reading.read_rows(path))
    broken = [reject for batch in batches for reject in batch.rejects]
    if broken:
        raise InputError(f"{path}: {broken[0].reason}")
    rows = [row for batch in batches for _, row in batch.rows]
    return pl.DataFrame(
        [{name: _format_cell(value) for name, value in row.items()} for row in rows],
        infer_schema_length=None,
    )


def _format_cell(value: Any) -> str | None:
    """A cell as text; a yes that a container made true is a yes again."""
    return None if value is None else str(value)
