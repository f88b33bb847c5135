"""What an experiment found: its table, the differences between arms, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tacos.counts import count_words
from tacos.methods.evaluating.duels import Outcome
from tacos.methods.evaluating.experiment_plan import (
    ArmName,
    ExperimentPlan,
    InstrumentName,
)


@dataclass(frozen=True, slots=True)
class TrainedArm:
    """One training, and what the instruments say of its model.

    `means` has a value per instrument, `strata` the mean answer loss (nats per token) by stratum of
    length. Tokens, steps and seconds are the trainer's own; None of the untrained base.
    """

    arm: ArmName
    seed: int
    n_rows: int
    n_trained_tokens: int | None
    n_steps: int | None
    seconds: float | None
    means: Mapping[InstrumentName, float]
    strata: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ArmComparison:
    """One arm minus another on one instrument, with a 95% interval over seeds and items.

    `gain` is the difference in the instrument's unit with the sign turned so that above 0 is
    better. Interval, `p` and `smallest` are None where an arm was trained once: how far another
    training would stray is unknown. `p` is two-sided; after Holm where the comparison is primary.
    `smallest` is the true difference that is found in 80 of 100 such experiments.
    """

    instrument: InstrumentName
    arm: ArmName
    other: ArmName
    gain: float
    low: float | None
    high: float | None
    p: float | None
    smallest: float | None
    n_seeds: int
    n_other_seeds: int
    n_items: int
    is_primary: bool
    verdict: str


@dataclass(frozen=True, slots=True)
class DuelCounts:
    """The duels of the selection's models against those of another arm, over all seeds.

    `outcomes` count wins, ties, flips and losses of the selection; `score` is its mean share of
    the points, `adjusted` the same at equal length, None where it cannot be told. `lengths` are the
    mean characters of both arms' answers, `judges` those that answered, as their server calls them.
    """

    other: ArmName
    n: int
    outcomes: Mapping[Outcome, int]
    score: float
    adjusted: float | None
    lengths: tuple[float, float] | None
    judges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SpeedClaim:
    """The full pool against the selection, of one training each (means over seeds)."""

    n_full_rows: int
    n_selected_rows: int
    n_full_tokens: int
    n_selected_tokens: float
    full_seconds: float
    selected_seconds: float
    seconds_spread: float = 1.0
    """How many times as long a token took in the slowest training as in the fastest one."""

    @property
    def token_ratio(self) -> float:
        """How many times fewer tokens are trained on."""
        return self.n_full_tokens / self.n_selected_tokens

    @property
    def time_ratio(self) -> float:
        """How many times shorter training was."""
        return self.full_seconds / self.selected_seconds


@dataclass(frozen=True)
class ExperimentResults:
    """An experiment, as far as it has come."""

    plan: ExperimentPlan
    declared: str
    """When the plan was written, in UTC."""
    trainings: Sequence[TrainedArm]
    comparisons: Sequence[ArmComparison]
    missing: Sequence[tuple[ArmName, int]] = ()
    """Arm and seed of the trainings that are not finished."""
    duels: Sequence[DuelCounts] = ()
    """One for each other arm; empty without a judge."""
    unjudged: Sequence[tuple[ArmName, int]] = ()
    """Other arm and seed of the duels that are not judged."""
    circular: Sequence[str] = ()
    """What the judge of the duels had to do with the selection, in sentences."""
    speed: SpeedClaim | None = None
    left_out: Sequence[str] = ()
    """Which items and rows were left out or cut, and why, a sentence each."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Device and versions of the training environment."""
    label: str = ""
    """What the reader must know before any figure, such as "shows the mechanics, no evidence"."""

    @property
    def verdict(self) -> str:
        """The answer in words: of the primary comparisons, or that they are not complete."""
        decided = [part.verdict for part in self.comparisons if part.is_primary]
        if len(decided) < len(self.plan.comparisons) and not self.missing:
            return "No verdict yet: the duels are not judged."
        if len(decided) < len(self.plan.comparisons):
            n_missing = count_words(len(self.missing), "model")
            verb = "is" if len(self.missing) == 1 else "are"
            return f"No verdict yet: {n_missing} {verb} not measured."
        return " ".join(decided)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "plan_hash": self.plan.hash(),
            "declared": self.declared,
            "label": self.label,
            "verdict": self.verdict,
            "comparisons": [_list_fields(part) for part in self.comparisons],
            "trainings": [_list_fields(part) for part in self.trainings],
            "missing": [list(training) for training in self.missing],
            "duels": [_list_fields(part) for part in self.duels],
            "unjudged": [list(pair) for pair in self.unjudged],
            "circular": list(self.circular),
            "speed": None if self.speed is None else _describe_speed(self.speed),
            "left_out": list(self.left_out),
            "environment": dict(self.environment),
            "plan": self.plan.model_dump(mode="json"),
        }


def _list_fields(
    record: TrainedArm | ArmComparison | DuelCounts | SpeedClaim,
) -> dict[str, Any]:
    """Field -> value."""
    return {name: getattr(record, name) for name in record.__slots__}


def _describe_speed(speed: SpeedClaim) -> dict[str, Any]:
    """The fields and both ratios."""
    ratios = {"token_ratio": speed.token_ratio, "time_ratio": speed.time_ratio}
    return {**_list_fields(speed), **ratios}
