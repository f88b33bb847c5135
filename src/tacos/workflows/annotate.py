"""`tacos annotate`: people compare rows and judge tags; how far they agree, with one another and
with the judge; and the files that `tacos calibrate` and `tacos check-tags` read.

Several people may work on one run at once. Labels are written one by one, with their history.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tacos.errors import InputError
from tacos.formats import writing
from tacos.methods.annotating import label_exports, labels, people_agreement
from tacos.methods.annotating.labels import Label, Progress, Standing
from tacos.methods.annotating.preference_pairs import is_right_first
from tacos.methods.annotating.tasks import (
    BETTER,
    NUMBERS,
    PAIR,
    UNCLEAR,
    Kind,
    Task,
    count_kinds,
    find_fault,
)
from tacos.methods.samples.truncation import truncate_text
from tacos.methods.tags import tag_quality
from tacos.store import files
from tacos.workflows import arguments, kept_files
from tacos.workflows.annotation_status import (
    AnnotationStatus,
    measure_all_progress,
    summarise_labels,
)
from tacos.workflows.annotation_tasks import (
    TaskPlan,
    TaskSet,
    draw_and_keep_tasks,
    find_tasks_version,
    open_journal,
    read_tasks,
)
from tacos.workflows.given_settings import GivenSettings, resolve_run_settings
from tacos.workflows.selection import GivenRun, Selection, load

NAME = re.compile(r"[^\W_][\w -]{0,38}\w|[^\W_]")
"""A name is that of a file, too."""
MAX_COMMENT = 2_000
"""Characters."""
MAX_SHOWN = 50_000
"""Characters of a text that a person sees; the middle of longer ones is left out, visibly."""
CASE_SETTINGS = ("n_precision", "n_consistency", "n_planted", "n_instructions")
"""The settings of `check` that decide which cases are drawn."""
PAIRS_FILE = "pairs.jsonl"
LABELS_FILE = "labels.jsonl"
SHEETS = "tags"
"""The folder of the sheets, one per person."""
FIRST = "first"
SECOND = "second"
"""How a person answers about a pair: by what is shown first and second."""


@dataclass(frozen=True, slots=True)
class LabelExport:
    """What was written, and how many rows."""

    folder: Path
    n_pairs: int
    n_without_majority: int
    """Pairs with answers of which none has more than half."""
    sheets: tuple[Path, ...]
    n_labels: int
    commands: tuple[str, ...]
    """What reads them."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        values = asdict(self)
        values["folder"] = str(self.folder)
        values["sheets"] = [str(sheet) for sheet in self.sheets]
        return values


class Annotation:
    """The tasks and labels of a run; many people and processes may use it at once."""

    def __init__(self, done: Selection) -> None:
        self.done = done
        self.journal = open_journal(done.run)
        self._standing: tuple[object, Standing] | None = None
        self._tasks: tuple[int, TaskSet] | None = None
        self._status: tuple[object, AnnotationStatus] | None = None

    @property
    def task_set(self) -> TaskSet:
        """The tasks. Raises `InputError` if none were drawn."""
        version = find_tasks_version(self.done.run)
        # Another process may have drawn more.
        if self._tasks is not None and self._tasks[0] == version:
            return self._tasks[1]
        found = read_tasks(self.done.run)
        if found is None or version is None:
            raise InputError(
                "this run has no tasks yet: draw them (tacos annotate RUN --pairs 100)"
            )
        self._tasks = (version, found)
        return found

    def has_tasks(self) -> bool:
        """Whether tasks were drawn."""
        return find_tasks_version(self.done.run) is not None

    def draw(self, plan: TaskPlan, settings: GivenSettings = None) -> TaskSet:
        """Draw the tasks, or more of them; see `annotation_tasks.draw_and_keep_tasks`."""
        chosen = resolve_run_settings(settings, self.done.settings)
        return draw_and_keep_tasks(self.done, plan, chosen)

    def count_tasks(self) -> dict[str, int]:
        """Tasks of each kind."""
        return count_kinds(self.task_set.tasks)

    def find_export_folder(self) -> Path:
        """Where labels are written if nobody names a folder: beside the run."""
        run = self.done.run.absolute()
        return run.with_name(f"{run.name.removesuffix('.run')}.labels")

    def list_people(self) -> list[str]:
        """Everybody who has answered something."""
        return self._read_standing().people

    # One task after another

    def find_next(self, person: str, kind: Kind) -> dict[str, Any] | None:
        """The next task of a person as it is shown; None if there is no other."""
        self._check_person(person)
        chosen = self.task_set
        task = labels.find_next_task(
            chosen.tasks,
            kind,
            person,
            self._read_standing(),
            chosen.plan.seed,
        )
        return None if task is None else self._show(task, person, chosen)

    def record(
        self,
        person: str,
        task_id: str,
        answers: Mapping[str, str],
        comment: str = "",
    ) -> None:
        """Write a person's answers to a task; about a pair they are `FIRST`, `SECOND`, tie or
        unclear, as it was shown.

        Raises `InputError` for a task or an answer that does not exist.
        """
        self._check_person(person)
        chosen = self.task_set
        task = chosen.find(task_id)
        right_first = is_right_first(task.id, person, chosen.plan.seed)
        resolved = _resolve_sides(answers, right_first=right_first)
        fault = find_fault(task, resolved)
        if fault:
            raise InputError(f"{fault}: reload the page")
        label = Label(
            person=person,
            task=task.id,
            answers=resolved,
            comment=comment[:MAX_COMMENT],
            right_first=right_first,
            time=_write_time(),
        )
        self.journal.append(label.as_dict())

    def undo(self, person: str) -> dict[str, Any] | None:
        """Take back a person's last label, and return its task as it is shown; None if there is no
        label.
        """
        self._check_person(person)
        chosen = self.task_set
        # One turn: nobody else takes the same label back meanwhile.
        with self.journal.turn() as turn:
            last = labels.find_last_label(turn.entries, person)
            if last is None:
                return None
            entry = {
                "person": person,
                "task": last.task,
                labels.UNDO: True,
                "time": _write_time(),
            }
            turn.append(entry)
        shown = self._show(chosen.find(last.task), person, chosen)
        return shown | {"comment": last.comment}

    def measure_progress(self, person: str | None = None) -> list[Progress]:
        """How far everybody has come with each kind of task, or one person."""
        chosen = self.task_set
        standing = self._read_standing()
        people = standing.people if person is None else [person]
        return measure_all_progress(chosen, standing, people)

    # All labels together

    def summarise(self) -> AnnotationStatus:
        """What people say, and how far they agree; computed again when there is a new label."""
        chosen = self.task_set
        version = (self.journal.find_version(), find_tasks_version(self.done.run))
        if self._status is not None and self._status[0] == version:
            return self._status[1]
        standing = self._read_standing()
        status = summarise_labels(self.done, chosen, standing)
        self._status = (version, status)
        return status

    def export(self, folder: str | Path) -> LabelExport:
        """Write what other commands read into a folder, which is made where it does not exist.

        `pairs.jsonl` is for `tacos calibrate`; each sheet of `tags/`, named after a person, for
        `tacos check-tags --answers`; `labels.jsonl` has every label. Earlier files of the same
        names are replaced.

        Raises:
            InputError: There is no label yet.
            OutputError: The folder cannot be written, or lies in a run.
        """
        target = arguments.to_path("folder", folder)
        kept_files.check_folder_kept(target, [])
        chosen = self.task_set
        standing = self._read_standing()
        if not standing.people:
            raise InputError("nobody has answered anything yet: annotate first")
        files.make_folder(target)
        pairs = label_exports.build_labelled_pairs(chosen.tasks, standing)
        majorities = people_agreement.find_majorities(chosen.tasks, standing, BETTER)
        if pairs:
            writing.write_rows(pairs, target / PAIRS_FILE)
        single = list(label_exports.list_single_labels(chosen.tasks, standing))
        writing.write_rows(single, target / LABELS_FILE)
        sheets = _write_sheets(chosen, standing, target / SHEETS)
        commands = []
        if pairs:
            commands.append(f"tacos calibrate {shlex.quote(str(target / PAIRS_FILE))}")
        if sheets:
            commands.append(self._write_check_command(chosen, sheets))
        return LabelExport(
            folder=target,
            n_pairs=len(pairs),
            n_without_majority=len(majorities) - len(pairs),
            sheets=tuple(sheets),
            n_labels=len(single),
            commands=tuple(commands),
        )

    def _write_check_command(self, chosen: TaskSet, sheets: Sequence[Path]) -> str:
        """The command that reads the sheets, with the options by which it draws the same cases."""
        settings = self.done.settings
        own = settings.check.model_dump(mode="json") | {"seed": settings.seed}
        words = ["tacos", "check-tags", str(self.done.run)]
        for name in CASE_SETTINGS:
            if chosen.check[name] != own[name]:
                words += ["--set", f"check.{name}={chosen.check[name]}"]
        if chosen.check["seed"] != own["seed"]:
            words += ["--set", f"seed={chosen.check['seed']}"]
        for sheet in sheets:
            words += ["--answers", str(sheet)]
        return shlex.join(words)

    def _read_standing(self) -> Standing:
        """The labels that count now; replayed again when anybody has written one."""
        # Before reading: a label that comes meanwhile makes the next call read again.
        version = self.journal.find_version()
        if self._standing is not None and self._standing[0] == version:
            return self._standing[1]
        standing = labels.replay_history(self.journal.read())
        self._standing = (version, standing)
        return standing

    def _check_person(self, person: str) -> None:
        """Raise `InputError` unless a name can be that of a person."""
        if not NAME.fullmatch(person):
            raise InputError(
                "a name has 1 to 40 letters, digits, spaces and hyphens, and begins with a letter "
                "or a digit"
            )
        if person.casefold() == tag_quality.MAJORITY.casefold():
            raise InputError(
                f"{person!r} stands for all people together: take your own"
            )
        for other in self.list_people():
            if other != person and other.casefold() == person.casefold():
                raise InputError(
                    f"there is {other!r} already: write the name in the same way, or take another"
                )

    def _show(self, task: Task, person: str, chosen: TaskSet) -> dict[str, Any]:
        """A task as a person sees it: blind, without what the judge says or what was planted."""
        shown: dict[str, Any] = {
            "task": task.id,
            "kind": task.kind,
            "questions": task.questions,
        }
        if task.kind != PAIR:
            return shown | {"tag": task.tag, "texts": task.texts}
        assert task.left is not None
        assert task.right is not None
        rows = [task.left, task.right]
        if is_right_first(task.id, person, chosen.plan.seed):
            rows.reverse()
        for name, row in zip((FIRST, SECOND), rows, strict=True):
            shown[name] = {
                "instruction": truncate_text(row.instruction, MAX_SHOWN),
                "response": truncate_text(row.response, MAX_SHOWN),
            }
        return shown


def annotate(
    run: GivenRun,
    n_pairs: int | None = None,
    *,
    origin: str = "auto",
    n_shared: int | None = None,
    seed: int = 1,
    settings: GivenSettings = None,
) -> Annotation:
    """Open the annotation of a run; without tasks, they are drawn.

    Args:
        run: The run directory, or a selection.
        n_pairs: How many pairs people compare; 100 by default. With a number, tasks are drawn even
            if the run has some: a larger number adds pairs.
        origin: Where pairs come from: "comparisons" (of the run), "clusters" (two rows of one) or
            "random"; "auto" takes comparisons where the run has some, clusters otherwise.
        n_shared: The first tasks of each kind that everybody answers; all by default. Each of the
            others is for one person.
        seed: The random state.
        settings: All settings, or nested ones over the run's own: those of `check` say how many tag
            cases there are.

    Raises:
        ConfigError: A number or the origin is not valid.
        InputError: There is nothing to annotate, or labels rest on tasks that would be gone.
        RunError: The run was stopped before its rows had clusters.
    """
    annotation = Annotation(load(run))
    if n_pairs is not None or not annotation.has_tasks():
        given: dict[str, Any] = {} if n_pairs is None else {"n_pairs": n_pairs}
        plan = TaskPlan(origin=origin, n_shared=n_shared, seed=seed, **given)  # type: ignore[arg-type]
        annotation.draw(plan, settings)
    return annotation


def _resolve_sides(
    answers: Mapping[str, str],
    *,
    right_first: bool,
) -> dict[str, str]:
    """Answers about what was shown first and second as answers about the left and the right row."""
    names = {FIRST: "a", SECOND: "b"}
    if right_first:
        names = {FIRST: "b", SECOND: "a"}
    resolved = {}
    for question, answer in answers.items():
        is_about_pair = question in (BETTER, *NUMBERS)
        # Nobody says "a": it would not be known which row was meant.
        known = (*names, "tie", UNCLEAR)
        if is_about_pair and answer not in known:
            raise InputError(f"{answer!r} is no answer about a pair: reload the page")
        resolved[question] = names.get(answer, answer) if is_about_pair else answer
    return resolved


def _write_sheets(chosen: TaskSet, standing: Standing, folder: Path) -> list[Path]:
    """Write a sheet for each person with a clear answer about tags."""
    sheets = []
    for person in standing.people:
        sheet = label_exports.build_filled_sheet(chosen.tasks, standing, person)
        if sheet is None:
            continue
        files.make_folder(folder)
        path = folder / f"{person}.csv"
        writing.write_rows(sheet.iter_rows(named=True), path)
        sheets.append(path)
    return sheets


def _write_time() -> str:
    """Now, as it is written."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
