"""The tasks of a run that people work on: drawn once, and kept in the run beside its artifacts.

    <run>/annotations/tasks.json      the tasks, with the texts that they show
                      labels.jsonl    every label, oldest first (`tacos.store.journal`)

Tasks hold their texts and know their rows by content, so labels keep their meaning whatever
is run in the directory later.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import orjson
import polars as pl

from tacos.config import Settings
from tacos.errors import ConfigError, InputError, RunError
from tacos.methods.annotating import preference_pairs
from tacos.methods.annotating.preference_pairs import ORIGINS, SamplePair
from tacos.methods.annotating.tasks import PAIR, Side, Task, list_questions
from tacos.methods.samples.truncation import truncate_text
from tacos.pipeline.run_loop import ConcatenatedTable
from tacos.pipeline.steps import check_tags as check_steps
from tacos.pipeline.steps import pool as pool_steps
from tacos.records import SCORES, Table, add_missing_columns, canonical_hash
from tacos.store.artifacts import Artifact, write_json
from tacos.store.journal import Journal
from tacos.workflows.selection import Selection

FOLDER = "annotations"
TASKS = "tasks.json"
LABELS = "labels.jsonl"
VERSION = 1
N_PAIRS = 100
"""Pairs where no number is given: with fewer, agreement is uncertain by 10 points or more."""


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """Which tasks are drawn."""

    n_pairs: int = N_PAIRS
    origin: Literal["auto", "comparisons", "clusters", "random"] = "auto"
    """Where pairs come from; `auto`: the comparisons of the run, or clusters where it has none."""
    n_shared: int | None = None
    """The first tasks of each kind that everybody answers; None: all of them."""
    seed: int = 1

    def __post_init__(self) -> None:
        """Raise `ConfigError` for what no plan can have."""
        if self.n_pairs < 0:
            raise ConfigError(f"the number of pairs is {self.n_pairs}: give 0 or more")
        if self.n_shared is not None and self.n_shared < 0:
            raise ConfigError(
                f"the number of shared tasks is {self.n_shared}: give 0 or more"
            )
        if self.origin not in ("auto", *ORIGINS):
            raise ConfigError(
                f"pairs cannot come from {self.origin!r}: give {', '.join(ORIGINS)} or auto"
            )


@dataclass(frozen=True, slots=True)
class TaskSet:
    """The tasks of a run, and what they were drawn by."""

    plan: TaskPlan
    check: Mapping[str, Any]
    """The settings by which the tag cases were drawn."""
    tasks: tuple[Task, ...]

    def find(self, task_id: str) -> Task:
        """A task by its id. Raises `InputError` if there is none."""
        for task in self.tasks:
            if task.id == task_id:
                return task
        raise InputError(
            "there is no such task: it may have been drawn anew; go on to the next"
        )


def open_journal(run: Path) -> Journal:
    """The labels of a run."""
    return Journal(run / FOLDER / LABELS)


def find_tasks_version(run: Path) -> int | None:
    """A number that changes when the tasks of a run are drawn; None if they never were."""
    try:
        return (run / FOLDER / TASKS).stat().st_mtime_ns
    except FileNotFoundError:
        return None


def read_tasks(run: Path) -> TaskSet | None:
    """The tasks of a run; None if none were drawn. Raises `RunError` where they are damaged."""
    file = run / FOLDER / TASKS
    try:
        values = orjson.loads(file.read_bytes())
        return TaskSet(
            plan=TaskPlan(**values["plan"]),
            check=values["check"],
            tasks=tuple(Task.from_dict(task) for task in values["tasks"]),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise RunError(
            f"{file} is damaged: remove it and draw the tasks again with the same options"
        ) from None


def draw_and_keep_tasks(
    done: Selection,
    plan: TaskPlan,
    settings: Settings,
) -> TaskSet:
    """Draw the tasks of a run, and keep them in it.

    Raises:
        InputError: There is nothing to compare or to check, or labels rest on tasks that would go.
        RunError: The run was stopped before its rows had clusters.
    """
    drawn = draw_tasks(done, plan, settings)
    # Locked, so that nobody answers a task that goes.
    with open_journal(done.run).turn() as turn:
        _refuse_lost_labels(turn.entries, drawn, done.run)
        values = {
            "version": VERSION,
            "plan": asdict(plan),
            "check": drawn.check,
            "tasks": [task.as_dict() for task in drawn.tasks],
        }
        write_json(done.run / FOLDER / TASKS, values)
    return drawn


def draw_tasks(done: Selection, plan: TaskPlan, settings: Settings) -> TaskSet:
    """The tasks of a run by a plan; the same plan gives the same tasks."""
    if "memberships" not in done.artifacts:
        raise RunError(
            f"{done.run} was stopped before its rows had clusters: finish it first"
        )
    tasks = [*_draw_pairs(done, plan), *_draw_cases(done, plan, settings)]
    if not tasks:
        raise InputError(
            f"{done.run} has nothing to annotate: it has no two rows to compare, and no tags"
        )
    check = settings.check.model_dump(mode="json") | {"seed": settings.seed}
    return TaskSet(plan, check, tuple(tasks))


# Pairs


def _draw_pairs(done: Selection, plan: TaskPlan) -> Iterable[Task]:
    """The pairs that people compare."""
    pairs = _draw_sample_pairs(done, plan)
    wanted = {row for pair in pairs for row in pair}
    sides = _read_sides(done.artifacts["samples"], wanted)
    questions = list_questions(PAIR, has_two_numbers=_has_two_numbers(done))
    for number, pair in enumerate(pairs):
        left = sides[pair.left]
        right = sides[pair.right]
        hashes = sorted((left.content_hash, right.content_hash))
        yield Task(
            id=_hash_task(PAIR, *hashes),
            kind=PAIR,
            shared=_is_shared(number, plan),
            questions=questions,
            left=left,
            right=right,
        )


def _draw_sample_pairs(done: Selection, plan: TaskPlan) -> list[SamplePair]:
    """The ids of these pairs."""
    rounds = list_rounds(done.artifacts, "pairs")
    origin = plan.origin
    if origin == "auto":
        origin = "comparisons" if rounds else "clusters"
    if origin == "comparisons":
        if not rounds:
            raise InputError(
                f"{done.run} compared no rows: its judge grades each by itself. Draw pairs from "
                "clusters or at random"
            )
        compared = ConcatenatedTable(rounds).scan().select("left", "right").collect()
        return preference_pairs.draw_compared_pairs(
            compared.iter_rows(), plan.n_pairs, plan.seed
        )
    homes = done.artifacts["memberships"].scan().select("id", cluster="home").collect()
    members = homes.drop_nulls("cluster")
    if origin == "random":
        members = homes.with_columns(cluster=pl.lit(0))
    return preference_pairs.draw_cluster_pairs(members, plan.n_pairs, plan.seed)


def _read_sides(samples: Table, wanted: Collection[str]) -> dict[str, Side]:
    """The texts of these samples as judges read them, by id."""
    columns = ["id", "content_hash", "instruction", "response"]
    sides = {}
    for batch in pool_steps.iterate_judged_texts(samples, columns):
        shown = batch.filter(pl.col("id").is_in(list(wanted)))
        for row in shown.select(columns).iter_rows():
            sides[row[0]] = Side(*row)
    return sides


def _has_two_numbers(done: Selection) -> bool:
    """Whether the judge scored value and correctness apart."""
    newest = pool_steps.find_newest_scores(done.artifacts)
    if newest is None:
        return False
    scores = add_missing_columns(done.artifacts[newest].scan(), SCORES)
    return bool(scores.select(pl.col("value").count()).collect().item())


def list_rounds(artifacts: Mapping[str, Artifact], name: str) -> list[Artifact]:
    """The tables of all rounds."""
    return [
        artifact
        for each, artifact in artifacts.items()
        if each.partition("/")[0] == name
    ]


# Tag cases


def _draw_cases(
    done: Selection,
    plan: TaskPlan,
    settings: Settings,
) -> Iterable[Task]:
    """The cases that `tacos check-tags` draws, as tasks."""
    tags = done.artifacts["canonical_tags"]
    n_tags = tags.scan().select(pl.col("tags").list.len().sum()).collect().item()
    if not n_tags:
        return
    samples = done.artifacts["samples"]
    tables = {"canonical_tags": tags}
    cases = check_steps.draw_cases(tables, settings, None, 0).table
    texts = check_steps.read_case_texts(samples, cases)
    hashes = dict(
        samples.scan()
        .select("id", "content_hash")
        .filter(pl.col("id").is_in(list(texts)))
        .collect()
        .iter_rows()
    )
    n_of_kind: dict[str, int] = {}
    for case in cases.iter_rows(named=True):
        kind = case["task"]
        number = n_of_kind.get(kind, 0)
        n_of_kind[kind] = number + 1
        ids = tuple(case["ids"])
        limit = settings.check.max_chars
        yield Task(
            id=_hash_task(kind, case["tag"], *(hashes[row] for row in ids)),
            kind=kind,
            shared=_is_shared(number, plan),
            questions=list_questions(kind),
            case=case["case"],
            tag=case["tag"],
            ids=ids,
            texts=tuple(truncate_text(texts[row], limit) for row in ids),
            planted=case["planted"],
            odd=case["odd"],
        )


def _is_shared(number: int, plan: TaskPlan) -> bool:
    """Whether everybody answers the task of that number among its kind."""
    return plan.n_shared is None or number < plan.n_shared


def _hash_task(kind: str, *parts: str) -> str:
    """The id of a task."""
    return canonical_hash([kind, *parts])[:16]


def _refuse_lost_labels(
    entries: Iterable[Mapping[str, Any]],
    drawn: TaskSet,
    run: Path,
) -> None:
    """Raise `InputError` if people have answered tasks that are not among those drawn."""
    labelled = {entry["task"] for entry in entries}
    lost = labelled.difference(task.id for task in drawn.tasks)
    if lost:
        raise InputError(
            f"{len(lost)} of {len(labelled)} tasks that people have answered would be gone: "
            "ask for as many pairs or more, from the same place, with the same seed and check "
            f"settings; or export the labels and remove {run / FOLDER}"
        )
