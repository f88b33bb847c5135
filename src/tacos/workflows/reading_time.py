"""How long the slow tier of the embedded judge reads, measured on a few rows before it starts."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from tacos import prompts
from tacos.config import Settings
from tacos.methods.judging import comparisons
from tacos.methods.measures import request_counts
from tacos.pipeline.steps import pool
from tacos.records import Model, Request
from tacos.store.artifacts import Artifact

N_TIMED = 8
"""Rows that are read to measure the speed: about a second at 10 rows a second."""
N_DRAWN_FROM = 2_000
"""Rows at the start of the data that these are drawn from."""


@dataclass(frozen=True)
class ReadingTime:
    """What the slow tier has to read, at most, and how fast it reads on this machine."""

    n_rows: int
    rows_per_second: float

    @property
    def seconds(self) -> float:
        """How long it takes at most."""
        return self.n_rows / self.rows_per_second

    def text(self) -> str:
        """One line for the terminal."""
        return (
            f"the slow tier of the embedded judge reads at most {self.n_rows:,} rows, "
            f"about {format_duration(self.seconds)} at {self.rows_per_second:,.0f} rows/s "
            "(--set judge.close=off leaves it out)"
        )


def format_duration(seconds: float) -> str:
    """Seconds below two minutes, minutes above.

    >>> format_duration(42.4), format_duration(754)
    ('42 s', '13 min')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"


def measure_reading_time(
    samples: Artifact,
    settings: Settings,
    model: Model,
    n_workers: int,
) -> ReadingTime:
    """Time the slow tier on a few rows, and count those that it will read at most."""
    n_samples = samples.manifest["n_rows"]
    n_wanted = pool.count_requested_rows(samples, settings.select.size)
    n_rows = request_counts.bound_reread_rows(settings, n_samples, n_wanted)

    requests = _draw_requests(samples, settings)
    model.answer(requests[:1])  # loads the weights, which takes time only once
    started = time.perf_counter()
    model.answer(requests[1:])
    seconds = max(time.perf_counter() - started, 1e-6)
    rate = max(len(requests) - 1, 1) / seconds
    # Each worker process reads a batch of its own.
    if model.where == "process":
        rate *= n_workers
    return ReadingTime(n_rows, rate)


def _draw_requests(samples: Artifact, settings: Settings) -> list[Request]:
    """The questions about a few rows, drawn at random."""
    columns = ["id", "instruction", "response"]
    head = samples.scan().select(columns).head(N_DRAWN_FROM).collect()
    generator = np.random.default_rng(settings.seed)
    n_drawn = min(N_TIMED + 1, head.height)
    places = generator.choice(head.height, n_drawn, replace=False)
    drawn = head[places.tolist()]
    questions = comparisons.list_grade_questions(drawn, settings.judges)
    digest = prompts.hash_template("grade")
    return [
        comparisons.ask_grade(
            row,
            "grade",
            digest,
            settings.judge,
        )
        for row in questions.iter_rows(named=True)
    ]
