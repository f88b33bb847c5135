"""Time what people wait for when they annotate: drawing tasks, a label, agreement, an edit.

    python benchmarks/bench_annotate.py [--rows 1000000] [--labels 10000]

A run of generated rows (`generated_run.py`), five people, 2,000 pairs and 500 tag cases. Labels are
those of the page: read what stands, write one, find the next task. Goal: p95 of a label below 0.3 s.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from generated_run import write_run
from tacos.workflows.annotate import Annotation
from tacos.workflows.annotation_tasks import TaskPlan
from tacos.workflows.edit_file import EditFile
from tacos.workflows.selection import load

PEOPLE = ("ann", "bea", "cyd", "dan", "eve")
N_TIMED = 100


def main() -> None:
    """Print seconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--labels", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = write_run(Path(folder) / "big.run", options.rows, options.rows // 100)
        annotation = Annotation(load(run))
        report("draw tasks", [clock(draw, annotation)])
        for number in range(options.labels - N_TIMED):
            write_label(annotation, number)
        timed = range(options.labels - N_TIMED, options.labels)
        report(
            "label, and the next task",
            [clock(label_next, annotation, n) for n in timed],
        )
        report("agreement", [clock(annotation.summarise)])
        edits = EditFile(annotation.done)
        samples = annotation.done.artifacts["samples"].scan()
        hashes = samples.select("content_hash").head(N_TIMED).collect()["content_hash"]
        times = [clock(edits.change, row, "keep", None) for row in hashes[:20]]
        report("keep a row by hand", times)
        report("list edits", [clock(edits.list_edits)])


def draw(annotation: Annotation) -> None:
    """The tasks."""
    annotation.draw(TaskPlan(n_pairs=2_000, origin="clusters"))


def write_label(annotation: Annotation, number: int) -> None:
    """A label as the page writes it, without waiting for the disk to show it."""
    tasks = annotation.task_set.tasks
    person = PEOPLE[number % len(PEOPLE)]
    task = tasks[number // len(PEOPLE) % len(tasks)]
    chance = random.Random(number)
    answers = {}
    for question in task.questions:
        choices = ("yes", "no") if task.kind != "pair" else ("a", "b", "tie")
        answers[question] = chance.choice(choices)
    entry: dict[str, Any] = {
        "person": person,
        "task": task.id,
        "answers": answers,
        "comment": "",
        "right_first": False,
        "time": "2026-11-27T00:00:00.000+00:00",
    }
    with annotation.journal.path.open("ab") as file:
        file.write(orjson.dumps(entry) + b"\n")


def label_next(annotation: Annotation, number: int) -> None:
    """What the page does for a label."""
    person = PEOPLE[number % len(PEOPLE)]
    shown = annotation.find_next(person, "pair")
    if shown is None:
        shown = annotation.undo(person)
    assert shown is not None
    answer = "first" if shown["kind"] == "pair" else "yes"
    annotation.record(person, shown["task"], {shown["questions"][0]: answer})
    annotation.find_next(person, "pair")
    annotation.measure_progress(person)


def clock(work: Callable[..., Any], *arguments: Any) -> float:
    """Seconds that it takes."""
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def report(name: str, times: list[float]) -> None:
    """Print the median and the 95th percentile."""
    median, high = np.percentile(times, [50, 95])
    print(
        f"{name}: median {median:.3f} s, p95 {high:.3f} s (n = {len(times)})",
        flush=True,
    )


if __name__ == "__main__":
    main()
