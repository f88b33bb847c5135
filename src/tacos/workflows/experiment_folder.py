"""The folder of an experiment. Every file in it is written whole or not at all, so the same command
goes on where it was stopped.

DIR/
  plan.json                 the plan, its hash, and when it was declared: the first file
  items/INSTRUMENT.jsonl    what models are measured on
  data/ARM/seed-0.jsonl     the rows that a training reads
  trained/ARM/seed-0/       the folder of a training (`tacos train`)
  scores/ARM/seed-0.jsonl   log-probabilities of the items' answers, a line each
  answers/ARM/seed-0.jsonl  what the model answers to the questions of the duels
  duels/ARM/seed-0.jsonl    the selection's answers against those of another arm, judged
  consent/                  to what was agreed that the judge is sent
  tokens.json               tokens of every row of the pool, where all arms have as many
  forecast.json             what all trainings will take
  results.json              the table and the verdict, as far as the experiment has come
  report.html               the same as a page
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from tacos.errors import RunError
from tacos.formats.jsonl import encode_json_lines
from tacos.formats.rows import RawRow
from tacos.methods.evaluating.experiment_items import ExperimentItem
from tacos.methods.evaluating.experiment_plan import ExperimentPlan, compare_plans
from tacos.store import files, folders

PLAN = "plan.json"
ITEMS = "items"
DATA = "data"
TRAINED = "trained"
SCORES = "scores"
ANSWERS = "answers"
DUELS = "duels"
CONSENT = "consent"
TOKENS = "tokens.json"
FORECAST = "forecast.json"
RESULTS = "results.json"
REPORT = "report.html"
LOCK = ".lock"
NAMES = (
    PLAN,
    ITEMS,
    DATA,
    TRAINED,
    SCORES,
    ANSWERS,
    DUELS,
    CONSENT,
    TOKENS,
    FORECAST,
    RESULTS,
    REPORT,
    LOCK,
)
"""All names that the folder may hold."""
MEASURE_ANEW = (
    "delete it, and run the same command again, which measures that model anew"
)
"""What to do about a file of scores that is spoilt."""
N_SHOWN = 3
"""Differences between plans that an error names."""


@dataclass(frozen=True)
class ExperimentFolder:
    """The places of an experiment's files."""

    root: Path

    def place_items(self, name: str) -> Path:
        """The items of an instrument."""
        return self.root / ITEMS / f"{name}.jsonl"

    def place_rows(self, arm: str, seed: int) -> Path:
        """The rows of a training."""
        return self.root / DATA / arm / f"seed-{seed}.jsonl"

    def place_training(self, arm: str, seed: int) -> Path:
        """The folder of a training."""
        return self.root / TRAINED / arm / f"seed-{seed}"

    def place_scores(self, arm: str, seed: int) -> Path:
        """The scores of a model."""
        return self.root / SCORES / arm / f"seed-{seed}.jsonl"

    def place_answers(self, arm: str, seed: int) -> Path:
        """The answers of a model."""
        return self.root / ANSWERS / arm / f"seed-{seed}.jsonl"

    def place_duels(self, other: str, seed: int) -> Path:
        """The judged duels of the selection's model with a seed against one of another arm."""
        return self.root / DUELS / other / f"seed-{seed}.jsonl"

    def check(self) -> None:
        """Raise `OutputError` if the folder cannot be used, or holds files of others."""
        folders.check_folder(self.root, NAMES)


@contextmanager
def lock_experiment(folder: ExperimentFolder) -> Iterator[None]:
    """Keep other processes out of the folder, which is made if it does not exist, and removed again
    if it stays empty.

    Raises:
        OutputError: The folder cannot be made, or holds files of others.
        RunError: Another process works in it.
    """
    folder.check()
    with files.lock_folder(folder.root, LOCK, "name another folder (-o)"):
        yield


@dataclass(frozen=True)
class DeclaredPlan:
    """A plan, and when it was declared, in UTC."""

    plan: ExperimentPlan
    declared: str


def declare_plan(folder: ExperimentFolder, plan: ExperimentPlan) -> DeclaredPlan:
    """Write the plan of a new experiment, or find that an old one has the same.

    Raises:
        RunError: The folder holds an experiment with another plan, a plan that cannot be read or
            was changed by hand, or models whose plan is missing.
    """
    declared = find_plan(folder)
    if declared is None:
        _check_no_models(folder)
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        content = {
            "hash": plan.hash(),
            "declared": now,
            "plan": plan.model_dump(mode="json"),
        }
        write_json(content, folder.root / PLAN)
        return DeclaredPlan(plan, now)
    differences = compare_plans(declared.plan, plan)
    if differences:
        more = len(differences) - N_SHOWN
        rest = f" and {more} more" if more > 0 else ""
        raise RunError(
            f"{folder.root} holds an experiment that was declared otherwise "
            f"({'; '.join(differences[:N_SHOWN])}{rest}): give the same options and data, or name "
            "another folder (-o)"
        )
    return declared


def _check_no_models(folder: ExperimentFolder) -> None:
    """Remove the rows of a plan that is gone. Raises `RunError` if models are there already: no new
    plan was made before them.
    """
    for name in (TRAINED, SCORES, ANSWERS, DUELS):
        place = folder.root / name
        if place.is_dir() and any(place.iterdir()):
            raise RunError(
                f"{folder.root} holds {name}/ and no {PLAN}: what was declared before them is not "
                f"known; restore {PLAN}, or begin anew in another folder (-o)"
            )
    for name in (ITEMS, DATA):
        shutil.rmtree(folder.root / name, ignore_errors=True)


def find_plan(folder: ExperimentFolder) -> DeclaredPlan | None:
    """The plan of a folder; None where there is none yet. Raises `RunError` as `declare_plan`."""
    path = folder.root / PLAN
    try:
        content = orjson.loads(path.read_bytes())
        plan = ExperimentPlan.model_validate(content["plan"])
        declared = DeclaredPlan(plan, str(content["declared"]))
        kept_hash = content["hash"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        raise RunError(
            f"{path} cannot be read as the plan of an experiment of this version: "
            "name another folder (-o)"
        ) from None
    if plan.hash() != kept_hash:
        raise RunError(
            f"{path} was changed after it was declared (its hash is {plan.hash()}, not "
            f"{kept_hash}): restore it, or begin anew in another folder (-o)"
        )
    return declared


def write_items(path: Path, items: Sequence[ExperimentItem]) -> None:
    """Write the items of an instrument. Raises `OutputError`."""
    write_lines(path, [item.as_dict() for item in items])


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines. Raises `OutputError`."""
    files.make_folder(path.parent)
    with files.replace_file(path) as file:
        for line in lines:
            file.write(orjson.dumps(line) + b"\n")


def write_rows(path: Path, rows: Iterable[RawRow]) -> None:
    """Write the rows of a training as they were read. Raises `OutputError`."""
    files.make_folder(path.parent)
    with files.replace_file(path) as file:
        file.writelines(encode_json_lines(rows))


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file of the folder. Raises `RunError` where it cannot be read."""
    try:
        with path.open("rb") as file:
            for line in file:
                yield orjson.loads(line)
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}): {MEASURE_ANEW}") from None


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write one JSON object, readable by people. Raises `OutputError`."""
    files.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n", path)
