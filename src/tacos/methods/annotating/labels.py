"""What people have answered: the history of labels, who does what next, and how far each has come.

The history is a list of entries in the order in which they were written. The last label of a person
on a task counts; `undo` takes back the last one that stands, and the one before it counts again.
Nothing is ever removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tacos.methods.annotating.preference_pairs import hash_words
from tacos.methods.annotating.tasks import UNCLEAR, Kind, Task

UNDO = "undo"


@dataclass(frozen=True, slots=True)
class Label:
    """One person's answers to one task."""

    person: str
    task: str
    answers: Mapping[str, str]
    """Question -> answer; what was left out is missing."""
    comment: str = ""
    right_first: bool = False
    """Whether the right row of a pair was shown first."""
    time: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As an entry of the history."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True)
class Standing:
    """The labels that count, by person and task."""

    by_person: dict[str, dict[str, Label]] = field(default_factory=dict)

    @property
    def people(self) -> list[str]:
        """Everybody with a label, sorted."""
        return sorted(person for person, own in self.by_person.items() if own)

    def find(self, person: str, task: str) -> Label | None:
        """A person's label of a task."""
        return self.by_person.get(person, {}).get(task)

    def list_labels(self) -> list[Label]:
        """All labels, by person, in the order of the history."""
        labels: list[Label] = []
        for person in self.people:
            labels += self.by_person[person].values()
        return labels


def replay_history(entries: Iterable[Mapping[str, Any]]) -> Standing:
    """The labels that count after these entries."""
    history: dict[str, list[Label]] = {}
    for entry in entries:
        own = history.setdefault(entry["person"], [])
        if entry.get(UNDO):
            if own:
                own.pop()
            continue
        label = Label(**{name: entry[name] for name in Label.__slots__})
        own.append(label)
    standing = Standing()
    for person, own in history.items():
        # A later label of the same task takes the place of an earlier one.
        standing.by_person[person] = {label.task: label for label in own}
    return standing


def find_last_label(
    entries: Iterable[Mapping[str, Any]],
    person: str,
) -> Label | None:
    """The last label of a person that stands: what undo takes back."""
    own = [entry for entry in entries if entry["person"] == person]
    stack: list[Label] = []
    for entry in own:
        if entry.get(UNDO):
            del stack[-1:]
        else:
            stack.append(Label(**{name: entry[name] for name in Label.__slots__}))
    return stack[-1] if stack else None


# Who does what


def list_own_tasks(
    tasks: Sequence[Task],
    kind: Kind,
    person: str,
    standing: Standing,
    seed: int,
) -> list[Task]:
    """The tasks of a kind that are a person's, in the order in which they come up: those that
    everybody answers, then those that nobody else has answered.

    Everybody goes through the latter in an order of their own, so that two people at once seldom
    do the same one.
    """
    of_kind = [task for task in tasks if task.kind == kind]
    shared = [task for task in of_kind if task.shared]
    taken: set[str] = set()
    for other, own in standing.by_person.items():
        if other != person:
            taken.update(own)
    single = [task for task in of_kind if not task.shared and task.id not in taken]
    single.sort(key=lambda task: hash_words(seed, "order", task.id, person))
    return shared + single


def find_next_task(
    tasks: Sequence[Task],
    kind: Kind,
    person: str,
    standing: Standing,
    seed: int,
) -> Task | None:
    """The next task of a kind that a person has not answered; None if there is no other."""
    for task in list_own_tasks(tasks, kind, person, standing, seed):
        if standing.find(person, task.id) is None:
            return task
    return None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one person has come with the tasks of a kind."""

    person: str
    kind: Kind
    n_done: int
    n_unclear: int
    """Done, and the first question is answered by `UNCLEAR`."""
    n_left: int


def measure_progress(
    tasks: Sequence[Task],
    kind: Kind,
    person: str,
    standing: Standing,
    seed: int,
) -> Progress:
    """How far a person has come."""
    own = standing.by_person.get(person, {})
    done = [task for task in tasks if task.kind == kind and task.id in own]
    unclear = [
        task for task in done if own[task.id].answers[task.questions[0]] == UNCLEAR
    ]
    ahead = list_own_tasks(tasks, kind, person, standing, seed)
    left = [task for task in ahead if task.id not in own]
    return Progress(
        person=person,
        kind=kind,
        n_done=len(done),
        n_unclear=len(unclear),
        n_left=len(left),
    )
